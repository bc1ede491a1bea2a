"""Animals that wait too long, not long enough, or are not woken.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from treaty import Delivery, Inbox, Line
from treaty_contracts.wrapping import WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken

_T = TypeVar("_T")


class _Both(WrappedTransport):
    """Wraps lines and inboxes in the classes that it names."""

    line_kind: type[WrappedLine] = WrappedLine
    inbox_kind: type[WrappedInbox] = WrappedInbox

    def line(self, inner: Line) -> Line:
        return self.line_kind(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return self.inbox_kind(inner)

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return self.inbox_kind(inner)


class _SleepyInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        got = self.inner.receive(0)
        if got is None and timeout > 0:
            Event().wait(timeout)
            got = self.inner.receive(0)
        return got


@broken("never-wakes", kills=("LINE-004",), shows="from send to the inbox")
class NeverWakes(WrappedTransport):
    """A receive that is blocked at the inbox of a service looks again only when its timeout is over."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _SleepyInbox(inner)


class _SlowLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        return self.inner.receive(timeout * 3 + 0.6)


class SlowInbox(WrappedInbox):
    """Waits longer than it is told."""

    def receive(self, timeout: float) -> Delivery | None:
        return self.inner.receive(timeout * 3 + 0.6)


@broken(
    "ignores-timeout",
    kills=("LINE-003",),
    shows="within",
)
class IgnoresTimeout(_Both):
    """Receive waits three times as long as it is told, and never less than 0.6 s."""

    line_kind, inbox_kind = _SlowLine, SlowInbox


def _polled(receive: Callable[[float], _T | None], timeout: float) -> _T | None:
    until = time.monotonic() + timeout
    while (got := receive(0)) is None and time.monotonic() < until:
        Event().wait(min(0.1, max(0.0, until - time.monotonic())))
    return got


class _PollingLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        return _polled(self.inner.receive, timeout)


class PollingInbox(WrappedInbox):
    """Looks ten times a second."""

    def receive(self, timeout: float) -> Delivery | None:
        return _polled(super().receive, timeout)


@broken(
    "polls-slowly",
    kills=("LINE-004",),
    shows="the median of",
)
class PollsSlowly(_Both):
    """A blocked receive looks ten times a second."""

    line_kind, inbox_kind = _PollingLine, PollingInbox


class _LateLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        got = self.inner.receive(0)
        if got is None and timeout > 0:
            got = self.inner.receive(timeout)
            Event().wait(0.0 if got is None else 0.3)
        return got


@broken(
    "returns-late",
    kills=("LINE-004",),
    shows="from reply to the line",
)
class ReturnsLate(_Both):
    """What a line was waited for is handed over 0.3 s later."""

    line_kind = _LateLine


class _HastyLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        return self.inner.receive(timeout / 2)


class _HastyInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        return self.inner.receive(timeout / 2)


@broken(
    "returns-early",
    kills=("LINE-003",),
    shows="not earlier",
)
class ReturnsEarly(_Both):
    """Receive gives up after half of its timeout."""

    line_kind, inbox_kind = _HastyLine, _HastyInbox


class _RushedLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        return self.inner.receive(timeout - 0.1 if timeout > 0.1 else timeout)


@broken("returns-early-from-long-waits", kills=("LINE-003",), shows="receive(0.15) at the line: not earlier")
class ReturnsEarlyFromLongWaits(_Both):
    """A line that is to wait for more than 100 ms waits for 100 ms less."""

    line_kind = _RushedLine


