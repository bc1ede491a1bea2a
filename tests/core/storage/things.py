"""What the tests of storage keep: models of every kind, and short ways to write and to wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import count
from queue import SimpleQueue
from typing import Any

import attrs
import msgspec

from treaty.storage import Batch, Change, Gap, Notice, Write, model

SECRET = "an example of a secret, long enough"
#: Seconds that nothing in these tests should ever take.
LIMIT = 30.0
NUMBERS = count(1)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@model(key="address", hidden=["password"], version="revision")
class Host(msgspec.Struct, kw_only=True):
    address: str
    port: int = 22
    password: str | msgspec.UnsetType = msgspec.UNSET
    revision: int = 0


@model(key="name")
@dataclass(frozen=True)
class Cluster:
    name: str
    size: int = 1


@model(key="number", hidden=["token"], name="Ticket")
@attrs.define
class Paper:
    number: int
    token: str = "none"
    colour: Colour = Colour.RED


def put(key: str, value: object = 1, *, expected: int | None = None, model: str = "Host", **more: Any) -> Write:
    return Write(model=model, key=key, data={"value": value, **more}, hidden=("secret",), expected=expected)


def drop(key: str, *, expected: int | None = None, model: str = "Host") -> Write:
    return Write(model=model, key=key, data=None, hidden=("secret",), expected=expected)


def batch(*writes: Write) -> Batch:
    return writes


def spell(changes: Any) -> list[tuple[int, str, str]]:
    """The changes of an outcome, or of a list of notices, as far as most tests care."""
    if isinstance(changes, Exception):
        raise changes
    return [(change.sequence, change.event.value, change.key) for change in changes if isinstance(change, Change)]


class Heard:
    """A callback that remembers, and can be waited for."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[str, Any, Notice]] = SimpleQueue()
        self.gaps: SimpleQueue[Gap] = SimpleQueue()
        self.all: list[Notice] = []
        #: What somebody knows who has heard nothing but this: the versions by key.
        self.state: dict[str, int] = {}

    def __call__(self, event: str, instance: Any, message: Notice) -> None:
        self.all.append(message)
        if event == "deleted":
            self.state.pop(message.key, None)
        else:
            self.state[message.key] = message.version
        self._queue.put((event, instance, message))

    def next(self) -> tuple[str, Any, Notice]:
        return self._queue.get(timeout=LIMIT)

    def take(self, number: int) -> list[tuple[str, Any]]:
        return [self.next()[:2] for _ in range(number)]

    def until(self, key: str) -> None:
        """Wait until something is heard of this object."""
        while self.next()[2].key != key:
            continue

    def more(self, number: int) -> bool:
        """Wait until so much more was heard."""
        seen = len(self.all)
        return eventually(lambda: len(self.all) >= seen + number)

    def gap(self) -> Gap:
        return self.gaps.get(timeout=LIMIT)


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes so within the limit."""
    for _ in range(int(LIMIT / 0.005)):
        if condition():
            return True
        threading.Event().wait(0.005)
    return False


def fresh(prefix: str) -> str:
    return f"{prefix}{os.getpid()}-{next(NUMBERS)}"
