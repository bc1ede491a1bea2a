"""Redis: requests and replies in lists, one connection to take from them and one to write to them.

Whoever is inside ``receive`` owns the first; a lock guards the second. A request that was popped is in our hands only,
so a pop is never left under way without somebody to take its answer. And since Redis makes a list for any name, a line
takes back what it put where nobody serves. It must not know what is inside a frame.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from treaty import ClosedError, ConnectionLost, Guarantees, TransportError, Unavailable

from .envelope import pack, unpack
from .link import Arrived, Link, Pulse, Role, held, log
from .redial import Redial
from .redis_feed import RedisFeed
from .redis_sent import ASK_EVERY, Sent, presence
from .redis_wire import Broker, Wire
from .settings import Settings

#: The longest that one blocking pop lasts at the server: a dead connection shows when its answer is overdue.
_POP: Final = 1.0
#: And the shortest: one that rounds to nothing lasts for ever. With less time than this a pop does not wait.
_SHORTEST: Final = 0.001
#: How often a reader looks up from the socket, in case nothing else tells it that the end was closed.
_LOOK: Final = 0.25
#: How long to wait for an answer that must be on its way.
_SOON: Final = 0.25
#: An inbox says so often that it is there, and is forgotten so long after it stopped saying so.
_PRESENT_EVERY: Final = 0.75
_PRESENT_FOR: Final = 3.0
#: Requests vanish so long after the last push and the last sign of life: when each line had its chance to look.
_KEPT_FOR: Final = 6.0
#: How long another thread's command may keep ``send`` waiting when its timeout is 0.
_TURN: Final = 0.05


def guarantees(settings: Settings) -> Guarantees:
    """What holds on Redis; the README says why."""
    return Guarantees(
        crosses_processes=True,
        notifications=True,
        competing_workers=True,
        ordered=True,
        notices_absence=_PRESENT_FOR + _POP + ASK_EVERY,  # where a service was killed; otherwise send knows
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
        self._taking: Wire | None = None
        self._receiving = threading.Lock()  # held while somebody is inside receive: it owns taking
        self._popped_at: float | None = None  # when the pop that is under way was sent
        self._patient_until = 0.0  # and how long its answer is waited for at least
        self._places = threading.Condition()  # guards the two below
        self._unsettled = 0
        self._closing = False
        self._sent = Sent(settings, self.address, self._turn)
        self._pulse: Pulse | None = None
        self._redial = Redial(self._connect_again, self._look_again)

    # ---- connecting ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        if self.role.kind != "work":
            return  # whoever dials connects with the first use, which knows how long it may take
        with self._turn(self.settings.connect_timeout) as asking:
            self._say_present(asking, self.settings.io_timeout)
            self._check_policy(asking)
        self._pulse = Pulse("presence", _PRESENT_EVERY, self._beat)

    @contextmanager
    def _turn(self, timeout: float) -> Iterator[Wire]:
        """The connection for commands, for as long as the lock is held; made if there is none."""
        with held(self._lock, max(timeout, _TURN), self.settings.shown):
            if self._asking is None:
                if self._closing:
                    raise ClosedError("closed while connecting")
                if timeout <= 0:
                    raise Unavailable(f"not connected to {self.settings.shown}, and there is no time to connect")
                self._broker = self._broker or Broker(self.settings, timeout)
                self._taking = self._taking or (self._broker.wire(timeout) if self._source else None)
                self._asking = self._broker.wire(timeout)
            yield self._asking

    def _check_policy(self, asking: Wire) -> None:
        try:
            _, policy = asking.ask(0, ("CONFIG", "GET", "maxmemory-policy"))[0]
        except (TransportError, TypeError, ValueError):
            return  # not ours to know here
        if policy != b"noeviction":
            log.warning("%s may drop queues when memory runs out: set maxmemory-policy to noeviction", asking)

    # ---- presence ------------------------------------------------------------------------------------------------

    def _say_present(self, asking: Wire, timeout: float) -> None:
        key = presence(self.settings, self.role.name)
        asking.ask(
            timeout,
            ("SADD", key, self.token),
            ("PEXPIRE", key, int(_PRESENT_FOR * 1000)),
            ("PEXPIRE", self._source, int(_KEPT_FOR * 1000)),
        )

    def _beat(self) -> None:
        # No longer than until the next one: others may want the connection, and one who closes waits for this.
        with self._turn(_PRESENT_EVERY) as asking:
            if not self._closing:
                self._say_present(asking, _PRESENT_EVERY)

    # ---- sending -------------------------------------------------------------------------------------------------

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        queue = self.settings.service_queue(service)
        message = pack(frame, "", queue, self.address)
        deadline = time.monotonic() + timeout
        with self._turn(timeout) as asking:
            timeout = max(0.0, deadline - time.monotonic())
            self._sent.note(service)
            # One round trip for both, and in this order: an inbox that comes in between finds the request.
            present, *_ = asking.ask(
                timeout, ("EXISTS", presence(self.settings, service)), *_push("LPUSH", queue, message, _KEPT_FOR)
            )
            if present:
                return
            try:
                (removed,) = asking.ask(timeout, ("LREM", queue, 1, message))
            except Unavailable as error:
                raise ConnectionLost(f"the request could not be taken back: {error}") from error
            if removed:
                raise Unavailable(f"nobody serves {service!r} on {self.settings.shown}")

    def reply(self, address: str, frame: bytes) -> None:
        try:
            with self._turn(self.settings.io_timeout) as asking:
                message = pack(frame, "", address)
                asking.ask(self.settings.io_timeout, *_push("LPUSH", address, message, self.settings.expires))
        except Unavailable as error:
            raise ConnectionLost(f"the reply was not sent: {error}") from error

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
            while True:
                if self._closing:
                    raise ClosedError("closed while waiting")
                self._sent.look(min(_SOON, max(0.0, deadline - time.monotonic())))
                if self._sent.returned:
                    raise Unavailable("nobody serves this any more", frame=self._sent.returned.popleft())
                left = max(0.0, deadline - time.monotonic())
                taking = self._taking if self._popped_at is not None else self._ready_to_pop(left)
                if taking is None:
                    if left <= 0:
                        return None
                    continue
                if self._popped_at is None:
                    taking.check_idle()
                    if not taking.live:  # nothing was under way, so nothing is lost
                        continue
                try:
                    if self._popped_at is None:
                        self._pop(taking, left)
                    item = self._answer(taking, deadline)
                except Exception as error:
                    self._popped_at = None
                    self._redial.later()
                    loss = taking.lost(error)
                    if self._closing:
                        raise ClosedError("closed while waiting") from loss
                    raise loss from error
                if item is not None:
                    arrived = self._accept(item)
                    if arrived is not None:
                        return arrived
                elif time.monotonic() >= deadline:
                    return None

    def _ready_to_pop(self, timeout: float) -> Wire | None:
        """The connection to take from, once there is one and a place is free; ``None`` if not in time, or not yet."""
        with self._places:
            if not self._places.wait_for(lambda: self._closing or self._has_place(), timeout):
                return None
            if self._closing:
                return None
            # An attempt has the connection to itself: whoever it is for comes back when it has ended.
            if self._taking is not None and self._taking.live and not self._redial.trying:
                return self._taking
            self._places.wait(min(self._redial.begin(), timeout))
            return None

    def _connect_again(self) -> None:
        try:
            with self._turn(self.settings.connect_timeout):
                pass
            if self._taking is not None:
                self._taking.connect(self.settings.connect_timeout)
        finally:
            if self._closing:  # whoever closes may not have waited for this
                self._clear_up()

    def _look_again(self) -> None:
        with self._places:
            self._places.notify_all()

    def _has_place(self) -> bool:
        return self.role.kind != "work" or self._unsettled < self.role.capacity

    def _pop(self, taking: Wire, left: float) -> None:
        now = time.monotonic()
        # A pop that does not wait is answered at once.
        self._patient_until = now + (_SOON if left < _SHORTEST else 0.0)
        with self._whole(taking):
            if left < _SHORTEST:
                taking.write(("RPOP", self._source))
            else:
                taking.write(("BRPOP", self._source, self._wake, f"{min(left, _POP):.3f}"))
            self._popped_at = now

    @contextmanager
    def _whole(self, taking: Wire) -> Iterator[None]:
        """What is done in here is done as a whole, or the connection is dropped: an interruption in the middle of it
        would leave answers to the wrong questions.
        """
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self._popped_at = None
                taking.drop()

    def _answer(self, taking: Wire, deadline: float) -> bytes | None:
        """What was popped. ``None``: nothing, or nothing yet and the time is up."""
        sent = self._popped_at or 0.0
        until, nudged = max(deadline, self._patient_until), False
        while not taking.arrives(max(0.0, min(until - time.monotonic(), _LOOK))):
            now = time.monotonic()
            if self._closing:
                return None  # close() takes the answer
            if now > sent + _POP + self.settings.io_timeout:
                raise TimeoutError("no answer to a pop")
            if now >= until:
                # Replies can wait in our socket. A request cannot: it would be held while another worker is idle.
                if nudged or self.role.kind != "work":
                    return None
                nudged = True
                self._nudge()
                until = time.monotonic() + _SOON
        return self._read_item(taking)

    def _read_item(self, taking: Wire) -> bytes | None:
        with self._whole(taking):
            answer = taking.read()
            self._popped_at = None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, list):
            key, answer = answer
            if key == self._wake.encode():
                return None
        return answer if isinstance(answer, bytes) else None

    def _nudge(self) -> None:
        """Let the pop that is under way end now."""
        try:
            with self._turn(_SOON) as asking:
                asking.ask(_SOON, *_push("LPUSH", self._wake, b"", self.settings.expires))
        except (TransportError, ClosedError) as error:
            log.debug("%s", error)

    def _accept(self, item: bytes) -> Arrived | None:
        arrived = unpack(item, self.settings.max_frame)
        if arrived is None:
            log.warning("a foreign message in %s was thrown away", self._source)
            return None
        arrived.token = item
        with self._places:
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
                asking.ask(self.settings.io_timeout, *_push("RPUSH", self._source, item, _KEPT_FOR))
        except (TransportError, ClosedError) as error:
            log.warning("a request could not be given back and is lost: %s", error)

    def settle(self, arrived: Arrived, accepted: bool) -> None:
        if not accepted:
            self._give_back(arrived.token)
        with self._places:
            self._unsettled -= 1
            self._places.notify_all()

    # ---- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        with self._places:
            if self._closing:
                return
            self._closing = True
            self._places.notify_all()
        self._redial.stop()
        if not self._redial.trying:
            self._take_leave()
        if self._pulse is not None:
            self._pulse.stop()
        if not self._redial.trying:
            self._clear_up()

    def _take_leave(self) -> None:
        with self._lock:  # a connection that is being made is waited for, or it would stay behind
            connected = self._broker is not None
        if connected:
            listens = self.role.kind != "work" or self._last_word(
                "SREM", presence(self.settings, self.role.name), self.token
            )
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
            with self._turn(_SOON) as asking:
                asking.ask(_SOON, command)
        except (TransportError, ClosedError) as error:
            log.debug("closing: %s", error)
            return False
        return True

    def _await_reader(self, *, nudge: bool) -> None:
        """Wait until nobody is inside ``receive``, and for a pop that is under way: it may have taken a request."""
        if nudge and (self._receiving.locked() or self._popped_at is not None):
            self._nudge()
        if not self._receiving.acquire(timeout=_POP):
            return
        try:
            if self._popped_at is not None and self._taking is not None and self._taking.arrives(_SOON):
                item = self._read_item(self._taking)
                if item is not None:
                    self._give_back(item)
        except Exception as error:
            log.debug("closing: %s", error)
        finally:
            self._receiving.release()

    def abandon(self) -> None:
        # The driver shuts a socket down only in the process that opened it; here it closes our copies.
        for wire in (self._asking, self._taking):
            if wire is not None:
                wire.drop()


def _push(command: str, queue: str, message: bytes, seconds: float) -> tuple[tuple[str | bytes | int, ...], ...]:
    """The commands that put a message into a list, which vanishes with it if nobody takes it."""
    return (command, queue, message), ("PEXPIRE", queue, int(seconds * 1000))


def LINK(settings: Settings, role: Role) -> Link:  # noqa: N802 - stands where the other brokers have a class
    """What the transport makes for an end on Redis."""
    return RedisFeed(settings, role) if role.kind == "feed" else RedisLink(settings, role)
