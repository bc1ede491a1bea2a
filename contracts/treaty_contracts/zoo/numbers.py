"""Animals that are right for a few and wrong for many, or right once and wrong the second time.

Each has one defect and no other; where it is about short frames only, it is so that services do not show it at random.
It must not know rules.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import ClassVar

from treaty import Delivery, Inbox, Line, TreatyError
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.delivery import KeepsTheLastThree, WithInbox

#: What services send is longer, by its seal alone.
_SHORT = 32
#: How many subscribers of a channel are served.
_SEATS = 8
#: How many replies to one request are sent.
_REPLIES = 100


class _Tiring(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self._replies = count()

    def reply(self, frame: bytes) -> None:
        if next(self._replies) < _REPLIES:
            self.inner.reply(frame)


class _TiringInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Tiring(inner)


@broken("forgets-in-time", kills=("LINE-007",), shows="a frame that was replied")
class ForgetsInTime(WithInbox):
    """After a hundred replies to a request the way back is forgotten."""

    kind = _TiringInbox


@broken("keeps-a-hundred", kills=("INBOX-007",), shows="a request that was queued")
class KeepsAHundred(KeepsTheLastThree):
    """Of the requests that were queued while nobody served only the first hundred reach the next inbox."""

    kept = slice(100)


class _Possessive(WrappedLine):
    def __init__(self, inner: Line, look: Callable[[str], Inbox | None]) -> None:
        super().__init__(inner)
        self._look = look
        self._sent: dict[str, set[bytes]] = {}

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        if len(frame) < _SHORT:
            self._sent.setdefault(service, set()).add(frame)

    def close(self) -> None:
        if not self.closed and not self.foreign:
            for service, frames in self._sent.items():
                with suppress(TreatyError):
                    self._take_back(service, frames)
        self.inner.close()

    def _take_back(self, service: str, frames: set[bytes]) -> None:
        queue = self._look(service)
        if queue is None:
            return
        with queue:
            waiting = list(iter(partial(queue.receive, 0), None))
            for delivery in reversed(waiting):
                delivery.settle(accepted=delivery.frame in frames)


@broken("takes-back-at-close", kills=("INBOX-007",), shows="a request that was queued")
class TakesBackAtClose(WrappedTransport):
    """What a line has sent, and nobody serves yet, goes with it."""

    open: ClassVar[list[tuple[str, Inbox]]] = []

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        inbox = self.inner.serve(service, capacity)
        self.open.append((service, inbox))
        return inbox

    def line(self, inner: Line) -> Line:
        return _Possessive(inner, self._queue)

    def _queue(self, service: str) -> Inbox | None:
        served = any(name == service and not inbox.closed for name, inbox in self.open)
        return None if served else self.inner.serve(service, 10_000)


class _OnceMarked(WrappedDelivery):
    def __init__(self, inner: Delivery, times: int) -> None:
        super().__init__(inner)
        self.redelivered = inner.redelivered and times == 1


class _OnceMarking(WrappedInbox):
    def __init__(self, inner: Inbox, seen: Counter[bytes]) -> None:
        super().__init__(inner)
        self._seen = seen

    def delivery(self, inner: Delivery) -> Delivery:
        if len(inner.frame) >= _SHORT or not inner.redelivered:
            return inner
        self._seen[inner.frame] += 1
        return _OnceMarked(inner, self._seen[inner.frame])


@broken("marks-once", kills=("INBOX-008",), shows="marked as redelivered")
class MarksOnce(WrappedTransport):
    """A short request that is redelivered a second time is not marked then."""

    seen: ClassVar[Counter[bytes]] = Counter()

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _OnceMarking(inner, self.seen)


class _Unmarking(WrappedDelivery):
    def __init__(self, inner: Delivery, given_back: set[bytes]) -> None:
        super().__init__(inner)
        self.redelivered = inner.redelivered and inner.frame not in given_back
        self._given_back = given_back

    def settle(self, accepted: bool = True) -> None:
        if not accepted and self.redelivered and len(self.frame) < _SHORT:
            self._given_back.add(self.frame)
        self.inner.settle(accepted)


class _UnmarkingInbox(WrappedInbox):
    def __init__(self, inner: Inbox, given_back: set[bytes]) -> None:
        super().__init__(inner)
        self._given_back = given_back

    def delivery(self, inner: Delivery) -> Delivery:
        return _Unmarking(inner, self._given_back)


@broken("unmarks-what-is-given-back", kills=("INBOX-008",), shows="marked as redelivered")
class UnmarksWhatIsGivenBack(WrappedTransport):
    """A short request that was redelivered, and is given back, comes to the next one as if nobody had had it."""

    given_back: ClassVar[set[bytes]] = set()

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _UnmarkingInbox(inner, self.given_back)


class _Remembered(WrappedDelivery):
    def __init__(self, inner: Delivery, open_ones: list[Delivery]) -> None:
        super().__init__(inner)
        self._open = open_ones

    def settle(self, accepted: bool = True) -> None:
        if self.inner in self._open:
            self._open.remove(self.inner)
        self.inner.settle(accepted)


class _StingyInbox(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._open: list[Delivery] = []

    def delivery(self, inner: Delivery) -> Delivery:
        if len(inner.frame) >= _SHORT:
            return inner
        self._open.append(inner)
        return _Remembered(inner, self._open)

    def close(self) -> None:
        if not self.closed and not self.foreign:
            for delivery in self._open[1:]:
                delivery.settle()
        self.inner.close()


@broken("gives-on-only-one", kills=("INBOX-008",), shows="the request that was not settled")
class GivesOnOnlyOne(WithInbox):
    """Of several short requests that an inbox leaves unsettled, only the first one goes to another inbox."""

    kind = _StingyInbox


@broken("notifies-eight", kills=("NOTE-005",), shows="what subscriber")
class NotifiesEight(WrappedTransport):
    """Notifications reach no more than eight subscribers of a channel."""

    feeds: ClassVar[list[tuple[str, Inbox]]] = []

    def subscribe(self, channel: str) -> Inbox:
        taken = sum(name == channel and not feed.closed for name, feed in self.feeds)
        feed = self.inner.subscribe(channel)
        if taken >= _SEATS:
            feed.close()
            feed = self.inner.subscribe(f"{channel[:50]}-standing")
        self.feeds.append((channel, feed))
        return feed


class _FullInbox(WrappedInbox):
    def __init__(self, inner: Inbox, capacity: int) -> None:
        super().__init__(inner)
        self._capacity = capacity
        self._taken = 0
        self._room = threading.Condition()

    def receive(self, timeout: float) -> Delivery | None:
        self.inner.check()
        with self._room:
            if not self._room.wait_for(lambda: self._taken < self._capacity, timeout):
                return None
        return super().receive(timeout)

    def delivery(self, inner: Delivery) -> Delivery:
        if len(inner.frame) >= _SHORT:
            return inner
        with self._room:
            self._taken += 1
        return _Counted(inner, self._leave)

    def _leave(self) -> None:
        with self._room:
            self._taken -= 1
            self._room.notify_all()


class _Counted(WrappedDelivery):
    def __init__(self, inner: Delivery, leave: Callable[[], None]) -> None:
        super().__init__(inner)
        self._leave: Callable[[], None] | None = leave

    def settle(self, accepted: bool = True) -> None:
        leave, self._leave = self._leave, None
        self.inner.settle(accepted)
        if leave is not None:
            leave()


@broken("close-does-not-wake-the-full", kills=("INBOX-006",), shows="the blocked receive")
class CloseDoesNotWakeTheFull(WrappedTransport):
    """A receive that waits for room, as short requests have taken all of it, is not ended by close."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return _FullInbox(self.inner.serve(service, capacity), capacity)
