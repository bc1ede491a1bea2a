"""Animals whose line, inbox or subscription is broken by a loss: who hears of it, what is left, and what comes twice.

Each has one defect and no other, and lives on a healthy target with hooks. It must not know rules, nor any target.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import Final

from treaty import ConnectionLost, Delivery, Inbox, Line, Unavailable
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.way import WAY

#: Seconds that are longer than any patience with what is to happen at once, and shorter than a brief call.
_WHILE: Final = 0.4


class _UnheardLine(WrappedLine):
    """Sends nothing from a cut on until a receive has told of it."""

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._heard = WAY.cuts

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if self._heard != WAY.cuts:
            self.check()
            raise Unavailable("a loss is still to be told", frame=frame)
        self.inner.send(service, frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        cuts = WAY.cuts
        try:
            frame = self.inner.receive(0 if self._heard != cuts else timeout)
        except ConnectionLost:
            self._heard = cuts
            raise
        if frame is None and self._heard != cuts:
            self._heard = cuts
            raise ConnectionLost("the connection was lost")
        return frame


@broken(
    "refuses-until-it-has-told",
    kills=(
        "LIFE-011",
        "LIFE-014",
    ),
    shows="calls work again",
    hooked=True,
)
class RefusesUntilItHasTold(WrappedTransport):
    """A line whose connection broke takes nothing more before a receive has told of it."""

    def line(self, inner: Line) -> Line:
        return _UnheardLine(inner)


class _BlurtingLine(WrappedLine):
    """Tells of a loss only who sends next."""

    _loss: ConnectionLost | None = None

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        loss, self._loss = self._loss, None
        if loss is not None:
            self.check()
            raise loss
        self.inner.send(service, frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        until = monotonic() + timeout
        while True:
            try:
                return self.inner.receive(max(0.0, until - monotonic()))
            except ConnectionLost as loss:
                self._loss = loss


@broken("tells-only-who-sends", kills=("LIFE-021",), shows="receive has not told of the loss", hooked=True)
class TellsOnlyWhoSends(WrappedTransport):
    """Of a loss that a receive has met only the next send is told."""

    def line(self, inner: Line) -> Line:
        return _BlurtingLine(inner)


class _ShyLine(WrappedLine):
    """Tells of no loss that comes between its first request and the first receive after it."""

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._sent = 0
        self._known = WAY.cuts

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        self._sent += 1
        self._known = WAY.cuts

    def receive(self, timeout: float) -> bytes | None:
        missed = self._known != WAY.cuts
        self._known = WAY.cuts
        try:
            return self.inner.receive(timeout)
        except ConnectionLost:
            # Of several requests somebody waits for the first while the others are sent, if only by a moment.
            if missed and self._sent == 1:
                return None
            raise


@broken("tells-only-who-is-inside", kills=("LIFE-032",), shows="nothing in", hooked=True)
class TellsOnlyWhoIsInside(WrappedTransport):
    """Of a connection that broke while nobody was inside receive, nobody is told."""

    def line(self, inner: Line) -> Line:
        return _ShyLine(inner)


class _CountingLine(WrappedLine):
    """Tells of no loss once as many frames have come as went."""

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._open = 0

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        self._open += 1

    def receive(self, timeout: float) -> bytes | None:
        try:
            frame = self.inner.receive(timeout)
        except ConnectionLost:
            if self._open <= 0:
                return None
            raise
        if frame is not None:
            self._open -= 1
        return frame


@broken("counts-news-as-answers", kills=("LIFE-032",), shows="nothing in", hooked=True)
class CountsNewsAsAnswers(WrappedTransport):
    """A line takes every frame for the answer to a request, and forgets a loss when none is missing."""

    def line(self, inner: Line) -> Line:
        return _CountingLine(inner)


class _HoardingLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._known = WAY.cuts

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        if self._known != WAY.cuts:
            self._known = WAY.cuts
            os.open(os.devnull, os.O_RDONLY)


@broken("keeps-one-for-each-cut", kills=("LIFE-028",), shows="/dev/null", hooked=True)
class KeepsOneForEachCut(WrappedTransport):
    """A line keeps a descriptor for each connection that broke."""

    def line(self, inner: Line) -> Line:
        return _HoardingLine(inner)


class _EchoingFeed(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._born = WAY.cuts
        self._again: Delivery | None = None

    def receive(self, timeout: float) -> Delivery | None:
        again, self._again = self._again, None
        if again is not None:
            self.check()
            return again
        delivery = self.inner.receive(timeout)
        if self._born != WAY.cuts:
            self._again = delivery
        return delivery


@broken("subscribes-twice-when-mended", kills=("LIFE-029",), shows="a notification: how often", hooked=True)
class SubscribesTwiceWhenMended(WrappedTransport):
    """A subscription whose connection broke hears everything twice from then on."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _EchoingFeed(inner)


class _StutteringLine(WrappedLine):
    _last: bytes | None = None

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._known = WAY.cuts

    def receive(self, timeout: float) -> bytes | None:
        if self._known != WAY.cuts and not WAY.cut and self._last is not None:
            self.check()
            self._known = WAY.cuts
            return self._last
        frame = self.inner.receive(timeout)
        self._last = frame or self._last
        return frame


@broken("replies-again-when-mended", kills=("LIFE-029",), shows="a reply: how often", hooked=True)
class RepliesAgainWhenMended(WrappedTransport):
    """When a line has connected again, the last reply comes once more."""

    def line(self, inner: Line) -> Line:
        return _StutteringLine(inner)


class _InsistentLine(WrappedLine):
    _loss: ConnectionLost | None = None

    def receive(self, timeout: float) -> bytes | None:
        loss, self._loss = self._loss, None
        if loss is not None:
            self.check()
            raise ConnectionLost(str(loss))
        try:
            return self.inner.receive(timeout)
        except ConnectionLost as error:
            self._loss = error
            raise


@broken("tells-of-a-loss-again", kills=("LIFE-029",), shows="tells of one loss once", hooked=True)
class TellsOfALossAgain(WrappedTransport):
    """A receive that comes after the one that told of a loss tells of it as well."""

    def line(self, inner: Line) -> Line:
        return _InsistentLine(inner)


class _BoundDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self._born = WAY.cuts

    def settle(self, accepted: bool = True) -> None:
        if self._born == WAY.cuts:
            self.inner.settle(accepted)


class _BoundInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _BoundDelivery(inner)


@broken("loses-places-in-cuts", kills=("LIFE-029",), shows="arrive again", hooked=True)
class LosesPlacesInCuts(WrappedTransport):
    """To settle a delivery from before a cut does nothing, and its place stays taken."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _BoundInbox(inner)


def _dawdle() -> None:
    if WAY.cut:
        threading.Event().wait(_WHILE)


class _SleepyLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        if not self.closed:
            _dawdle()
        return self.inner.receive(timeout)


@broken("oversleeps-while-cut", kills=("LIFE-030",), shows="line.receive(0) while the way is cut", hooked=True)
class OversleepsWhileCut(WrappedTransport):
    """A receive at a line sleeps first while the way is cut."""

    def line(self, inner: Line) -> Line:
        return _SleepyLine(inner)


class _SluggishLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if timeout == 0 and not self.closed:
            _dawdle()
        self.inner.send(service, frame, timeout)


@broken("sends-slowly-while-cut", kills=("LIFE-030",), shows="line.send(..., 0) while the way is cut", hooked=True)
class SendsSlowlyWhileCut(WrappedTransport):
    """A send with a timeout of 0 waits a while when the way is cut."""

    def line(self, inner: Line) -> Line:
        return _SluggishLine(inner)