class _CountingInMilliseconds(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        return super().receive(timeout / 1000 if isinstance(timeout, int) else timeout)


@broken("takes-whole-numbers-for-milliseconds", kills=("LINE-003",), shows="waits for what is sent meanwhile")
class TakesWholeNumbersForMilliseconds(WrappedTransport):
    """A timeout that is a whole number counts as milliseconds at the inbox of a service."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - all alike
        return _CountingInMilliseconds(inner)


class _SpinningLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        until = time.monotonic() + timeout
        got = self.inner.receive(min(timeout, 0.05))
        while got is None and time.monotonic() < until:
            got = self.inner.receive(0)
        return got


@broken("spins-in-long-waits", kills=("LINE-019",), shows="of processor time")
class SpinsInLongWaits(_Both):
    """A line that has waited for 50 ms looks again and again from then on, without a pause."""

    line_kind = _SpinningLine


def _little_less(timeout: float) -> float:
    return timeout - 0.01 if timeout > 0.02 else timeout


class _LittleEarlyInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        return super().receive(_little_less(timeout))


@broken("returns-a-little-early", kills=("LINE-003",), shows="at the inbox: not earlier")
class ReturnsALittleEarly(WrappedTransport):
    """The inbox of a service gives up 10 ms early."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - all alike
        return _LittleEarlyInbox(inner)


@broken("subscription-returns-early", kills=("NOTE-010",), shows="not earlier")
class SubscriptionReturnsEarly(WrappedTransport):
    """A subscription gives up 10 ms early."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - all alike
        return _LittleEarlyInbox(inner)


class _DeafLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        self.inner.check()
        until = time.monotonic() + timeout
        while not self.inner.closed and time.monotonic() < until:
            got = self.inner.receive(0)
            if got is not None:
                return got
            Event().wait(0.003)
        # Closed by another thread: nobody tells, so the time is waited for.
        Event().wait(max(0.0, until - time.monotonic()))
        return None if timeout else self.inner.receive(0)


class _DeafInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        self.inner.check()
        until = time.monotonic() + timeout
        while not self.inner.closed and time.monotonic() < until:
            got = self.inner.receive(0)
            if got is not None:
                return got
            Event().wait(0.003)
        Event().wait(max(0.0, until - time.monotonic()))
        return None if timeout else self.inner.receive(0)


@broken(
    "close-does-not-wake",
    kills=("LINE-005", "INBOX-006"),
    shows="blocked receive",
)
class CloseDoesNotWake(_Both):
    """A close by another thread does not end a blocked receive."""

    line_kind, inbox_kind = _DeafLine, _DeafInbox


class _BlockingLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if timeout == 0:
            Event().wait(0.25)
        self.inner.send(service, frame, timeout)


@broken(
    "send-blocks",
    kills=("LINE-004",),
    shows="send with a timeout of 0",
)
class SendBlocks(_Both):
    """Send with a timeout of 0 takes a quarter of a second."""

    line_kind = _BlockingLine


class _LockingLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._lock = threading.RLock()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        with self._lock:
            self.inner.send(service, frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        with self._lock:
            return self.inner.receive(timeout)

    def close(self) -> None:
        if self.foreign:
            self.inner.close()
            return
        with self._lock:
            self.inner.close()


@broken(
    "holds-the-lock-while-blocked",
    kills=("LINE-004",),
    shows="from send to the inbox",
)
class HoldsTheLockWhileBlocked(_Both):
    """A thread that receives at a line keeps all others from sending on it and from closing it."""

    line_kind = _LockingLine


class _DeafToZeroLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        return self.inner.receive(timeout or 3600.0)


@broken(
    "zero-is-for-ever",
    kills=("LINE-003",),
    shows="still blocked",
)
class ZeroIsForEver(_Both):
    """A timeout of 0 at a line means for ever."""

    line_kind = _DeafToZeroLine


class _HesitantInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        return super().receive(timeout or 0.02)


@broken("zero-waits-a-little", kills=("LINE-003",), shows="receive(0) at the inbox")
class ZeroWaitsALittle(_Both):
    """A timeout of 0 at an inbox means 20 ms."""

    inbox_kind = _HesitantInbox


class _BlindLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        self.check()
        return self.inner.receive(timeout) if timeout > 0 else None


class _BlindInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        return super().receive(timeout) if timeout > 0 else None


@broken("zero-finds-nothing-at-lines", kills=("LINE-018",), shows="receive(0) returns at the line")
class ZeroFindsNothingAtLines(WrappedTransport):
    """A timeout of 0 at a line means not to look."""

    def line(self, inner: Line) -> Line:
        return _BlindLine(inner)


@broken("zero-finds-nothing-at-inboxes", kills=("LINE-018",), shows="receive(0) returns at the inbox")
class ZeroFindsNothingAtInboxes(WrappedTransport):
    """A timeout of 0 at the inbox of a service means not to look."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - all alike
        return _BlindInbox(inner)


@broken("zero-finds-nothing-at-feeds", kills=("NOTE-010",), shows="receive(0) returns at a subscription")
class ZeroFindsNothingAtFeeds(WrappedTransport):
    """A timeout of 0 at a subscription means not to look."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - all alike
        return _BlindInbox(inner)


class _LockedLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._sending = threading.Lock()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        with self._sending:
            self.inner.send(service, frame, timeout)


@broken("hangs-when-it-comes-back", kills=("LIFE-034",), shows="hangs")
class HangsWhenItComesBack(WrappedTransport):
    """A line that is used by its own thread in the midst of a send waits for itself."""

    def line(self, inner: Line) -> Line:
        return _LockedLine(inner)
