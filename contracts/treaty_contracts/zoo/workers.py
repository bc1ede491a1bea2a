"""Animals that share the requests of a service out among its workers in a wrong way.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import threading
from collections import Counter
from itertools import count
from typing import ClassVar

from treaty import Delivery, Inbox, Line
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken


@broken("ignores-capacity", kills=("INBOX-004",), shows="a third one while two are unsettled")
class IgnoresCapacity(WrappedTransport):
    """Every inbox takes whatever comes."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return self.inner.serve(service, capacity + 10_000 if capacity > 0 else capacity)


@broken("hands-out-one-more", kills=("INBOX-004",), shows="an inbox with room for 3")
class HandsOutOneMore(WrappedTransport):
    """An inbox with room for three or more takes one more than that."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return self.inner.serve(service, capacity + 1 if capacity >= 3 else capacity)


class _CountingInbox(WrappedInbox):
    """Keeps the capacity by counting how often something is settled."""

    def __init__(self, inner: Inbox, capacity: int) -> None:
        super().__init__(inner)
        self._places = threading.Semaphore(capacity)

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        if not self._places.acquire(timeout=min(timeout, 0.01)):
            # In slices, so that a close by another thread is noticed.
            return None if timeout <= 0.01 else self.receive(timeout - 0.01)
        delivery = self.inner.receive(timeout)
        if delivery is None:
            self._places.release()
            return None
        return _CountedDelivery(delivery, self._places)


class _CountedDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, places: threading.Semaphore) -> None:
        super().__init__(inner)
        self._places = places

    def settle(self, accepted: bool = True) -> None:
        self.inner.settle(accepted)
        self._places.release()


@broken("settle-twice-counts-twice", kills=("INBOX-004",), shows="another one, after one was settled twice")
class SettleTwiceCountsTwice(WrappedTransport):
    """A delivery that is settled twice makes room for two."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        if capacity < 1:
            return self.inner.serve(service, capacity)
        return _CountingInbox(self.inner.serve(service, capacity + 10_000), capacity)


class _DullInbox(WrappedInbox):
    def __init__(self, inner: Inbox, capacity: int) -> None:
        super().__init__(inner)
        self._capacity = capacity
        self._unsettled = 0

    def receive(self, timeout: float) -> Delivery | None:
        full, never = self._unsettled >= self._capacity, threading.Event()
        while full and timeout > 0 and not self.closed:
            never.wait(min(timeout, 0.01))
            timeout -= 0.01
        return super().receive(max(timeout, 0.0))

    def delivery(self, inner: Delivery) -> Delivery:
        self._unsettled += 1
        return _DullDelivery(inner, self)

    def settled(self) -> None:
        """Note it, and tell nobody."""
        self._unsettled -= 1


class _DullDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, inbox: _DullInbox) -> None:
        super().__init__(inner)
        self._inbox: _DullInbox | None = inbox

    def settle(self, accepted: bool = True) -> None:
        self.inner.settle(accepted)
        if self._inbox is not None:
            self._inbox.settled()
            self._inbox = None


