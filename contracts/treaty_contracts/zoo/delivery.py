"""Animals that deliver requests and replies to the wrong place, or forget where a reply goes.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import ClassVar

from treaty import Delivery, Inbox, Line, TreatyError
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.references import complete


class WithInbox(WrappedTransport):
    """Wraps the inboxes of services in the class that it names."""

    kind: type[WrappedInbox]

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return self.kind(inner)


class _LastAsker(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self.last: list[Delivery] = []

    def delivery(self, inner: Delivery) -> Delivery:
        self.last[:] = [inner]
        return _ToTheLast(inner, self.last)


class _ToTheLast(WrappedDelivery):
    def __init__(self, inner: Delivery, last: list[Delivery]) -> None:
        super().__init__(inner)
        self._last = last

    def reply(self, frame: bytes) -> None:
        self._last[0].reply(frame)


@broken("echoes-to-the-wrong-line", kills=("LINE-002",), shows="what the lines get")
class EchoesToTheWrongLine(WithInbox):
    """A reply goes to whoever asked last."""

    kind = _LastAsker


class _Outstanding(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self.open: list[Delivery] = []

    def delivery(self, inner: Delivery) -> Delivery:
        self.open.append(inner)
        return _Swapped(inner, self.open)


class _Swapped(WrappedDelivery):
    def __init__(self, inner: Delivery, others: list[Delivery]) -> None:
        super().__init__(inner)
        self._others = others

    def reply(self, frame: bytes) -> None:
        other = next((one for one in self._others if one is not self.inner), self.inner)
        other.reply(frame)

    def settle(self, accepted: bool = True) -> None:
        if self.inner in self._others:
            self._others.remove(self.inner)
        self.inner.settle(accepted)


@broken("swaps-replies", kills=("LINE-002",), shows="what the lines get")
class SwapsReplies(WithInbox):
    """While two requests are open, the reply to one goes to the other."""

    kind = _Outstanding


class _OnceOnly(WrappedDelivery):
    replied = False

    def reply(self, frame: bytes) -> None:
        if not self.replied:
            self.inner.reply(frame)
        self.replied = True


class _OnceInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _OnceOnly(inner)


@broken(
    "one-reply-only",
    kills=("LINE-007",),
    shows="a frame that was replied",
)
class OneReplyOnly(WithInbox):
    """Only the first reply to a request is sent."""

    kind = _OnceInbox


class _UntilSettled(WrappedDelivery):
    settled = False

    def reply(self, frame: bytes) -> None:
        if not self.settled:
            self.inner.reply(frame)

    def settle(self, accepted: bool = True) -> None:
        self.settled = True
        self.inner.settle(accepted)


class _UntilSettledInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _UntilSettled(inner)


@broken("forgets-after-settle", kills=("LINE-007",), shows="a frame that was replied")
class ForgetsAfterSettle(WithInbox):
    """The way back is forgotten when a request is settled."""

    kind = _UntilSettledInbox


class _Accepting(WrappedDelivery):
    def settle(self, accepted: bool = True) -> None:  # noqa: ARG002 - that is the defect
        self.inner.settle(accepted=True)


class _AcceptingInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Accepting(inner)


@broken("drops-what-is-given-back", kills=("INBOX-005", "INBOX-008"), shows="the request that was given back")
class DropsWhatIsGivenBack(WithInbox):
    """A request that a worker does not accept is gone."""

    kind = _AcceptingInbox


class _Unmarked(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self.redelivered = False


class _UnmarkingInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Unmarked(inner)


@broken("redelivers-unmarked", kills=("INBOX-008",), shows="marked as redelivered")
class RedeliversUnmarked(WithInbox):
    """What is given to another worker is not marked."""

    kind = _UnmarkingInbox


class _Forgetful(WrappedDelivery):
    replied = False

    def reply(self, frame: bytes) -> None:
        self.inner.reply(frame)
        self.replied = True

    def settle(self, accepted: bool = True) -> None:
        if self.replied or not accepted:
            self.inner.settle(accepted)


class _ForgetfulInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Forgetful(inner)


@broken(
    "frees-what-was-replied",
    kills=("INBOX-004", "INBOX-003"),
    shows="the next request when one is settled",
)
class FreesWhatWasReplied(WithInbox):
    """A delivery that is settled without a reply keeps its place."""

    kind = _ForgetfulInbox


class _Nameless(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        if len(inner.frame) < 40:
            self.reply_to = ""


class _NamelessInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Nameless(inner)


@broken("misnames-the-asker", kills=("LINE-011",), shows="reply_to of the delivery")
class MisnamesTheAsker(WithInbox):
    """A delivery of fewer than forty bytes does not say where replies go."""

    kind = _NamelessInbox


class _OldRouteLine(WrappedLine):
    def __init__(self, inner: Line, births: dict[str, int], numbers: Iterator[int]) -> None:
        super().__init__(inner)
        self._births = births
        self._numbers = numbers
        self._used_at = 0
        self._known: set[str] = set()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if service in self._births and service not in self._known and not self.closed and not self.foreign:
            self._known.add(service)
            if 0 < self._used_at < self._births[service]:
                return
        self.inner.send(service, frame, timeout)
        self._used_at = self._used_at or next(self._numbers)


@broken(
    "late-serve",
    kills=("INBOX-001",),
    shows="a frame that was sent",
)
class LateServe(WrappedTransport):
    """A line that was in use before a service began loses its first request to it."""

    births: ClassVar[dict[str, int]] = {}
    numbers = count(1)

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self.births.setdefault(service, next(self.numbers))
        return self.inner.serve(service, capacity)

    def line(self, inner: Line) -> Line:
        return _OldRouteLine(inner, self.births, self.numbers)


@broken(
    "second-serve-steals",
    kills=("REFUSE-COMPETING-WORKERS",),
    shows="AddressInUse",
    base=complete(competing_workers=False),
)
class SecondServeSteals(WrappedTransport):
    """Whoever serves a service that is served takes it away from the first."""

    holders: ClassVar[dict[str, Inbox]] = {}

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        holder = self.holders.pop(service, None)
        if holder is not None and not self.closed:
            holder.close()
        self.holders[service] = inbox = self.inner.serve(service, capacity)
        return inbox


@broken("keeps-the-last-three", kills=("INBOX-007",), shows="a request that was queued")
class KeepsTheLastThree(WrappedTransport):
    """Of the requests that were queued while nobody served only the last three reach the next inbox."""

    open: ClassVar[list[tuple[str, Inbox]]] = []
    kept: ClassVar[slice] = slice(-3, None)

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        if not self.closed and not self.foreign and not self._served(service):
            with suppress(TreatyError), self.inner.serve(service, 10_000) as first:
                queued = list(iter(partial(first.receive, 0), None))
                kept = queued[self.kept]
                for delivery in reversed(queued):
                    delivery.settle(accepted=delivery not in kept)
        inbox = self.inner.serve(service, capacity)
        self.open.append((service, inbox))
        return inbox

    def _served(self, service: str) -> bool:
        return any(name == service and not inbox.closed for name, inbox in self.open)
