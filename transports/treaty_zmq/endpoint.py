"""The bound ROUTER: gives requests to inboxes, replies to callers and published frames to subscribers.

This room knows the layout of messages and who may read the socket. It must not know what a frame means. Strangers
write to it: whatever makes no sense is dropped, and everything that is kept for a peer has a bound.

One thread at a time polls the descriptor, without the lock: the *leader*, some inbox's thread or, when none of those
has been here for a while, the pump. Every operation on the socket is under the lock, does not block, and wakes the
leader if it may have taken the descriptor's signal. Who leaves the lead hands it to another thread that waits.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Final, Protocol

import zmq

from treaty import AddressInUse, ClosedError, ConnectionLost, FrameTooLarge, Unavailable, check_name

from .address import Address
from .binding import Binding
from .channels import Channels
from .contexts import INPROC, Contexts, or_unavailable, reserve
from .inbox import ZmqInbox
from .port import Port, Sent, Waker
from .pump import Pump
from .refusals import Refusals
from .settings import Settings
from .wire import ABSENT, BUSY, END_OF_NAME, HEAD_BYTES, PUBLISH, SUBSCRIBE, UNSUBSCRIBE

#: Messages that are read for others before the reader looks at its own clock.
_TURN: Final = 100
#: Seconds between two attempts to reply to a peer without room.
_RETRY: Final = 0.005
#: Peers that are remembered as not reading.
_MOST_STALLED: Final = 1_000


class Waits(Protocol):
    """Whoever waits for the socket: an inbox or the pump."""

    waker: Waker


class Endpoint:
    """An address that this process owns. Inboxes are made by the transport and added here."""

    def __init__(self, address: Address, settings: Settings) -> None:
        """Bind.

        Raises:
            AddressInUse: somebody else has it.
            Unavailable: this machine cannot have it, or has no descriptors left.
        """
        self.settings = settings
        self.lock: Any = threading.RLock()
        #: Counts the visits of receiving threads, so that the pump sees whether anybody comes.
        self.visits = 0
        #: Whether it stays when its last inbox goes, for the sake of publishing.
        self.stays = False
        self.leader: Waits | None = None
        #: Who waits without leading, first come first.
        self.followers: dict[ZmqInbox, None] = {}
        self._inboxes: dict[bytes, ZmqInbox] = {}
        self._stalled: set[bytes] = set()
        self._closed = False
        self._contexts = INPROC if address.scheme == "inproc" else Contexts()
        self.pace = self._contexts.pace
        with or_unavailable(address.url), contextlib.ExitStack() as undo:
            waker = Waker()
            undo.callback(waker.close)
            context = self._contexts.take()
            undo.callback(self._contexts.drop, wait=False)
            reserve()
            self._port = Port(context, zmq.ROUTER, settings, ipv6=address.ipv6)
            undo.callback(self._port.socket.close, linger=0)
            self._port.socket.router_mandatory = True
            self._binding = Binding(address, self._port)
            undo.pop_all()
        self._channels = Channels(settings.max_subscriptions, self._port.put)
        self._refusals = Refusals(self._port.put)
        self.address = self._binding.address
        self.fd = self._port.fd
        self.pump = Pump(self, waker)

    @property
    def _interrupted(self) -> bool:
        """Whether a signal's handler or a ``__del__`` comes back into the middle of what this thread does here."""
        return bool(self.lock._is_owned())  # noqa: SLF001 - as threading.Condition asks

    @property
    def empty(self) -> bool:
        """Whether no inbox is left."""
        return not self._inboxes

    def add(self, inbox: ZmqInbox) -> None:
        """Serve from now on, or raise ``AddressInUse`` if the service has an inbox."""
        with self.lock:
            if inbox.service in self._inboxes:
                raise AddressInUse(f"{inbox.service.decode()!r} is served by this transport object already")
            self._inboxes[inbox.service] = inbox

    def remove(self, inbox: ZmqInbox) -> None:
        """Serve no longer, and refuse what waits. Lock held."""
        if self._inboxes.get(inbox.service) is inbox:
            del self._inboxes[inbox.service]
        for request in inbox.queue:
            self._refusals.add(request.peer, ABSENT, request.frame[:HEAD_BYTES])
        inbox.queue.clear()
        self._alert()

    # Reading: lock held in all of these.

    def read(self, reader: ZmqInbox | None, *, sure: bool = False) -> None:
        """Hand out what has come, until the reader has something, nothing is left, or it has been enough.

        Args:
            reader: the inbox whose thread this is.
            sure: whether something must be there; otherwise the socket is asked first, which costs less than failing.
        """
        self.visits += 1
        if self._closed or not (sure or self._port.readable()):
            return
        for _ in range(_TURN):
            message = self._port.take()
            if message is None:
                return
            if len(message) == 2 and message[1]:
                peer, body = message
                service, _, frame = body.partition(END_OF_NAME)
                inbox = self._inboxes.get(service)
                if inbox is None:
                    self._refusals.add(peer, ABSENT, frame[:HEAD_BYTES])
                elif not inbox.offer(peer, frame):
                    self._refusals.add(peer, BUSY, frame[:HEAD_BYTES])
                elif inbox is reader and inbox.room > 0:
                    return
            else:
                self._obey(message)
        (reader or self.pump).waker.wake()  # enough for now, but there may be more, and the signal is taken

    def wait(self, inbox: ZmqInbox) -> bool:
        """Register a thread that is about to wait. Returns whether it leads, and so polls the socket as well."""
        if self.leader is None or self.leader is self.pump:
            if self.leader is self.pump:
                self.pump.waker.wake()
            self.leader = inbox
            return True
        self.followers[inbox] = None
        return False

    def leave(self, inbox: ZmqInbox) -> None:
        """The thread is awake again."""
        if self.leader is inbox:
            self.leader = None
        else:
            self.followers.pop(inbox, None)

    def promote(self) -> None:
        """Before a thread goes: whoever leads learns of what is left, and if nobody does, one who follows will."""
        if self.leader is not None:
            self._alert()
        elif self.followers:
            next(iter(self.followers)).waker.wake()
        elif self.pump.parked:
            self.pump.waker.wake()

    def _obey(self, message: list[bytes]) -> None:
        peer = message[0]
        match message[1:]:
            case [op, channel] if op == SUBSCRIBE and _is_name(channel):
                self._channels.add(peer, channel)
            case [op, _] if op == UNSUBSCRIBE:
                self._channels.remove(peer)
            case [op, channel, frame] if op == PUBLISH:
                self._channels.publish(channel, frame)
            case _:
                pass  # nothing that we know

    # Writing: any thread, without the lock.

    def reply(self, peer: bytes, frame: bytes) -> None:
        """Send a frame to a peer, if need be once there is room. A peer that is gone is no error.

        Raises:
            FrameTooLarge: nothing was sent.
            ConnectionLost: it does not read, and did not for as long as ``patience``.
            ClosedError: the endpoint was closed.
        """
        if len(frame) > self.settings.max_frame:
            raise FrameTooLarge(f"{len(frame)} bytes; this transport carries {self.settings.max_frame}")
        if self._interrupted:
            raise ConnectionLost("not sent: the service was in the middle of something that this interrupted")
        until = 0.0
        while True:
            with self.lock:
                if self._closed:
                    raise ClosedError("closed while replying")
                sent = self._port.put(peer, frame)
                if self.leader is not None:
                    self._alert()
                if sent is not Sent.NO_ROOM:
                    if self._stalled:
                        self._stalled.discard(peer)
                    return
                now = time.monotonic()
                until = until or now + self.settings.patience
                if peer in self._stalled or now >= until:
                    if len(self._stalled) < _MOST_STALLED:
                        self._stalled.add(peer)  # the next reply does not wait for it again
                    raise ConnectionLost("the caller does not read its replies, and this one found no room")
            time.sleep(_RETRY)

    def publish(self, channel: str, frame: bytes) -> None:
        """Give a frame to all subscribers. Raises ``ClosedError`` if the endpoint was closed, or ``Unavailable``."""
        if self._interrupted:
            raise Unavailable("not published: the endpoint was in the middle of something that this interrupted")
        with self.lock:
            if self._closed:
                raise ClosedError("closed while publishing")
            self._channels.publish(channel.encode(), frame)
            self._alert()

    def catch_up(self) -> bool:
        """Tell peers what there was no room for: subscribers that they missed something, callers what nobody took.
        Returns whether there is still something to tell. Lock held.
        """
        if self._closed or not (self._channels.owes or self._refusals.owes):
            return False
        self._channels.tell_gaps()
        self._refusals.catch_up()
        self._alert()
        return self._channels.owes or self._refusals.owes

    def _alert(self) -> None:
        # A socket that was closed meanwhile must not be asked, and whoever leads is to see that it was.
        if self.leader is not None and (self._closed or self._port.readable()):
            self.leader.waker.wake()

    def close(self) -> None:
        """Refuse what waits, send what was handed over, free the address. Takes up to ``linger`` seconds."""
        with self.lock:
            if self._closed:
                return
            self.read(None)  # no inbox is left, so what is there is refused
            self._closed = True
            self._binding.withdraw()
            self._port.socket.close()
        self.pump.stop()
        self._contexts.drop()
        self._binding.release()


def _is_name(channel: bytes) -> bool:
    try:
        check_name(channel.decode("ascii"))
    except ValueError:  # InvalidTarget is one, UnicodeDecodeError as well
        return False
    return True
