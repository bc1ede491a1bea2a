"""Animals that do something to frames: they change, lose, repeat or reorder them.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import ClassVar

from treaty import Delivery, Inbox, Line
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken


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


@broken("dead")
class Dead(_Mangling):
    """Nothing that is sent arrives."""

    def mangled(self, frame: bytes) -> list[bytes]:  # noqa: ARG002 - it is gone
        return []


@broken("flips-a-bit")
class FlipsABit(_Mangling):
    """The last bit of every frame of more than 200 bytes is another one."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame if len(frame) <= 200 else frame[:-1] + bytes([frame[-1] ^ 1])]


@broken("cuts-at-nul")
class CutsAtNul(_Mangling):
    """A frame ends at its first zero byte after the prefix."""

    def mangled(self, frame: bytes) -> list[bytes]:
        end = frame.find(b"\x00", 44)
        return [frame if end < 0 else frame[:end]]


@broken("cuts-at-64k")
class CutsAt64K(_Mangling):
    """A frame ends after 65,535 bytes, as its length has 16 bits."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame[:65_535]]


@broken("adds-a-byte")
class AddsAByte(_Mangling):
    """Every frame is terminated with a line feed."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame + b"\n"]


class _Counting(_Mangling):
    """Does something to every nth frame."""

    every: ClassVar[int] = 7

    def __init__(self, inner: WrappedTransport) -> None:
        super().__init__(inner)
        self._numbers: Iterator[int] = count(1)

    @property
    def turn(self) -> bool:
        """Whether this frame is the one."""
        return next(self._numbers) % self.every == 0


@broken("loses-every-nth")
class LosesEveryNth(_Counting):
    """Every seventh frame is lost."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [] if self.turn else [frame]


@broken("duplicates-frames")
class DuplicatesFrames(_Counting):
    """Every seventh frame arrives twice."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [frame, frame] if self.turn else [frame]


@broken("reorders-frames")
class ReordersFrames(_Counting):
    """Every third frame changes places with the one after it."""

    every = 3

    def __init__(self, inner: WrappedTransport) -> None:
        super().__init__(inner)
        self._held: list[bytes] = []

    def mangled(self, frame: bytes) -> list[bytes]:
        if self._held:
            return [frame, self._held.pop()]
        if self.turn:
            self._held.append(frame)
            return []
        return [frame]


@broken("drops-refusals")
class DropsRefusals(_Mangling):
    """A frame that is no more than a prefix is not worth sending."""

    def mangled(self, frame: bytes) -> list[bytes]:
        return [] if len(frame) == 44 else [frame]


@broken("duplicates-notifications")
class DuplicatesNotifications(WrappedTransport):
    """Every notification is published twice."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(channel, frame)
        self.inner.publish(channel, frame)


@broken("channels-match-prefixes")
class ChannelsMatchPrefixes(WrappedTransport):
    """An x at the end of a channel's name does not count."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(channel.rstrip("x"), frame)

    def subscribe(self, channel: str) -> Inbox:
        return self.inner.subscribe(channel.rstrip("x"))
