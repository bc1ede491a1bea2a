"""One DEALER connected to an endpoint: any thread sends, one thread at a time waits for what comes.

This room knows locks, descriptors and reconnecting. It must not know what the messages mean.

No thread serves the socket. The waiting thread polls its descriptor without holding the lock; every other operation
runs under the lock, does not block, and wakes the waiting thread if it may have taken the descriptor's signal.

``ZMQ_IMMEDIATE`` would keep libzmq from queueing for a peer that is not there. It is not used, because it also throws
away what came in and was not read yet when the peer goes: the last replies of a service that stops. So the link sends
only while it sees a connection, and when that is lost takes what came in and drops what did not get out.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from typing import Any, Final

import zmq

from treaty import ClosedError, ConnectionLost, Unavailable

from .address import Address
from .contexts import Contexts, or_unavailable, reserve
from .names import NAMES
from .port import Port, Sent, Sleeper, Waker
from .settings import Settings
from .watch import Watch

#: Seconds between two looks of a sender that waits for a connection or for room. Another thread may take the signal.
_LOOK: Final = 0.01
#: Seconds for which a look at the connection counts: it costs as much as a message. What is sent to a connection that
#: was lost meanwhile is lost as what was sent just before, and the receiving thread is told.
_FRESH: Final = 0.0005


class Link:
    """A connection that is made again whenever it breaks."""

    def __init__(self, address: Address, settings: Settings, contexts: Contexts) -> None:
        self._address = address
        self._settings = settings
        self._contexts = contexts
        self._pace = contexts.pace
        self._lock: Any = threading.RLock()  # for the socket
        self._turn = threading.Lock()  # for the one thread that receives
        self._waiting = False
        self._flowing = False  # whether the last message was there without waiting for it
        self._closed = False
        self._ended = False  # and everything was given back
        self._lost = False  # and the receiving thread is to be told
        self._owed = 0  # about how many answers are still to come on this connection
        self._looked = 0.0  # when somebody last looked after the connection
        self._saved: deque[list[bytes]] = deque()  # what a connection brought before it was lost
        self._binding = 0  # the one of an inproc name that we are connected to
        self._watch: Watch | None = None  # of any other address
        self._short: Unavailable | None = None  # why there is no socket at present, if there is none
        with or_unavailable(address.url), contextlib.ExitStack() as undo:
            self._waker = Waker()
            undo.callback(self._waker.close)
            self._context = contexts.take()
            undo.callback(contexts.drop, wait=False)
            self._open()
            undo.pop_all()
        if self._watch is None:
            NAMES.watch(self._waker)

    @property
    def url(self) -> str:
        """Where this connects to, for the texts of errors."""
        return self._address.url

    def _open(self) -> None:
        """Make the socket, or leave nothing of it."""
        with or_unavailable(self._address.url), contextlib.ExitStack() as undo:
            reserve()
            port = Port(self._context, zmq.DEALER, self._settings, ipv6=self._address.ipv6)
            undo.callback(port.socket.close, linger=0)
            sleep = self._sleeper()
            sleep.watch(port.fd)
            watch = None
            if self._address.scheme != "inproc":
                watch = Watch(self._context, port)
                undo.callback(watch.close)
                sleep.watch(watch.fd)
                port.socket.connect(self._address.to_connect())
            self._port, self._watch, self._sleep = port, watch, sleep
            undo.pop_all()

    def _sleeper(self) -> Sleeper:
        sleeper = Sleeper(self._settings.spin)
        sleeper.watch(self._waker.fd)
        return sleeper

    def _is_whole(self) -> bool:
        """Whether there is a socket by now. One that there were no descriptors for is tried for again."""
        self._open_again()
        return self._short is None

    def _open_again(self) -> None:
        try:
            self._open()
        except Unavailable as error:
            self._short = error.with_traceback(None)
            self._sleep = self._sleeper()  # not on descriptors that are closed
        else:
            self._short = None

    def send(self, parts: tuple[bytes, ...], timeout: float) -> None:
        """Send a message, if need be once there is a connection with room.

        Args:
            parts: at least one.
            timeout: seconds to wait, at most the ``connect_timeout`` of the settings. 0 never blocks.

        Raises:
            Unavailable: nothing was sent, and nothing will be.
            ClosedError: closed before it was sent.
        """
        if self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            raise Unavailable(
                f"the connection to {self._address.url} is in the middle of something that this interrupted"
            )
        until = 0.0
        while True:
            with self._lock:
                if self._closed:
                    raise ClosedError("closed while sending")
                whole = self._short is None or self._is_whole()
                try:
                    # A waiting thread notices a loss by itself, and at once. One that is between two waits has come back
                    # and been told long before there is another connection. If nobody has come by then, nobody waits:
                    # what is sent from here on is not lost, and an error could not say so.
                    if whole and (not self._waiting or until) and self._stale():
                        waited_for = self._turn.locked() or self._owed > 0
                        if self._notice():
                            self._lost = self._lost or waited_for
                    # Who receives is told before anything goes out on another connection: nobody may take it for lost.
                    telling = self._lost and self._turn.locked()
                    ready = self._watch.up if self._watch else self._binding
                    if self._short is None and ready and not telling and self._port.put(*parts) is Sent.DONE:
                        self._owed += 1
                        self._lost = False
                        return
                finally:
                    if self._waiting and (self._saved or self._lost or self._short or self._port.readable()):
                        self._waker.wake()
            now = time.monotonic()
            until = until or now + min(timeout, self._settings.connect_timeout)
            if until <= now:
                raise Unavailable(f"nobody takes messages at {self._address.url}") from self._short
            room = select.poll()  # one of its own: several threads may be here
            if self._short is None:
                room.register(self._port.fd if self._watch is None or self._watch.up else self._watch.fd, select.POLLIN)
            room.poll(min(until - now, _LOOK) * 1000)

    def receive(self, timeout: float) -> list[bytes] | None:
        """Return the parts of the next message, or ``None`` after ``timeout`` seconds. 0 never blocks.

        Raises:
            ConnectionLost: once, if the connection was lost while this waited: whatever was sent so far went there.
            ClosedError: closed, before or while waiting.
        """
        until = 0.0
        look = self._watch is None or timeout <= 0
        with self._turn:
            while True:
                with self._lock:
                    if self._closed:
                        raise ClosedError("closed while receiving")
                    whole = self._short is None or self._is_whole()
                    if whole and look and (until or self._stale()) and self._notice():
                        self._lost = True
                    message = self._next(sure=until > 0)
                    if message is not None:
                        if not until:
                            self._sleep.calm()
                        self._pace.took()
                        return message
                    if not until:
                        self._pace.waits()
                    now = time.monotonic()
                    until = until or now + timeout
                    if until <= now:
                        return None
                    self._waiting = True
                try:
                    ready = self._sleep.wait(min(until - now, _LOOK) if self._short else until - now)
                finally:
                    self._waiting = False
                if self._waker.pending:
                    self._waker.clear()
                look = self._watch is None or any(fd == self._watch.fd for fd, _ in ready)

    def _next(self, *, sure: bool) -> list[bytes] | None:
        if self._saved:
            return self._answered(self._saved.popleft())
        if self._lost:
            self._lost = False
            raise ConnectionLost(f"the connection to {self._address.url} was lost")
        if self._short is not None:
            return None
        # After a poll something is there, and after a message there is often another one. Otherwise asking costs less
        # than failing.
        message = self._port.take() if sure or self._flowing or self._port.readable() else None
        self._flowing = message is not None and not sure
        return self._answered(message) if message is not None else None

    def _answered(self, message: list[bytes]) -> list[bytes]:
        if self._owed:
            self._owed -= 1
        return message

    def _stale(self) -> bool:
        """Whether it is time to look after the connection; if so, that is done now."""
        if self._watch is None:
            return True
        now = time.monotonic()
        if now - self._looked < _FRESH:
            return False
        self._looked = now
        return True

    def _notice(self) -> bool:
        """Whether the connection was lost since the last time. Keeps what it brought, drops what did not get out."""
        if self._watch is None:
            known = self._binding
            if NAMES.binding(self._address.rest) != known:
                self._save()
                self._owed = 0
                self._binding = NAMES.connect(self._address.rest, self._port.socket, known)
            return known not in {0, self._binding}
        if not self._watch.look():
            return False
        self._save()
        self._owed = 0
        if not self._watch.up:  # a socket that only disconnects may still deliver later
            self._short = Unavailable("it is made anew")  # for the next one who comes, if Ctrl-C interrupts this one
            self._watch.close()
            self._port.socket.close(linger=0)
            self._open_again()
        return True

    def _save(self) -> None:
        while (message := self._port.take()) is not None:
            self._saved.append(message)

    def close(self) -> None:
        """Close the socket; what was sent lingers. Ends a ``receive`` in another thread. Idempotent, any thread."""
        with self._lock:
            if self._ended:
                return
            self._closed = True
            self._waker.wake()
            if self._watch is not None:
                self._watch.close()
            self._port.socket.close()
        # The receiving thread has left in a moment. It is this one if a signal handler closes.
        left = self._turn.acquire(timeout=1)
        self._waker.close()
        if left:
            self._turn.release()
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self._contexts.drop()
