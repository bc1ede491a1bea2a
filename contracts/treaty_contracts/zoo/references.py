"""Two healthy transports inside one process, to test the rules on: everything declared, and nothing declared.

One implementation does what its declaration says, question by question, so that both branches of every question run.
It is written for this purpose and shares nothing with any adapter. It must not know rules, nor animals.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, MutableSequence
from itertools import count
from typing import Any, Final, TypeVar

import msgspec

from treaty import (
    AddressInUse,
    ConfigurationError,
    Delivery,
    FrameTooLarge,
    Guarantees,
    Inbox,
    Line,
    Resource,
    Transport,
    Unavailable,
    Unsupported,
    check_name,
)
from treaty_contracts.target import Context, Target

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Resource)

#: All that a transport inside one process can promise.
COMPLETE: Final = Guarantees(
    crosses_processes=False,
    notifications=True,
    competing_workers=True,
    ordered=True,
    notices_absence=0.0,
    survives_restart=True,
    redelivers=True,
    max_frame=1024 * 1024,
)
#: The least that a transport can promise.
MINIMAL: Final = Guarantees(
    crosses_processes=False,
    notifications=False,
    competing_workers=False,
    ordered=False,
    notices_absence=None,
    survives_restart=False,
    redelivers=False,
    max_frame=64 * 1024,
)
#: How many frames wait for a service before there is no room.
ROOM: Final = 100_000


class _Hub:
    """Where the ends of one name meet: one lock, and one condition on which everybody waits."""

    def __init__(self, *, elsewhere: bool) -> None:
        self.changed = threading.Condition()
        self.numbers = count(1)
        self.users = 0
        #: Whether this name was in use by the process that forked this one: nobody here can reach what is there.
        self.elsewhere = elsewhere
        self.lines: dict[str, ReferenceLine] = {}
        self.queues: dict[str, deque[ReferenceDelivery]] = {}
        self.inboxes: dict[str, list[ReferenceInbox]] = {}
        self.feeds: dict[str, list[ReferenceInbox]] = {}


class _Hubs:
    """The hubs of this process, which live as long as a transport of their name is open."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Hub] = {}
        self._lock = threading.Lock()
        self._elsewhere: frozenset[str] = frozenset()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._elsewhere |= self._by_name.keys()
        self._by_name = {}
        self._lock = threading.Lock()

    def join(self, name: str) -> _Hub:
        with self._lock:
            hub = self._by_name.setdefault(name, _Hub(elsewhere=name in self._elsewhere))
            hub.users += 1
            return hub

    def leave(self, name: str, hub: _Hub) -> None:
        with self._lock:
            hub.users -= 1
            if not hub.users and self._by_name.get(name) is hub:
                del self._by_name[name]


_HUBS: Final = _Hubs()


class ReferenceDelivery(Delivery):
    """A frame on its way to an inbox, and in its hands."""

    def __init__(self, hub: _Hub, frame: bytes, reply_to: str, max_frame: int) -> None:
        self.frame = frame
        self.reply_to = reply_to
        self.inbox: ReferenceInbox | None = None
        self._hub = hub
        self._max_frame = max_frame

    def reply(self, frame: bytes) -> None:
        assert self.inbox is not None
        self.inbox.check()
        _check_size(frame, self._max_frame)
        with self._hub.changed:
            self.inbox.check()
            if line := self._hub.lines.get(self.reply_to):
                line.arrived.append(frame)
                self._hub.changed.notify_all()

    def settle(self, accepted: bool = True) -> None:
        inbox = self.inbox
        if inbox is None or inbox.foreign:
            return
        with self._hub.changed:
            if self in inbox.unsettled:
                inbox.unsettled.remove(self)
                if not accepted and inbox.name in self._hub.queues:
                    self._hub.queues[inbox.name].appendleft(self)
                self._hub.changed.notify_all()


