"""Animals that do something to requests and replies: they change, lose or repeat them, or let one overtake another.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import ClassVar, Generic, TypeVar, cast

from treaty import Delivery, Inbox, Line
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken

_T = TypeVar("_T")


class _Mangling(WrappedTransport):
    """Passes every frame through :meth:`mangled`, in both directions."""

    def mangled(self, frame: bytes) -> list[bytes]:
        """Return what becomes of a frame."""
        return [frame]

    def line(self, inner: Line) -> Line:
        return _MangledLine(inner, self)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _MangledInbox(inner, self)


class _MangledLine(WrappedLine):
    def __init__(self, inner: Line, by: _Mangling) -> None:
        super().__init__(inner)
        self._by = by

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        for one in self._by.mangled(frame):
            self.inner.send(service, one, timeout)


class _MangledInbox(WrappedInbox):
    def __init__(self, inner: Inbox, by: _Mangling) -> None:
        super().__init__(inner)
        self._by = by

    def delivery(self, inner: Delivery) -> Delivery:
        return _MangledDelivery(inner, self._by)


class _MangledDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, by: _Mangling) -> None:
        super().__init__(inner)
        self._by = by

    def reply(self, frame: bytes) -> None:
        for one in self._by.mangled(frame):
            self.inner.reply(one)


@broken("dead", kills=("SETUP-001",), shows="DeadlineExceeded")
class Dead(_Mangling):
    """Nothing that is sent arrives."""

    def mangled(self, frame: bytes) -> list[bytes]:  # noqa: ARG002 - it is gone
        return []


@broken(
    "flips-a-bit",
    kills=("LINE-001",),
    shows="the frame that arrives next",
)
class FlipsABit(_Mangling):
    """The last bit of every frame of more than 5,000 bytes is another one."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame if len(frame) <= 5_000 else frame[:-1] + bytes([frame[-1] ^ 1])]


@broken(
    "cuts-at-nul",
    kills=("LINE-001",),
    shows="the frame that arrives next",
)
class CutsAtNul(_Mangling):
    """A frame ends at its first zero byte after the prefix."""

    def mangled(self, frame: bytes) -> list[bytes]:
        end = frame.find(b"\x00", 44)
        return [frame if end < 0 else frame[:end]]


@broken(
    "cuts-at-64k",
    kills=("LINE-001",),
    shows="the frame that arrives next",
)
class CutsAt64K(_Mangling):
    """A frame ends after 65,535 bytes, as its length has 16 bits."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame[:65_535]]


@broken("loses-full-reads", kills=("LINE-001",), shows="arrives at the inbox")
class LosesFullReads(_Mangling):
    """A frame that is, with its header of 37 bytes, as large as a read is lost."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [] if len(frame) + 37 == 65_536 else [frame]


@broken("loses-some-sizes", kills=("LINE-001",), shows="a frame that was sent (100,000 bytes)")
class LosesSomeSizes(_Mangling):
    """A frame of 90,000 to 110,000 bytes is lost."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [] if 90_000 <= len(frame) <= 110_000 else [frame]


class _ArrayLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        frame = self.inner.receive(timeout)
        return None if frame is None else cast("bytes", bytearray(frame))


@broken("hands-out-arrays", kills=("SETUP-001",), shows="bytearray")
class HandsOutArrays(WrappedTransport):
    """What a line receives is a bytearray."""

    def line(self, inner: Line) -> Line:
        return _ArrayLine(inner)


@broken("adds-a-byte", kills=("SETUP-001",), shows="DeadlineExceeded")
class AddsAByte(_Mangling):
    """Every frame is terminated with a line feed."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame + b"\n"]


@broken(
    "strips-blanks",
    kills=("LINE-001",),
    shows="the frame that arrives next",
)
class StripsBlanks(_Mangling):
    """Blanks and line ends around what does not begin like a message of ours are taken off."""

    def mangled(self, frame: bytes) -> list[bytes]:
        # A message of ours may be all seal, which ends with such a byte now and then.
        return [frame if frame.startswith(b"TY") else frame.strip(b" \r\n\t") or b" "]


