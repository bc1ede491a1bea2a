"""Queues in one process, under one lock for each hub. Two transports with one URL meet at one hub.

A hub lives as long as a line, an inbox or a subscription on it is open. Nothing here starts a thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from treaty import (
    MAX_FRAME,
    ConfigurationError,
    Delivery,
    FrameTooLarge,
    Guarantees,
    Inbox,
    InvalidURL,
    Line,
    Resource,
    Transport,
    Unavailable,
    check_name,
)

_R = TypeVar("_R", bound=Resource)
#: How many frames wait at one place before ``send`` says that there is no room.
ROOM: Final = 100_000
#: What means something else in a URL is no part of a name, so that no port or option is passed over in silence.
_MEANT_OTHERWISE: Final = frozenset("/?#@:[]")


def connect(url: str, *, max_frame: int = MAX_FRAME) -> MemoryTransport:
    """Make a transport for ``memory://name``: everything in this process that names it meets there."""
    scheme, _, name = url.partition("://")
    name = name.removesuffix("/")
    if scheme.lower() != "memory" or not name or not _MEANT_OTHERWISE.isdisjoint(name):
        # The address is not repeated: it may hold a password.
        raise InvalidURL("this is no address in memory: write 'memory://name', with nothing before or behind the name")
    return MemoryTransport(name, max_frame=max_frame)


class _Mail:
    """A queue with its readers; every use is under the hub's lock."""

    def __init__(self, lock: Any) -> None:
        self.frames: deque[MemoryDelivery] = deque()
        self.changed = threading.Condition(lock)


class _Hub:
    """Where the two ends meet."""

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        self.numbers = count(1)
        self.lines: dict[str, MemoryLine] = {}
        self.services: dict[str, list[MemoryInbox]] = {}
        self.queues: dict[str, _Mail] = {}
        self.subscribers: dict[str, list[MemoryInbox]] = {}

    @property
    def empty(self) -> bool:
        return not (self.lines or self.services or self.subscribers)


class _Hubs:
    """The hubs of this process, by name."""

    def __init__(self) -> None:
        self.begin()
        # What a forked child inherits is a copy that nobody reads: frames put into it would vanish.
        os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """Begin without hubs, and with a lock that nobody holds."""
        self.lock = threading.RLock()
        self.by_name: dict[str, _Hub] = {}


_HUBS: Final = _Hubs()


class MemoryDelivery(Delivery):
    """A frame that arrived."""

    def __init__(self, hub: _Hub, frame: bytes, reply_to: str, max_frame: int) -> None:
        self.frame = frame
        self.reply_to = reply_to
        self.inbox: MemoryInbox | None = None
        self._hub = hub
        self._max_frame = max_frame

    def reply(self, frame: bytes) -> None:
        assert self.inbox is not None
        self.inbox.check()
        _check_size(frame, self._max_frame)
        with self._hub.lock:
            self.inbox.check()
            if line := self._hub.lines.get(self.reply_to):
                line.arrived.put(frame)

    def settle(self, accepted: bool = True) -> None:
        inbox = self.inbox
        if inbox is None or inbox.foreign:
            return
        with self._hub.lock:
            if self not in inbox.unsettled:
                return
            inbox.unsettled.discard(self)
            if not accepted and inbox.mail is not None:
                inbox.mail.frames.appendleft(self)
            inbox.notify()


class MemoryLine(Line):
    """A caller's end."""

    def __init__(self, transport: MemoryTransport, hub: _Hub) -> None:
        super().__init__()
        #: Not under the lock: Ctrl-C may interrupt whoever waits here, and a Condition would be left in disorder.
        self.arrived: SimpleQueue[bytes | Unavailable | None] = SimpleQueue()
        self._transport = transport
        self._hub = hub
        with hub.lock:
            self._address = f"line-{next(hub.numbers)}"
            hub.lines[self._address] = self

    @property
    def address(self) -> str:
        return self._address

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.check()
        check_name(service)
        _check_size(frame, self._transport.guarantees.max_frame)
        if self._hub.lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            raise Unavailable("not sent: this thread was in the middle of something that this interrupted")
        with self._hub.lock:
            self.check()
            mail = self._hub.queues.get(service)
            if mail is None:
                raise Unavailable(f"nobody serves {service!r} here", frame=frame)
            if not mail.changed.wait_for(lambda: len(mail.frames) < ROOM or self._closed, timeout):
                raise Unavailable(f"the queue of {service!r} is full", frame=frame)
            mail.frames.append(MemoryDelivery(self._hub, frame, self._address, self._transport.guarantees.max_frame))
            mail.changed.notify_all()

    def receive(self, timeout: float) -> bytes | None:
        self.check()
        try:
            frame = self.arrived.get(timeout=max(timeout, 0.0))
        except Empty:
            frame = None
        self.check()
        if isinstance(frame, Unavailable):
            raise frame
        return frame

    def close(self) -> None:
        if self.foreign:
            self._closed = True
            return
        with self._hub.lock:
            self._closed = True
            self._hub.lines.pop(self._address, None)
        self.arrived.put(None)  # wakes whoever waits
        self._transport.forget(self)


