"""Transports that are odd and right: whatever they do, they keep the law, and a rule that fails on one is over-eager.

It must not know rules.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any, Final, TypeVar

import msgspec

from treaty import Delivery, Guarantees, Inbox, Line, Transport, Unavailable
from treaty_contracts.target import Target
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import SCALE, ZOO
from treaty_contracts.zoo.references import COMPLETE, complete, opener

_W = TypeVar("_W", bound=type[WrappedTransport])


@dataclass(frozen=True, kw_only=True)
class Odd:
    """Something odd, with no defect."""

    name: str
    #: What is odd about it, in one sentence.
    oddity: str
    base: Guarantees
    wrap: Callable[[Transport], Transport]
    #: What the reference below it is made with besides.
    options: dict[str, Any]


_ODD: Final[dict[str, Odd]] = {}


def odd(name: str, *, base: Guarantees = COMPLETE, **options: Any) -> Callable[[_W], _W]:
    """Enter a wrapper that must pass every rule; the first line of its docstring says what is odd about it."""

    def enter(wrapper: _W) -> _W:
        oddity = (wrapper.__doc__ or "").partition("\n")[0]
        _ODD[name] = Odd(name=name, oddity=oddity, base=base, wrap=wrapper, options=options)
        return wrapper

    return enter


def oddities() -> dict[str, Odd]:
    """Return all of them by name."""
    return dict(_ODD)


def odd_target(one: Odd, *, time_scale: float = SCALE) -> Target:
    """Make the target of an odd transport."""
    below = opener(one.base, **one.options)
    return Target(name=one.name, open=lambda context: one.wrap(below(context)), time_scale=time_scale)


class _Delayed(WrappedTransport):
    """Hands out what arrived a little later: whoever waits for it waits for that as well."""

    def pause(self) -> float:
        """Return the seconds by which the next frame is late."""
        return 0.0

    def line(self, inner: Line) -> Line:
        return _DelayedLine(inner, self.pause)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _DelayedInbox(inner, self.pause)

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _DelayedInbox(inner, self.pause)


class _DelayedLine(WrappedLine):
    def __init__(self, inner: Line, pause: Callable[[], float]) -> None:
        super().__init__(inner)
        self._pause = pause

    def receive(self, timeout: float) -> bytes | None:
        frame = self.inner.receive(timeout)
        if frame is not None:
            Event().wait(self._pause())
        return frame


class _DelayedInbox(WrappedInbox):
    def __init__(self, inner: Inbox, pause: Callable[[], float]) -> None:
        super().__init__(inner)
        self._pause = pause

    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        if delivery is not None:
            Event().wait(self._pause())
        return delivery


@odd("slow")
class Slow(_Delayed):
    """Every frame takes three milliseconds."""

    def pause(self) -> float:
        return 0.003


@odd("jittery")
class Jittery(_Delayed):
    """Every frame takes from nothing to five milliseconds, drawn from a seed."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._random = random.Random(7)

    def pause(self) -> float:
        return self._random.uniform(0.0, 0.005)


@odd("little-room", room=ZOO.burst)
class LittleRoom(WrappedTransport):
    """Few requests wait for a service; whoever sends another one waits for room."""


@odd("by-sender", by_sender=True)
class BySender(WrappedTransport):
    """Of the requests that wait those of the sender that came last come first, in their order."""


@odd("too-modest")
class TooModest(WrappedTransport):
    """It notices absence, keeps order, and promises neither."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.guarantees: Guarantees = msgspec.structs.replace(inner.guarantees, notices_absence=None, ordered=False)


@odd("without-order", base=complete(ordered=False))
class WithoutOrder(WrappedTransport):
    """It promises all but order, and every other frame overtakes the one before it."""


class _LazyLine(Line):
    """Dials when it is first used."""

    def __init__(self, dial: Callable[[], Line]) -> None:
        super().__init__()
        self._dial = dial
        self._line: Line | None = None
        self._dialling = threading.RLock()

    @property
    def _dialled(self) -> Line:
        self.check()
        with self._dialling:
            self._line = self._line or self._dial()
            return self._line

    @property
    def address(self) -> str:
        return self._dialled.address

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self._dialled.send(service, frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        return self._dialled.receive(timeout)

    def close(self) -> None:
        self._closed = True
        if self._line is not None:
            self._line.close()


@odd("lazy")
class Lazy(WrappedTransport):
    """A line connects when it is first used."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._lines: list[Line] = []

    def dial(self) -> Line:
        self.check()
        line = _LazyLine(self.inner.dial)
        self._lines.append(line)
        return line

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self.inner.close()


class _EmptyLine(WrappedLine):
    @property
    def address(self) -> str:
        return ""


class _EmptyInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        made = WrappedDelivery(inner)
        made.reply_to = ""
        return made


@odd("on-the-asking-connection")
class OnTheAskingConnection(WrappedTransport):
    """Lines have no address: replies find their way by themselves."""

    def line(self, inner: Line) -> Line:
        return _EmptyLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _EmptyInbox(inner)


class _TellingLaterLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._back: deque[bytes] = deque()
        self._arrived = threading.Condition()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except Unavailable:
            with self._arrived:
                self._back.append(frame[:64])

    def receive(self, timeout: float) -> bytes | None:
        self.check()
        until = timeout
        while True:
            with suppress(IndexError):
                raise Unavailable("it came back", frame=self._back.popleft())
            # In slices: what comes back meanwhile wakes nobody here.
            frame = self.inner.receive(min(until, 0.005))
            until -= 0.005
            if frame is not None or until <= 0:
                return frame


@odd("tells-later", base=complete(notices_absence=0.1))
class TellsLater(WrappedTransport):
    """What nobody took comes back by the line, with its first 64 bytes."""

    def line(self, inner: Line) -> Line:
        return _TellingLaterLine(inner)
