"""What happened while a plan ran: events, in the order in which they were seen, and nothing else.

Events are plain records, so that a history can be written by hand in a test. This room must not know clients,
services or transports, nor what is right and what is wrong.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar


@dataclass(frozen=True, kw_only=True)
class Began:
    """A call was made."""

    call: int
    #: As in ``model``: what must come of it follows from this.
    kind: str
    value: Any = None
    timeout: float = 10.0
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """``cancel`` returned; ``open`` says whether the call was still open, as far as it was told."""

    call: int
    open: bool = True
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """A status message of a call was heard."""

    call: int
    number: int
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A call ended: with a result, or with an error of that class."""

    call: int
    value: Any = None
    #: The name of the class of the error; empty for a result.
    error: str = ""
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A handler began."""

    call: int
    worker: str
    #: The id of the request.
    request: str
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Published:
    """A publisher begins to publish its next notification."""

    publisher: str
    number: int
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Subscribed:
    """``subscribe`` has returned."""

    subscriber: str
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A subscriber heard a notification."""

    subscriber: str
    publisher: str
    number: int
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Left:
    """The close of a subscription has returned."""

    subscriber: str
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LeftOpen:
    """A call that still has time is waited for no longer, as something else is wrong already."""

    call: int
    at: float = 0.0


Event: TypeAlias = Began | GivenUp | Told | Ended | Ran | Published | Subscribed | Heard | Left | LeftOpen
History: TypeAlias = tuple[Event, ...]

_E = TypeVar("_E", Began, GivenUp, Told, Ended, Ran, Published, Subscribed, Heard, Left, LeftOpen)


class Chronicle:
    """Writes a history. Any thread may write."""

    def __init__(self) -> None:
        self._events: Final[list[Event]] = []
        self._lock = threading.Lock()

    def add(self, event: type[Event], **more: Any) -> None:
        """Write down what happens now."""
        with self._lock:
            self._events.append(event(at=time.monotonic(), **more))

    @property
    def history(self) -> History:
        """What happened until now."""
        with self._lock:
            return tuple(self._events)


def lines(history: History) -> list[str]:
    """Write a history as text, with times from its beginning."""
    start = history[0].at if history else 0.0
    return [f"{(event.at - start) * 1000:9.1f} ms  {_told(event)}" for event in history]


def _told(event: Event) -> str:
    told = ", ".join(f"{name} {value!r}" for name, value in vars(event).items() if name != "at" and value != "")
    return f"{type(event).__name__:<10} {told}"


def only(history: History, kind: type[_E]) -> Iterator[_E]:
    """Yield the events of one kind."""
    for event in history:
        if isinstance(event, kind):
            yield event