class ReferenceLine(Line):
    """A caller's end."""

    def __init__(self, transport: ReferenceTransport, hub: _Hub) -> None:
        super().__init__()
        self.arrived: deque[bytes] = deque()
        self._transport = transport
        self._hub = hub
        with hub.changed:
            self._address = f"line-{next(hub.numbers)}"
            hub.lines[self._address] = self

    @property
    def address(self) -> str:
        return self._address

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.check()
        check_name(service)
        _check_size(frame, self._transport.keeps.max_frame)
        hub, queues = self._hub, self._hub.queues
        with hub.changed:
            # A service that closes meanwhile takes its queue with it: nothing is to be waited for then.
            free = hub.changed.wait_for(
                lambda: self._closed or len(queues.get(service, ())) < self._transport.room, timeout
            )
            self.check()
            if not free:
                raise Unavailable(f"the queue of {service!r} is full", frame=frame)
            if service in queues:
                made = ReferenceDelivery(hub, frame, self._address, self._transport.keeps.max_frame)
                queues[service].append(made)
                hub.changed.notify_all()
            elif hub.elsewhere or self._transport.keeps.notices_absence is not None:
                raise Unavailable(f"nobody serves {service!r} here", frame=frame)

    def receive(self, timeout: float) -> bytes | None:
        self.check()
        with self._hub.changed:
            self._hub.changed.wait_for(lambda: self.arrived or self._closed, timeout)
            self.check()
            return self._transport.taken(self.arrived) if self.arrived else None

    def close(self) -> None:
        if self.foreign:
            self._closed = True
            return
        with self._hub.changed:
            self._closed = True
            self._hub.lines.pop(self._address, None)
            self._hub.changed.notify_all()
        self._transport.forget(self)


class ReferenceInbox(Inbox):
    """A worker's place at the queue of a service, or, without a capacity, a subscriber's own queue."""

    def __init__(self, transport: ReferenceTransport, hub: _Hub, name: str, capacity: int | None = None) -> None:
        super().__init__()
        self.name = name
        self.own: deque[ReferenceDelivery] = deque()
        self.unsettled: list[ReferenceDelivery] = []
        self._transport = transport
        self._hub = hub
        self._capacity = capacity
        places = hub.feeds if capacity is None else hub.inboxes
        with hub.changed:
            if hub.elsewhere:
                raise Unavailable("this address belongs to the process that forked this one")
            if capacity is not None and places.get(name) and not transport.keeps.competing_workers:
                raise AddressInUse(f"somebody serves {name!r} already")
            places.setdefault(name, []).append(self)
            if capacity is not None:
                hub.queues.setdefault(name, deque())

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        with self._hub.changed:
            self._hub.changed.wait_for(lambda: self._closed or self._next(), timeout)
            self.check()
            waiting = self._next()
            if not waiting:
                return None
            delivery = self._transport.taken(waiting, self._first_of_last(waiting))
            delivery.inbox = self
            if self._capacity is not None:
                self.unsettled.append(delivery)
            self._hub.changed.notify_all()
            return delivery

    def _first_of_last(self, waiting: deque[ReferenceDelivery]) -> int:
        """Where the first frame of the sender stands that was the last to send, if that is who is next."""
        if not self._transport.by_sender or self._capacity is None:
            return 0
        return next(index for index, one in enumerate(waiting) if one.reply_to == waiting[-1].reply_to)

    def _next(self) -> deque[ReferenceDelivery] | None:
        """The queue to take from, if there is anything in it and room for it here."""
        if self._capacity is None:
            return self.own
        return self._hub.queues[self.name] if len(self.unsettled) < self._capacity else None

    def close(self) -> None:
        if self.foreign:
            self._closed = True
            return
        with self._hub.changed:
            if not self._closed:
                self._closed = True
                self._leave()
            self._hub.changed.notify_all()
        self._transport.forget(self)

    def _leave(self) -> None:
        places = self._hub.feeds if self._capacity is None else self._hub.inboxes
        places[self.name].remove(self)
        if self._capacity is None:
            return
        if self._transport.keeps.redelivers:
            for delivery in reversed(self.unsettled):
                again = ReferenceDelivery(self._hub, delivery.frame, delivery.reply_to, self._transport.keeps.max_frame)
                again.redelivered = True
                self._hub.queues[self.name].appendleft(again)
        self.unsettled.clear()
        if not places[self.name] and not self._transport.keeps.survives_restart:
            del self._hub.queues[self.name]


