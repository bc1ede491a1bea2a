"""Animals whose ends are not their own: what one of them leaves behind is in the way of another, or of the next.

Each has one defect and no other. It must not know rules, nor any target.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from itertools import count

from treaty import Delivery, Inbox, Line, Transport, TransportError, Unavailable
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.references import complete


class _ThrowingInbox(WrappedInbox):
    def __init__(self, inner: Inbox, lines: list[Line]) -> None:
        super().__init__(inner)
        self._lines = lines

    def close(self) -> None:
        for line in self._lines:
            with suppress(TransportError):
                while line.receive(0) is not None:
                    pass
        super().close()


@broken("throws-away-what-waits-for-others", kills=("LIFE-031",), shows="arrives at the line")
class ThrowsAwayWhatWaitsForOthers(WrappedTransport):
    """An inbox that closes throws away what waits at the lines of its transport."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._lines: list[Line] = []

    def line(self, inner: Line) -> Line:
        self._lines.append(inner)
        return inner

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - all alike
        return _ThrowingInbox(inner, self._lines)


class _CountedDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, taken: set[int]) -> None:
        super().__init__(inner)
        self._taken = taken
        taken.add(id(self))

    def settle(self, accepted: bool = True) -> None:
        self._taken.discard(id(self))
        super().settle(accepted)


class _CountingInbox(WrappedInbox):
    """Knows what it has handed out, and when it closes leaves the number of what was never settled."""

    def __init__(self, inner: Inbox, left: Counter[str], service: str) -> None:
        super().__init__(inner)
        self._taken = set[int]()
        self._left = left
        self._service = service

    def delivery(self, inner: Delivery) -> Delivery:
        return _CountedDelivery(inner, self._taken)

    def close(self) -> None:
        self._left[self._service] += len(self._taken)
        self._taken.clear()
        super().close()


class _FullInbox(WrappedInbox):
    """Has no room for anything."""

    def __init__(self, inner: Inbox, other: Inbox) -> None:
        super().__init__(inner)
        self._other = other

    def receive(self, timeout: float) -> Delivery | None:
        return self._other.receive(timeout)

    def close(self) -> None:
        self._other.close()
        super().close()


@broken("places-stay-taken", kills=("LIFE-031",), shows="opened anew")
class PlacesStayTaken(WrappedTransport):
    """What an inbox has not settled when it closes takes places of the next inbox of that name."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._left = Counter[str]()
        self._numbers = count()

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        inbox = self.inner.serve(service, capacity)
        if self._left[service] >= capacity:
            return _FullInbox(inbox, self.inner.serve(f"nobody-{next(self._numbers)}"))
        return _CountingInbox(inbox, self._left, service)


@broken("hears-only-the-first-subscription", kills=("LIFE-031",), shows="subscription 2 of the same channel")
class HearsOnlyTheFirstSubscription(WrappedTransport):
    """Who was subscribed to a channel, and is no more, and subscribes to it again hears nothing."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._open = Counter[str]()
        self._over = set[str]()

    def subscribe(self, channel: str) -> Inbox:
        anew = channel in self._over and not self._open[channel]
        self._open[channel] += 1
        return _LastingFeed(self.inner.subscribe(f"{channel[:40]}-again" if anew else channel), channel, self)

    def left(self, channel: str) -> None:
        """A subscription was closed."""
        self._open[channel] -= 1
        self._over.add(channel)


class _LastingFeed(WrappedInbox):
    def __init__(self, inner: Inbox, channel: str, transport: HearsOnlyTheFirstSubscription) -> None:
        super().__init__(inner)
        self._channel = channel
        self._transport = transport

    def close(self) -> None:
        if not self.closed:
            self._transport.left(self._channel)
        super().close()


class _UsedDelivery(WrappedDelivery):
    """Is whatever was handed out last."""

    settled = False

    def settle(self, accepted: bool = True) -> None:
        self.settled = True
        super().settle(accepted)


class _SparingInbox(WrappedInbox):
    _last: _UsedDelivery | None = None

    def delivery(self, inner: Delivery) -> Delivery:
        if self._last is None or not self._last.settled:
            self._last = _UsedDelivery(inner)
        else:
            self._last.__init__(inner)  # type: ignore[misc]  # the same object, as if just made
            self._last.settled = False
        return self._last


@broken("uses-deliveries-again", kills=("LINE-007",), shows="after replies to what was settled before")
class UsesDeliveriesAgain(WrappedTransport):
    """A delivery that was settled becomes the next one."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - all alike
        return _SparingInbox(inner)


#: The addresses of lines that were closed, in this process: each rule has one of its own.
_GONE: set[str] = set()


class _StrayDelivery(WrappedDelivery):
    _strayed = False

    def reply(self, frame: bytes) -> None:
        if self._strayed:
            os.open(os.devnull, os.O_RDONLY)
        self._strayed = self.reply_to in _GONE
        super().reply(frame)


class _StrayInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _StrayDelivery(inner)


class _GoingLine(WrappedLine):
    def close(self) -> None:
        if not self.closed:
            _GONE.add(self.address)
        super().close()


@broken("keeps-one-for-each-who-has-gone", kills=("LIFE-027",), shows="/dev/null")
class KeepsOneForEachWhoHasGone(WrappedTransport):
    """Each further reply to a line that was closed leaves a descriptor behind."""

    def line(self, inner: Line) -> Line:
        return _GoingLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - all alike
        return _StrayInbox(inner)


class _HopefulLine(WrappedLine):
    def __init__(self, inner: Line, known: set[str]) -> None:
        super().__init__(inner)
        self._known = known

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except Unavailable:
            if service not in self._known:
                raise
        else:
            self._known.add(service)

    def receive(self, timeout: float) -> bytes | None:
        try:
            return self.inner.receive(timeout)
        except Unavailable:
            return None


@broken(
    "forgets-that-one-has-left",
    kills=("LINE-013",),
    shows="Unavailable in",
    base=complete(survives_restart=False, redelivers=False),
)
class ForgetsThatOneHasLeft(WrappedTransport):
    """What is sent to a service that was there once, and has left, is lost without a word."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._known = set[str]()

    def line(self, inner: Line) -> Line:
        return _HopefulLine(inner, self._known)