class MemoryInbox(Inbox):
    """A worker's place at a service's queue (with ``mail``), or a subscriber's own (without)."""

    def __init__(self, transport: MemoryTransport, hub: _Hub, name: str, *, capacity: int = 0) -> None:
        super().__init__()
        self.unsettled: set[MemoryDelivery] = set()
        self.mail: _Mail | None = None
        self.own = _Mail(hub.lock)
        self._transport = transport
        self._hub = hub
        self._name = name
        self._capacity = capacity
        with hub.lock:
            if capacity:
                self.mail = hub.queues.setdefault(name, _Mail(hub.lock))
                hub.services.setdefault(name, []).append(self)
            else:
                hub.subscribers.setdefault(name, []).append(self)

    def notify(self) -> None:
        """Wake whoever waits for a frame or for room. Under the hub's lock."""
        (self.mail or self.own).changed.notify_all()

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        until = time.monotonic() + timeout
        mail = self.mail or self.own
        with self._hub.lock:
            mail.changed.wait_for(lambda: self._closed or self._has_next(mail), max(0.0, until - time.monotonic()))
            self.check()
            if not self._has_next(mail):
                return None
            delivery = mail.frames.popleft()
            delivery.inbox = self
            if self._capacity:
                self.unsettled.add(delivery)
            mail.changed.notify_all()
            return delivery

    def _has_next(self, mail: _Mail) -> bool:
        return bool(mail.frames) and (not self._capacity or len(self.unsettled) < self._capacity)

    def close(self) -> None:
        if self.foreign:
            self._closed = True
            return
        with self._hub.lock:
            if not self._closed:
                self._closed = True
                self._leave()
            self.notify()
        self._transport.forget(self)

    def _leave(self) -> None:
        places = self._hub.services if self._capacity else self._hub.subscribers
        places[self._name].remove(self)
        if not places[self._name]:
            del places[self._name]
            if self._capacity:
                # Nobody is left to answer: what was not taken goes back.
                for delivery in self._hub.queues.pop(self._name).frames:
                    if line := self._hub.lines.get(delivery.reply_to):
                        text = f"nobody serves {self._name!r} here any more, and nobody had taken this"
                        line.arrived.put(Unavailable(text, frame=delivery.frame))


class MemoryTransport(Transport):
    """A transport inside one process; see the README beside this file for what it promises."""

    def __init__(self, name: str, *, max_frame: int = MAX_FRAME) -> None:
        super().__init__()
        self.name = name
        self.guarantees = Guarantees(
            crosses_processes=False,
            notifications=True,
            competing_workers=True,
            ordered=True,
            notices_absence=0.0,
            survives_restart=False,
            redelivers=False,
            max_frame=max_frame,
        )
        self._open: set[Resource] = set()
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<MemoryTransport {self.name}>"

    def dial(self) -> Line:
        self.check()
        with self._lock:
            self.check()
            return self._remember(MemoryLine(self, self._hub()))

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self.check()
        check_name(service)
        if capacity < 1:
            raise ConfigurationError(f"an inbox has room for one delivery or more, not {capacity!r}")
        with self._lock:
            self.check()
            return self._remember(MemoryInbox(self, self._hub(), service, capacity=capacity))

    def subscribe(self, channel: str) -> Inbox:
        self.check()
        check_name(channel)
        with self._lock:
            self.check()
            return self._remember(MemoryInbox(self, self._hub(), channel))

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        check_name(channel)
        _check_size(frame, self.guarantees.max_frame)
        with _HUBS.lock:
            hub = _HUBS.by_name.get(self.name)
        if hub is None:
            return
        with hub.lock:
            for inbox in hub.subscribers.get(channel, ()):
                inbox.own.frames.append(MemoryDelivery(hub, frame, "", self.guarantees.max_frame))
                inbox.notify()

    def close(self) -> None:
        self._closed = True
        if self.foreign:
            return
        with self._lock:
            remaining = list(self._open)
        for resource in remaining:
            resource.close()

    def forget(self, resource: Resource) -> None:
        """Let go of a closed line or inbox, and of the hub with the last of them. For these."""
        with self._lock:
            self._open.discard(resource)
        with _HUBS.lock:
            hub = _HUBS.by_name.get(self.name)
            if hub is not None and hub.empty:
                del _HUBS.by_name[self.name]

    def _hub(self) -> _Hub:
        with _HUBS.lock:
            return _HUBS.by_name.setdefault(self.name, _Hub())

    def _remember(self, resource: _R) -> _R:
        self._open.add(resource)
        return resource


def _check_size(frame: bytes, limit: int) -> None:
    if len(frame) > limit:
        raise FrameTooLarge(f"a frame of {len(frame):,} bytes is over the limit of {limit:,}")
