"""Animals whose lines lose or confuse frames under pressure: many replies wait, a frame is too large, nobody is there.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from treaty import Delivery, FrameTooLarge, Inbox, Line, Unavailable
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.references import MINIMAL


class _OvertakenDelivery(WrappedDelivery):
    """Of many small replies, one overwrites another."""

    small = 0

    def reply(self, frame: bytes) -> None:
        self.small += len(frame) < 40
        if self.small != 10 or len(frame) >= 40:
            self.inner.reply(frame)


class _OverwritingInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _OvertakenDelivery(inner)


@broken(
    "loses-for-disorder",
    kills=("REFUSE-ORDERED", "LINE-007"),
    shows="a frame that was replied",
    base=MINIMAL,
)
class LosesForDisorder(WrappedTransport):
    """Of ten small replies to one request, the last is overwritten by one that it overtakes."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _OverwritingInbox(inner)


class _FullLine(WrappedLine):
    def __init__(self, inner: Line, room: int) -> None:
        super().__init__(inner)
        self._room = room

    def receive(self, timeout: float) -> bytes | None:
        waiting: Any = getattr(self.inner, "arrived", ())
        while len(waiting) > self._room:
            self.inner.receive(0)
        return self.inner.receive(timeout)


@broken("drops-under-load", kills=("SETUP-005",), shows=" lost")
class DropsUnderLoad(WrappedTransport):
    """When a line is read, all but the last twelve replies that wait there are dropped."""

    def line(self, inner: Line) -> Line:
        return _FullLine(inner, 12)


class _PoisonedLine(WrappedLine):
    poisoned = False

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if self.poisoned:
            self.check()
            raise Unavailable("the connection is in an odd state", frame=frame)
        try:
            self.inner.send(service, frame, timeout)
        except FrameTooLarge:
            self.poisoned = True
            raise


@broken("poisoned-by-size", kills=("LINE-012",), shows="odd state")
class PoisonedBySize(WrappedTransport):
    """A line on which somebody tried to send too much sends nothing any more."""

    def line(self, inner: Line) -> Line:
        return _PoisonedLine(inner)


class _FatalLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except FrameTooLarge:
            os._exit(3)


@broken("ends-the-process", kills=("LINE-012",), shows="ended with exit code 3")
class EndsTheProcess(WrappedTransport):
    """A frame that is too large ends the process."""

    def line(self, inner: Line) -> Line:
        return _FatalLine(inner)


class _EndlessLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except FrameTooLarge:
            threading.Event().wait()


@broken("hangs-for-ever", kills=("LINE-012",), shows="the rule was given up")
class HangsForEver(WrappedTransport):
    """Who sends a frame that is too large never comes back."""

    def line(self, inner: Line) -> Line:
        return _EndlessLine(inner)


class _ConfusedLine(WrappedLine):
    """Says of what nobody took that it was the frame before it."""

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._before = b"something else altogether, and long enough to be told from any other frame"
        self._lost: list[bytes] = []

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except Unavailable:
            self._lost.append(self._before)

    def receive(self, timeout: float) -> bytes | None:
        if self._lost:
            raise Unavailable("nobody took a frame", frame=self._lost.pop())
        return self.inner.receive(timeout)


@broken("returns-the-wrong-frame", kills=("LINE-013",), shows="the frame that came back")
class ReturnsTheWrongFrame(WrappedTransport):
    """What nobody took comes back, and with it a frame that was never sent."""

    def line(self, inner: Line) -> Line:
        return _ConfusedLine(inner)


class _TornDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self._under_way: list[bytes] = []

    def reply(self, frame: bytes) -> None:
        if len(frame) < 60_000:
            self.inner.reply(frame)
            return
        self._under_way.append(frame)
        threading.Event().wait(0.005)
        alone = len(self._under_way) == 1
        self.inner.reply(frame if alone else frame[::-1])
        self._under_way.pop()


class _TearingInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _TornDelivery(inner)


@broken("interleaves-replies", kills=("LINE-007",), shows="the replies that arrive")
class InterleavesReplies(WrappedTransport):
    """Large replies to one request, from several threads at once, are mixed up."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _TearingInbox(inner)
