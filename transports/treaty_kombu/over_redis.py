"""Redis: requests and replies in lists, one connection to take from them and one to write to them.

Whoever is inside ``receive`` owns the first; a lock guards the second. Since Redis makes a list for any name, a line
takes back what it put where nobody serves. It must not know what is inside a frame.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from treaty import ClosedError, ConnectionLost, Guarantees, TransportError, Unavailable

from .envelope import pack, unpack
from .hearing import Hearing
from .link import Arrived, Held, Link, Role, interrupted, log
from .redial import Redial
from .redis_feed import RedisFeed
from .redis_pops import POP, Pops
from .redis_presence import KEPT_FOR, PRESENT_FOR, Presence, presence
from .redis_sent import ASK_EVERY, Sent
from .redis_wire import AT_ONCE, SOON, Broker, Overdue, Wire
from .settings import Settings

_T = TypeVar("_T")

#: How long another thread's command may keep ``send`` waiting when its timeout is 0.
_TURN: Final = 0.05
#: How long a reply waits for a server that is away, as a service that stops waits for it; and for the next attempt.
_AWAY: Final = 1.0
_AGAIN: Final = 0.1


def guarantees(settings: Settings) -> Guarantees:
    """What holds on Redis; the README says why."""
    return Guarantees(
        crosses_processes=True,
        notifications=True,
        competing_workers=True,
        ordered=True,
        notices_absence=PRESENT_FOR + POP + ASK_EVERY,  # where a service was killed; otherwise send knows
        survives_restart=False,
        redelivers=False,
        max_frame=settings.max_frame,
    )


class RedisLink(Link):
    """A line, the inbox of a service, or what publishes."""

    def __init__(self, settings: Settings, role: Role) -> None:
        super().__init__(settings, role)
        self._source = self.address or (settings.service_queue(role.name) if role.kind == "work" else "")
        self._wake = settings.own_name("wake", self.token)
        self._lock = threading.RLock()  # guards asking, and making the broker
        self._broker: Broker | None = None
        self._asking: Wire | None = None
        self._pops: Pops | None = None
        self._popping: Any = threading.RLock()
        self._receiving = threading.Lock()  # held while somebody is inside receive
        self._hearing = Hearing(self._popping, self._receiving)
        # Blocks hold the lock itself: that is one step, which no interruption leaves half done.
        self._settling = threading.RLock()  # guards the two below
        self._places = threading.Condition(self._settling)
        self._unsettled = 0
        self._closing = self._closed = False
        self._sent = Sent(settings, self.address, self._turn_if_connected)
        self._presence = Presence(presence(settings, role.name), self._source, self.token, self._turn)
        # Who sends and who receives have a connection each, and wait for theirs.
        self._redial = Redial(settings.shown, self._connect_again, self._look_again)
        self._redial_to_ask = Redial(settings.shown, self._connect_to_ask, self._look_again)

    # ---- connecting ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        if self.role.kind != "work":
            return  # whoever dials connects with the first use, which knows how long it may take
        self._presence.begin(self.settings.connect_timeout)
        with self._turn(self.settings.io_timeout) as asking:
            self._check_policy(asking)

    def _turn(self, timeout: float) -> AbstractContextManager[Wire]:
        """The connection for commands, for as long as the lock is held; made if there is none."""
        return self._held(timeout, lambda: self._connected(timeout))

    def _turn_if_connected(self, timeout: float) -> AbstractContextManager[Wire]:
        """The same; ``Unavailable`` if there is none, and made for who comes later."""
        return self._held(timeout, self._standing)

    def _held(self, timeout: float, then: Callable[[], _T]) -> AbstractContextManager[_T]:
        # Who waits for a server that may not come back keeps the turn for longer than anybody without time should wait.
        least = _TURN if self._asking is not None and self._asking.prompt else 0.0
        return Held(self._lock, max(timeout, least), self.settings.shown, then)

    def _standing(self) -> Wire:
        if self._asking is None or not self._asking.stands(time.monotonic()):
            self._redial_to_ask.begin()
            raise Unavailable(f"not connected to {self.settings.shown}")
        return self._asking

    def _connected(self, timeout: float) -> Wire:
        if self._asking is None:
            if self._closing:
                raise ClosedError("closed while connecting")
            self._broker = self._broker or Broker(self.settings, timeout)
            if self._pops is None and self._source:
                self._pops = self._make_pops(self._broker.wire(timeout))
            self._asking = self._broker.wire(timeout)
        return self._asking

    def _make_pops(self, wire: Wire) -> Pops:
        # A request cannot wait in our socket: it would be held while another worker is idle.
        nudge = self._nudge if self.role.kind == "work" else None
        keys = self._source, self._wake
        hearing = self._hearing if self.role.kind == "replies" else None
        return Pops(self.settings, wire, keys, self._popping, hearing, lambda: self._closing, nudge)

    def _check_policy(self, asking: Wire) -> None:
        try:
            _, policy = asking.ask(SOON, ("CONFIG", "GET", "maxmemory-policy"))[0]
        except (TransportError, TypeError, ValueError):
            return  # not ours to know here
        if policy != b"noeviction":
            log.warning("%s may drop queues when memory runs out: set maxmemory-policy to noeviction", asking)

    # ---- sending -------------------------------------------------------------------------------------------------

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if self._popping._is_owned():  # noqa: SLF001 - who sends waits for who pops, with the other lock held
            raise interrupted(self.settings.shown)
        message = pack(frame, "", self.settings.service_queue(service), self.address)
        deadline = time.monotonic() + timeout
        while (
            (asking := self._asking) is None
            or not asking.live
            or not self._put_if_connected(service, message, deadline)
        ):
            self._redial_to_ask.reach(deadline)

    def _put_if_connected(self, service: str, message: bytes, deadline: float) -> bool:
        """Send on the connection that there is. Whether there is one."""
        with self._held(deadline - time.monotonic(), lambda: self._asking) as asking:
            if asking is None or not asking.stands(deadline):
                return False
            if len(message) > AT_ONCE and deadline <= time.monotonic():
                raise Unavailable(f"not sent: there is no time for {len(message):,} bytes")
            # Or whoever reads next would take an end that came before for a loss of what is sent here.
            if self._pops is not None and not self._receiving.locked() and not self._pops.stands():
                self._look_again()  # who has come in just now may wait for a connection, and is to hear of it
            self._hearing.wait(deadline)
            self._hearing.sent()
            self._put(asking, service, message, max(0.0, deadline - time.monotonic()))
        return True

    def _put(self, asking: Wire, service: str, message: bytes, timeout: float) -> None:
        queue = self.settings.service_queue(service)
        self._sent.note(service)
        # One round trip for both, and in this order: an inbox that comes in between finds the request.
        asked = ("EXISTS", presence(self.settings, service)), *_push("LPUSH", queue, message, KEPT_FOR)
        try:
            present, *_ = asking.ask(timeout, *asked, least=SOON)
        except Overdue as error:
            log.debug("sent, for all we know: %s", error)  # a later look takes it back where nobody serves
            return
        if present:
            return
        try:
            (removed,) = asking.ask(timeout, ("LREM", queue, 1, message), least=SOON)
        except (Unavailable, Overdue) as error:
            raise ConnectionLost(f"the request could not be taken back: {error}") from error
        if removed:
            raise Unavailable(f"nobody serves {service!r} on {self.settings.shown}")

    def reply(self, address: str, frame: bytes) -> None:
        commands = _push("LPUSH", address, pack(frame, "", address), self.settings.expires)
        timeout, patience = self.settings.io_timeout, time.monotonic() + _AWAY
        while True:
            try:
                with self._turn(timeout) as asking:
                    asking.ask(timeout, *commands)
                return
            except Unavailable as error:
                # Nobody else has this answer. A server that is away may come back; one that refuses does not think again.
                away = self._asking is None or not self._asking.live
                if not away or time.monotonic() + _AGAIN >= patience:
                    raise ConnectionLost(f"the reply was not sent: {error}") from error
            with self._settling:
                if self._places.wait_for(lambda: self._closing, _AGAIN):
                    raise ClosedError("closed before the reply could be sent")

    def publish(self, channel: str, frame: bytes) -> None:
        exchange = self.settings.channel_exchange(channel)
        with self._turn(self.settings.connect_timeout) as asking:
            asking.ask(
                self.settings.io_timeout, ("PUBLISH", f"/{self.settings.path}.{exchange}", pack(frame, exchange, ""))
            )

    # ---- receiving -----------------------------------------------------------------------------------------------

    def receive(self, timeout: float) -> Arrived | None:
        deadline = time.monotonic() + timeout
        with self._receiving:
            try:
                return self._next(deadline)
            finally:
                self._hearing.left()

    def _next(self, deadline: float) -> Arrived | None:
        while True:
            if self._closing:
                raise ClosedError("closed while waiting")
            self._hearing.tell()  # before anything that a send may keep waiting: it waits for this
            self._sent.look(min(SOON, max(0.0, deadline - time.monotonic())))
            if self._sent.returned:
                raise Unavailable("nobody serves this any more", frame=self._sent.returned.popleft())
            left = max(0.0, deadline - time.monotonic())
            pops = self._pops if self._pops is not None and self._pops.busy else self._ready_to_pop(left)
            if pops is None:
                if left <= 0:
                    return None
                continue
            if not pops.busy and not pops.stands():
                continue
            try:
                item = pops.take(deadline)
            except Exception as error:
                loss = pops.lost(error)
                self._redial.later()
                if self._closing:
                    raise ClosedError("closed while waiting") from loss
                raise loss from error
            if item is not None:
                arrived = self._accept(item)
                if arrived is not None:
                    return arrived
            elif time.monotonic() >= deadline:
                return None

    def _ready_to_pop(self, timeout: float) -> Pops | None:
        """What to take with, once it is connected and a place is free; ``None`` if not in time, or not yet."""
        with self._settling:
            if not self._places.wait_for(lambda: self._closing or self._has_place(), timeout):
                return None
            if self._closing:
                return None
            # An attempt has the connection to itself: whoever it is for comes back when it has ended.
            if self._pops is not None and self._pops.wire.live and not self._redial.trying:
                return self._pops
            self._places.wait(min(self._redial.begin(), timeout))
            return None

    def _connect_again(self) -> None:
        try:
            with self._turn(self.settings.connect_timeout):
                pass
            if self._pops is not None:
                self._pops.wire.connect(self.settings.connect_timeout)
        finally:
            if self._closing:  # whoever closes may not have waited for this
                self._clear_up()

    def _connect_to_ask(self) -> None:
        try:
            with self._turn(self.settings.connect_timeout) as asking:
                asking.connect(self.settings.connect_timeout)
        finally:
            if self._closing:
                self._clear_up()

    def _look_again(self) -> None:
        with self._settling:
            self._places.notify_all()

    def _has_place(self) -> bool:
        return self.role.kind != "work" or self._unsettled < self.role.capacity

    def _nudge(self) -> None:
        """Let the pop that is under way end now."""
        try:
            with self._turn(SOON) as asking:
                asking.ask(SOON, *_push("LPUSH", self._wake, b"", self.settings.expires))
        except (TransportError, ClosedError) as error:
            log.debug("%s", error)

    def _accept(self, item: bytes) -> Arrived | None:
        arrived = unpack(item, self.settings.max_frame)
        if arrived is None:
            log.warning("a foreign message in %s was thrown away", self._source)
            return None
        arrived.token = item
        self._hearing.came()
        with self._settling:
            if not self._closing:
                self._unsettled += 1
                return arrived
        self._give_back(item)
        return None

    def _give_back(self, item: bytes) -> None:
        """Put a request back to where it was: next in line."""
        if self.role.kind != "work":
            return
        try:
            with self._turn(self.settings.io_timeout) as asking:
                asking.ask(self.settings.io_timeout, *_push("RPUSH", self._source, item, KEPT_FOR))
        except (TransportError, ClosedError) as error:
            log.warning("a request could not be given back and is lost: %s", error)

    def settle(self, arrived: Arrived, accepted: bool) -> None:
        if not accepted:
            self._give_back(arrived.token)
        with self._settling:
            self._unsettled -= 1
            self._places.notify_all()

    # ---- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        # Not once it was begun: where it was interrupted, the next one goes on.
        if self._closed:
            return
        with self._settling:
            self._closing = True
            self._places.notify_all()
        self._presence.end()
        for redial in (self._redial, self._redial_to_ask):
            redial.stop(patience=0.5)
        if not self._connecting:
            self._take_leave()
        self._presence.stop()
        if not self._connecting:
            self._clear_up()
        self._closed = True

    @property
    def _connecting(self) -> bool:
        return self._redial.trying or self._redial_to_ask.trying

    def _take_leave(self) -> None:
        with self._lock:  # a connection that is being made is waited for, or it would stay behind
            connected = self._broker is not None
        if connected:
            listens = self.role.kind != "work" or self._last_word(*self._presence.farewell)
            self._await_reader(nudge=listens)
            if listens:
                self._last_word("DEL", self._wake, *filter(None, [self.address]))

    def _clear_up(self) -> None:
        with self._lock:
            broker, self._broker, self._asking = self._broker, None, None
        if broker is not None:
            broker.close()

    def _last_word(self, *command: str) -> bool:
        """Tell the server, and return whether it listens: all that we leave there expires by itself."""
        try:
            with self._turn(SOON) as asking:
                asking.ask(SOON, command)
        except (TransportError, ClosedError) as error:
            log.debug("closing: %s", error)
            return False
        return True

    def _await_reader(self, *, nudge: bool) -> None:
        """Wait until nobody is inside ``receive``, and for a pop that is under way: it may have taken a request."""
        if nudge and (self._receiving.locked() or (self._pops is not None and self._pops.under_way)):
            self._nudge()
        if not self._receiving.acquire(timeout=POP):
            return
        try:
            item = None if self._pops is None else self._pops.rest()
            if item is not None:
                self._give_back(item)
        except Exception as error:
            log.debug("closing: %s", error)
        finally:
            self._receiving.release()

    def abandon(self) -> None:
        # The driver shuts a socket down only in the process that opened it; here it closes our copies.
        if self._asking is not None:
            self._asking.drop()
        if self._pops is not None:
            self._pops.wire.drop()


def _push(command: str, queue: str, message: bytes, seconds: float) -> tuple[tuple[str | bytes | int, ...], ...]:
    """The commands that put a message into a list, which vanishes with it if nobody takes it."""
    return (command, queue, message), ("PEXPIRE", queue, int(seconds * 1000))


def LINK(settings: Settings, role: Role) -> Link:  # noqa: N802 - stands where the other brokers have a class
    """What the transport makes for an end on Redis."""
    return RedisFeed(settings, role) if role.kind == "feed" else RedisLink(settings, role)