@broken(
    "passes-through-text",
    kills=("LINE-001",),
    shows="the frame that arrives next",
)
class PassesThroughText(_Mangling):
    """What is no UTF-8 and does not begin like a message of ours arrives with question marks."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame if frame.startswith(b"TY") else frame.decode("utf-8", "replace").encode("ascii", "replace")]


class _CountingLine(WrappedLine):
    """Does something else with every thirteenth frame that is sent on it."""

    every: ClassVar[int] = 13
    copies: ClassVar[int]

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._numbers: Iterator[int] = count(1)

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.check()
        for _ in range(self.copies if next(self._numbers) % self.every == 0 else 1):
            self.inner.send(service, frame, timeout)


class _LosingLine(_CountingLine):
    copies = 0


@broken(
    "loses-every-nth",
    kills=("SETUP-005",),
    shows=" lost",
)
class LosesEveryNth(WrappedTransport):
    """Every thirteenth frame that is sent on a line is lost."""

    def line(self, inner: Line) -> Line:
        return _LosingLine(inner)


class _DoublingLine(_CountingLine):
    copies = 2


@broken(
    "duplicates-frames",
    kills=("SETUP-005",),
    shows="too often",
)
class DuplicatesFrames(WrappedTransport):
    """Every thirteenth frame that is sent on a line arrives twice."""

    def line(self, inner: Line) -> Line:
        return _DoublingLine(inner)


@broken("drops-refusals", kills=("AUTH-002",), shows="AuthenticationError for another key")
class DropsRefusals(_Mangling):
    """A frame that is no more than a prefix is not worth sending."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [] if len(frame) == 44 else [frame]


class Crossing:
    """While a thread is about to send, another one that comes by swaps the ends of the two frames."""

    def __init__(self) -> None:
        self._meeting = threading.Condition()
        self._senders: set[threading.Thread] = set()
        self._parked: list[bytes] = []
        self._swapped: list[bytes] = []

    def meet(self, frame: bytes) -> bytes:
        """Return what becomes of a frame."""
        with self._meeting:
            self._senders.add(threading.current_thread())
            if self._parked:
                other = self._parked.pop()
                half = min(len(frame), len(other)) // 2
                self._swapped.append(other[:half] + frame[half:])
                self._meeting.notify_all()
                return frame[:half] + other[half:]
            if len(self._senders) == 1:
                return frame
            self._parked.append(frame)
            # So long that two who publish at the same time always meet; who publishes alone is no more than late.
            self._meeting.wait_for(lambda: self._swapped, 0.02)
            return self._swapped.pop() if self._swapped else self._parked.pop()


class _CrossedLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._crossing = Crossing()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, self._crossing.meet(frame), timeout)


@broken(
    "interleaves-frames",
    kills=("LINE-006",),
    shows=" lost",
)
class InterleavesFrames(WrappedTransport):
    """Two threads that send on one line at the same time mix their frames."""

    def line(self, inner: Line) -> Line:
        return _CrossedLine(inner)


class _Overtaking(Generic[_T]):
    """Hands out what comes second before what comes first, where both are there."""

    def __init__(self, receive: Callable[[float], _T | None], check: Callable[[], None]) -> None:
        self._receive = receive
        self._check = check
        self._held: list[_T] = []

    def receive(self, timeout: float) -> _T | None:
        """Return what is next."""
        if self._held:
            self._check()
            return self._held.pop()
        first = self._receive(timeout)
        second = None if first is None else self._receive(0)
        if first is None or second is None:
            return first
        self._held.append(first)
        return second


class _OvertakingLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._order = _Overtaking(inner.receive, self.check)

    def receive(self, timeout: float) -> bytes | None:
        return self._order.receive(timeout)


@broken("reorders-replies", kills=("LINE-008",), shows="the order at the line")
class ReordersReplies(WrappedTransport):
    """Of two replies that wait at a line the second is handed out first."""

    def line(self, inner: Line) -> Line:
        return _OvertakingLine(inner)


class OvertakingInbox(WrappedInbox):
    """Hands out what comes second before what comes first, where both are there."""

    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._order = _Overtaking(inner.receive, self.check)

    def receive(self, timeout: float) -> Delivery | None:
        return self._order.receive(timeout)


@broken("reorders-frames", kills=("LINE-008",), shows="the order at the inbox")
class ReordersFrames(WrappedTransport):
    """Of two requests that wait for an inbox with room for both the second is handed out first."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return OvertakingInbox(inner)
