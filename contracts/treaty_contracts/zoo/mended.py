"""Animals whose line, inbox or subscription is broken by a loss: who hears of it, what is left, and what comes twice.

Each has one defect and no other, and lives on a healthy target with hooks. It must not know rules, nor any target.
"""

from __future__ import annotations

from time import monotonic

from treaty import ConnectionLost, Line, Unavailable
from treaty_contracts.wrapping import WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.way import WAY


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
