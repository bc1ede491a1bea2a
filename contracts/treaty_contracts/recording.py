"""Writes down every frame that crosses the interface: when, at which end, in which direction; and every call on it.

The recorder changes nothing about the transport that it wraps. It must not know rules or secrets.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from treaty import Delivery, Inbox, Line, Resource, Transport
from treaty_contracts.expect import Violated, said, shown
from treaty_contracts.operations import Operations
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport

_KEPT: Final = 5_000
_KEPT_BYTES: Final = 64 * 1024
_SHOWN: Final = 40
_PREFIX: Final = 44
#: So much is shown of what an error says.
_SAID: Final = 160
#: One for all traces, and held during a fork: the child never inherits it from a thread that it does not have.
_LOCK: Final = threading.Lock()
os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


class Crossing(NamedTuple):
    """A frame that crossed the interface."""

    at: float
    #: Which end, such as ``client-2``.
    end: str
    #: ``"out"`` of this end, or ``"in"``.
    direction: str
    #: What was called, such as ``send``.
    verb: str
    #: The frame, or the first 64 KiB of it.
    frame: bytes
    size: int


class Trace:
    """The crossings of one rule. Appending is safe from any thread, and in a forked child."""

    def __init__(self) -> None:
        self._crossings: deque[Crossing] = deque(maxlen=_KEPT)
        self._started = time.monotonic()
        self._ends = count(1)
        #: What was done where no frames cross, in words.
        self._said: deque[str] = deque(maxlen=_KEPT)
        self._raised: deque[tuple[float, str]] = deque(maxlen=_KEPT)
        #: The first thing that arrived and is no frame at all. Who receives may be a thread that must not end of it.
        self.misfit: Violated | None = None
        #: What was called, for the program that does the same.
        self.operations: Final = Operations(self._note_raised)

    def end(self, role: str) -> str:
        """Return a name for another end."""
        return f"{role}-{next(self._ends)}"

    def add(self, end: str, direction: str, verb: str, frame: bytes) -> None:
        """Write down a frame."""
        at = time.monotonic() - self._started
        crossing = Crossing(at, end, direction, verb, frame[:_KEPT_BYTES], len(frame))
        with _LOCK:
            self._crossings.append(crossing)

    def fitting(self, end: str, frame: object) -> bytes:
        """Return what arrived at an end, which must be bytes.

        Raises:
            Violated: it is something else.
        """
        fits: bytes = self.of_kind(bytes, frame, f"bytes, as the frame that arrives at {end}")
        return fits

    def of_kind(self, kind: type, given: Any, expected: str) -> Any:
        """Return what a transport gave, which must be of a kind.

        Raises:
            Violated: it is something else.
        """
        if isinstance(given, kind):
            return given
        found = Violated(expected, f"{type(given).__name__}: {shown(given)}")
        self.misfit = self.misfit or found
        raise found

    def say(self, what: str) -> None:
        """Write down what is no frame."""
        at = time.monotonic() - self._started
        with _LOCK:
            self._said.append(f"{at * 1000:9.1f} ms  {what}")

    def _note_raised(self, end: str, verb: str, error: BaseException) -> None:
        at = time.monotonic() - self._started
        text = said(error).partition("\n")[0][:_SAID]
        with _LOCK:
            self._raised.append((at, f"{at * 1000:9.1f} ms  {end:<10} !! {verb:<8} {text}"))

    def snapshot(self) -> list[Crossing]:
        """Return what was written down until now, oldest first: other threads go on writing."""
        with _LOCK:
            return list(self._crossings)

    def restart(self) -> None:
        """Forget what was written down: another case begins."""
        with _LOCK:
            self._crossings.clear()
            self._said.clear()
            self._raised.clear()
        self.operations.restart()

    def lines(self) -> tuple[str, ...]:
        """Return the last crossings as text, and the errors that calls ended with instead."""
        crossings = self.snapshot()
        left_out = len(crossings) - _SHOWN
        head = [f"({left_out} earlier frames are left out)"] if left_out > 0 else []
        shown = [(crossing.at, _shown(crossing)) for crossing in crossings[-_SHOWN:]]
        with _LOCK:
            raised, said = list(self._raised)[-_SHOWN:], list(self._said)[-_SHOWN:]
        return (*head, *(text for _, text in sorted([*shown, *raised])), *said)


def _shown(crossing: Crossing) -> str:
    arrow = "->" if crossing.direction == "out" else "<-"
    head = f"{crossing.at * 1000:9.1f} ms  {crossing.end:<10} {arrow} {crossing.verb:<8} {crossing.size:>8,} B  "
    return head + _body(crossing.frame)


def _body(frame: bytes) -> str:
    if frame[:2] == b"TY" and len(frame) >= _PREFIX:
        kind = frame[3:4].decode("ascii", "replace")
        body = frame[_PREFIX:]
        return f"{kind} tag {frame[12:16].hex()} {body[:120].decode('utf-8', 'replace')}{'…' * (len(body) > 120)}"
    return f"{frame[:32].hex(' ')}{' …' * (len(frame) > 32)}"


class _Delivery(WrappedDelivery):
    def __init__(self, inner: Delivery, trace: Trace, end: str) -> None:
        super().__init__(inner)
        self._trace = trace
        self._end = end
        #: By which the log tells it from others with the same frame.
        self.label = trace.operations.name("delivery")

    def reply(self, frame: bytes) -> None:
        self._trace.add(self._end, "out", "reply", frame)
        self._did("reply", (self.label, frame), lambda: self.inner.reply(frame))

    def settle(self, accepted: bool = True) -> None:
        self._did("settle", (self.label, accepted), lambda: self.inner.settle(accepted))

    def _did(self, verb: str, arguments: tuple[object, ...], action: Callable[[], None]) -> None:
        self._trace.operations.done(self._end, verb, arguments, action)


class _Left(Resource):
    """Enters and leaves a ``with`` statement in the way of what is recorded, which may have one of its own."""

    _trace: Trace
    _end: str
    _resource: Resource

    def __enter__(self) -> Self:
        entered: Any = self._resource.__enter__()
        return self if entered is self._resource else entered

    def __exit__(  # type: ignore[override]  # what somebody wrote may well return something
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        leave: Callable[..., bool | None] = self._resource.__exit__
        return self._trace.operations.done(self._end, "close", (), lambda: leave(kind, error, traceback))


class _Line(_Left, WrappedLine):
    def __init__(self, inner: Line, trace: Trace, end: str) -> None:
        super().__init__(inner)
        self._trace = trace
        self._end = end

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self._trace.add(self._end, "out", "send", frame)
        self._trace.operations.done(
            self._end, "send", (service, frame, timeout), lambda: self.inner.send(service, frame, timeout)
        )

    def receive(self, timeout: float) -> bytes | None:
        return self._trace.operations.awaited(self._end, timeout, lambda: self._arrived(timeout))

    def _arrived(self, timeout: float) -> bytes | None:
        frame = self.inner.receive(timeout)
        if frame is not None:
            self._trace.add(self._end, "in", "receive", self._trace.fitting(self._end, frame))
        return frame

    def close(self) -> None:
        self._trace.operations.done(self._end, "close", (), super().close)


class _Inbox(_Left, WrappedInbox):
    def __init__(self, inner: Inbox, trace: Trace, end: str) -> None:
        super().__init__(inner)
        self._trace = trace
        self._end = end

    def receive(self, timeout: float) -> Delivery | None:
        return self._trace.operations.awaited(self._end, timeout, lambda: super(_Inbox, self).receive(timeout))

    def delivery(self, inner: Delivery) -> Delivery:
        self._trace.of_kind(Delivery, inner, f"a treaty.Delivery or None, as what receive of {self._end} returns")
        self._trace.add(self._end, "in", "receive", self._trace.fitting(self._end, inner.frame))
        self._trace.of_kind(bool, inner.redelivered, f"True or False, as redelivered of a delivery at {self._end}")
        return _Delivery(inner, self._trace, self._end)

    def close(self) -> None:
        self._trace.operations.done(self._end, "close", (), super().close)


class Recorder(_Left, WrappedTransport):
    """A transport whose frames are written down.

    Args:
        inner: the transport.
        trace: where to.
        role: ``"service"`` or ``"client"``.
    """

    def __init__(self, inner: Transport, trace: Trace, role: str) -> None:
        super().__init__(inner)
        self._trace = trace
        self._role = role
        self._log = trace.operations
        self._end = self._log.name(role)
        self._log.making("", "open", (role, inner.guarantees), self._end, lambda: None)

    def dial(self) -> Line:
        end = self._trace.end("line")
        return self._log.making(
            self._end, "dial", (), end, lambda: _Line(self._fitting(Line, "dial", self.inner.dial()), self._trace, end)
        )

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        end = self._trace.end("inbox")
        return self._log.making(
            self._end,
            "serve",
            (service, capacity),
            end,
            lambda: _Inbox(self._fitting(Inbox, "serve", self.inner.serve(service, capacity)), self._trace, end),
        )

    def publish(self, channel: str, frame: bytes) -> None:
        self._trace.add(self._role, "out", "publish", frame)
        self._log.done(self._end, "publish", (channel, frame), lambda: self.inner.publish(channel, frame))

    def subscribe(self, channel: str) -> Inbox:
        end = self._trace.end("feed")
        return self._log.making(
            self._end,
            "subscribe",
            (channel,),
            end,
            lambda: _Inbox(self._fitting(Inbox, "subscribe", self.inner.subscribe(channel)), self._trace, end),
        )

    def close(self) -> None:
        self._log.done(self._end, "close", (), super().close)

    def _fitting(self, kind: type, verb: str, made: Any) -> Any:
        return self._trace.of_kind(kind, made, f"a treaty.{kind.__name__}, as what {verb} returns")
