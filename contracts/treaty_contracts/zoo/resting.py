"""Animals that time does harm to: what rests for some seconds is lost.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import time
from typing import Final

from treaty import Delivery, Inbox, Line
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.delivery import WithInbox

#: Seconds for which all is well. No rule but one leaves anything alone for as long.
_WELL: Final = 3.0


class _Impatient(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self._until = time.monotonic() + _WELL

    def reply(self, frame: bytes) -> None:
        if time.monotonic() < self._until:
            self.inner.reply(frame)


class _ImpatientInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Impatient(inner)


@broken("forgets-slow-handlers", kills=("LINE-020",), shows="the reply to what came long ago arrives")
class ForgetsSlowHandlers(WithInbox):
    """A reply that comes more than three seconds after its request goes nowhere."""

    kind = _ImpatientInbox


#: When each frame was sent, by whichever end of this process.
_sent: Final[dict[bytes, float]] = {}


class _DatedLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        _sent[frame] = time.monotonic()
        self.inner.send(service, frame, timeout)


class _FreshInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        now = time.monotonic()
        if delivery is None or now - _sent.pop(delivery.frame, now) < _WELL:
            return delivery
        delivery.settle()
        return self.inner.receive(timeout)


@broken("forgets-what-waits", kills=("LINE-020",), shows="a request that has waited arrives")
class ForgetsWhatWaits(WrappedTransport):
    """A request that nobody has received for three seconds is thrown away."""

    def line(self, inner: Line) -> Line:
        return _DatedLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _FreshInbox(inner)


class _DrowsyLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._used = time.monotonic()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        before, self._used = self._used, time.monotonic()
        self.check()
        if self._used - before < _WELL:
            self.inner.send(service, frame, timeout)


@broken("loses-the-first-after-a-rest", kills=("LINE-020",), shows="a frame that was sent (5 bytes) arrives")
class LosesTheFirstAfterARest(WrappedTransport):
    """What is sent by a line after three seconds without anything to do is lost."""

    def line(self, inner: Line) -> Line:
        return _DrowsyLine(inner)
