"""Animals that wait too long, not long enough, or are not woken.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import time
from threading import Event

from treaty import Delivery, Inbox, Line
from treaty_contracts.wrapping import WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken


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


class _SleepyLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        got = self.inner.receive(0)
        if got is None and timeout > 0:
            Event().wait(timeout)
            got = self.inner.receive(0)
        return got


class _SleepyInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        got = self.inner.receive(0)
        if got is None and timeout > 0:
            Event().wait(timeout)
            got = self.inner.receive(0)
        return got


@broken("never-wakes")
class NeverWakes(_Both):
    """A blocked receive looks again only when its timeout is over."""

    line_kind, inbox_kind = _SleepyLine, _SleepyInbox


class _SlowLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        return self.inner.receive(timeout * 3 + 0.2)


class _SlowInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        return self.inner.receive(timeout * 3 + 0.2)


@broken("ignores-timeout")
class IgnoresTimeout(_Both):
    """Receive waits three times as long as it is told, and never less than 0.2 s."""

    line_kind, inbox_kind = _SlowLine, _SlowInbox


class _PollingLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        until = time.monotonic() + timeout
        while (got := self.inner.receive(0)) is None and time.monotonic() < until:
            Event().wait(min(0.1, max(0.0, until - time.monotonic())))
        return got


class _PollingInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        until = time.monotonic() + timeout
        while (got := super().receive(0)) is None and time.monotonic() < until:
            Event().wait(min(0.1, max(0.0, until - time.monotonic())))
        return got


@broken("polls-slowly")
class PollsSlowly(_Both):
    """A blocked receive looks ten times a second."""

    line_kind, inbox_kind = _PollingLine, _PollingInbox


class _LateLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        got = self.inner.receive(timeout)
        if got is not None:
            Event().wait(0.3)
        return got


@broken("returns-late")
class ReturnsLate(_Both):
    """Receive at a line hands over what arrived 0.3 s later."""

    line_kind = _LateLine


class _HastyLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        return self.inner.receive(timeout / 2)


class _HastyInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        return self.inner.receive(timeout / 2)


@broken("returns-early")
class ReturnsEarly(_Both):
    """Receive gives up after half of its timeout."""

    line_kind, inbox_kind = _HastyLine, _HastyInbox


class _DeafLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        self.inner.check()
        until = time.monotonic() + timeout
        while not self.inner.closed and time.monotonic() < until:
            got = self.inner.receive(0)
            if got is not None:
                return got
            Event().wait(0.001)
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
            Event().wait(0.001)
        Event().wait(max(0.0, until - time.monotonic()))
        return None if timeout else self.inner.receive(0)


@broken("close-does-not-wake")
class CloseDoesNotWake(_Both):
    """A close by another thread does not end a blocked receive."""

    line_kind, inbox_kind = _DeafLine, _DeafInbox


class _BlockingLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        Event().wait(0.3)
        self.inner.send(service, frame, timeout)


@broken("send-blocks")
class SendBlocks(_Both):
    """Send takes 0.3 s, whatever its timeout."""

    line_kind = _BlockingLine