class ReferenceTransport(Transport):
    """A transport inside one process that does what it declares, and no more.

    Args:
        name: what is opened with one name in one process meets.
        keeps: what it does, which is also what it declares. What redelivers survives restarts as well.
        room: how many frames wait for a service before ``send`` says that there is no room.
        by_sender: whether order is kept for each sender alone: the one that came last is served first.
    """

    def __init__(self, name: str, keeps: Guarantees, *, room: int = ROOM, by_sender: bool = False) -> None:
        super().__init__()
        self.name = name
        self.keeps = keeps
        self.guarantees = keeps
        self.room = room
        self.by_sender = by_sender
        self._hub = _HUBS.join(name)
        self._open: set[Resource] = set()
        self._lock = threading.Lock()
        self._turn = False

    def dial(self) -> Line:
        self.check()
        with self._lock:
            self.check()
            return self._remember(ReferenceLine(self, self._hub))

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self.check()
        check_name(service)
        if capacity < 1:
            raise ConfigurationError(f"an inbox has room for one delivery or more, not {capacity!r}")
        with self._lock:
            self.check()
            return self._remember(ReferenceInbox(self, self._hub, service, capacity))

    def subscribe(self, channel: str) -> Inbox:
        self.check()
        check_name(channel)
        self._check_notifications()
        with self._lock:
            self.check()
            return self._remember(ReferenceInbox(self, self._hub, channel))

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        check_name(channel)
        _check_size(frame, self.keeps.max_frame)
        self._check_notifications()
        with self._hub.changed:
            for feed in self._hub.feeds.get(channel, ()):
                feed.own.append(ReferenceDelivery(self._hub, frame, "", self.keeps.max_frame))
            self._hub.changed.notify_all()

    def close(self) -> None:
        before, self._closed = self._closed, True
        if self.foreign:
            return
        with self._lock:
            remaining = list(self._open)
        for resource in remaining:
            resource.close()
        if not before:
            _HUBS.leave(self.name, self._hub)

    def forget(self, resource: Resource) -> None:
        """Let go of a closed line or inbox. For these."""
        with self._lock:
            self._open.discard(resource)

    def taken(self, waiting: MutableSequence[_T], index: int = 0) -> _T:
        """Take the next of those that wait: where order is not promised, every other time one that has overtaken."""
        self._turn = not self._turn
        if self._turn and len(waiting) > 1 and not self.keeps.ordered:
            index = 1
        one = waiting[index]
        del waiting[index]
        return one

    def _check_notifications(self) -> None:
        if not self.keeps.notifications:
            raise Unsupported("this transport carries no notifications")

    def _remember(self, resource: _R) -> _R:
        self._open.add(resource)
        return resource


def _check_size(frame: bytes, limit: int) -> None:
    if len(frame) > limit:
        raise FrameTooLarge(f"a frame of {len(frame):,} bytes is over the limit of {limit:,}")


def opener(keeps: Guarantees, **options: Any) -> Callable[[Context], Transport]:
    """Return what opens a reference transport for a target."""
    return lambda context: ReferenceTransport(context.namespace, keeps, **options)


def complete(**changes: Any) -> Guarantees:
    """Return the complete declaration with some answers changed."""
    return msgspec.structs.replace(COMPLETE, **changes)


def reference(name: str, *, time_scale: float) -> Target:
    """Return the target ``"complete"`` or ``"minimal"``."""
    return Target(name=name, open=opener({"complete": COMPLETE, "minimal": MINIMAL}[name]), time_scale=time_scale)