@broken("settling-wakes-nobody", kills=("INBOX-004",), shows="at a thread that waits")
class SettlingWakesNobody(WrappedTransport):
    """Who waits at an inbox that is full looks again only when the timeout is over."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return _DullInbox(self.inner.serve(service, capacity), capacity)


class _Place(WrappedInbox):
    """An inbox with a queue of its own, which senders choose."""

    def __init__(self, inner: Inbox, name: str, places: list[str]) -> None:
        super().__init__(inner)
        self._name = name
        self._places = places

    def close(self) -> None:
        if self._name in self._places and not self.foreign:
            self._places.remove(self._name)
        self.inner.close()


class _Separate(WrappedTransport):
    """Gives each worker of a service a queue of its own. Whoever sends chooses among them in :meth:`chosen`."""

    #: The names of the queues, by service.
    places: ClassVar[dict[str, list[str]]]
    turns: ClassVar[dict[str, int]]
    numbers = count(1)

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        if len(service) > 50 or not service[:1].isalnum():
            return self.inner.serve(service, capacity)
        places = self.places.setdefault(service, [])
        # The first one has the plain name, which survives a restart as it would without this.
        name = service if service not in places else f"{service}-{next(self.numbers)}"
        inner = self.inner.serve(name, capacity)
        places.append(name)
        return _Place(inner, name, places)

    def line(self, inner: Line) -> Line:
        return _ChoosingLine(inner, self)

    def chosen(self, service: str) -> list[str]:
        """Return the queues that a request goes to."""
        return self.places.get(service) or [service]


class _ChoosingLine(WrappedLine):
    def __init__(self, inner: Line, by: _Separate) -> None:
        super().__init__(inner)
        self._by = by

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        for place in list(self._by.chosen(service)):
            self.inner.send(place, frame, timeout)


@broken("delivers-to-every-worker", kills=("INBOX-002",), shows="how often each request arrives")
class DeliversToEveryWorker(_Separate):
    """Each of the inboxes that compete gets every request."""

    places: ClassVar = {}
    turns: ClassVar = {}


@broken(
    "deals-in-turn",
    kills=(
        "INBOX-003",
        "INBOX-005",
    ),
    shows="a request, at the inbox that is idle,",
)
class DealsInTurn(_Separate):
    """Requests are dealt out to the workers in turn, whether they are busy or not."""

    places: ClassVar = {}
    turns: ClassVar = {}

    def chosen(self, service: str) -> list[str]:
        places = super().chosen(service)
        turn = self.turns[service] = self.turns.get(service, -1) + 1
        return [places[turn % len(places)]]


class _GreedyInbox(WrappedInbox):
    """Takes all that is there, and marks what it gives back."""

    def delivery(self, inner: Delivery) -> Delivery:
        return _MarkedDelivery(inner)


class _MarkedDelivery(WrappedDelivery):
    marked: ClassVar[set[bytes]] = set()

    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self.redelivered = inner.redelivered or inner.frame in self.marked
        self.marked.discard(inner.frame)

    def settle(self, accepted: bool = True) -> None:
        if not accepted:
            self.marked.add(self.frame)
        self.inner.settle(accepted)


@broken("marks-what-is-given-back", kills=("INBOX-005",), shows="not marked as redelivered")
class MarksWhatIsGivenBack(WrappedTransport):
    """A request that nobody ran is marked as redelivered when it is given back."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _GreedyInbox(inner)


class _CountedLine(WrappedLine):
    def __init__(self, inner: Line, waiting: Counter[str]) -> None:
        super().__init__(inner)
        self._waiting = waiting

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        self._waiting[service] += 1


class _CrowdedInbox(WrappedInbox):
    def __init__(self, inner: Inbox, waiting: Counter[str], service: str) -> None:
        super().__init__(inner)
        self._waiting = waiting
        self._service = service

    def delivery(self, inner: Delivery) -> Delivery:
        self._waiting[self._service] -= 1
        return _CrowdedDelivery(inner, self._waiting, self._service)


class _CrowdedDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, waiting: Counter[str], service: str) -> None:
        super().__init__(inner)
        self._waiting = waiting
        self._service = service

    def settle(self, accepted: bool = True) -> None:
        self.inner.settle(accepted or self._waiting[self._service] >= 4)


@broken("crowds-out-what-is-given-back", kills=("INBOX-005",), shows=" lost")
class CrowdsOutWhatIsGivenBack(WrappedTransport):
    """A request that a worker does not accept is gone where four others wait."""

    #: How many wait for a service.
    waiting: ClassVar[Counter[str]] = Counter()

    def line(self, inner: Line) -> Line:
        return _CountedLine(inner, self.waiting)

    def inbox(self, inner: Inbox, service: str) -> Inbox:
        return _CrowdedInbox(inner, self.waiting, service)
