"""Runs the steps over one transport: the broker if one is needed, the other processes, a client, and all of it undone.

Yields an outcome for each step, come what may. It must not know how a transcript looks.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from treaty.cli.demo import sharing, steps
from treaty.cli.demo.bounds import HungError, within
from treaty.cli.demo.process import OtherProcess
from treaty.cli.demo.sharing import Household, Listener
from treaty.cli.demo.steps import CALL, Stage, Step
from treaty.client import Client
from treaty.errors import MissingExtra
from treaty.sealing import Key
from treaty.storage import StorageClient

_S = TypeVar("_S")
#: Seconds for one step: some make several calls.
_STEP: Final = 3 * CALL
_CLOSE: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came back of a step, in words."""

    step: Step[Any]
    came_back: str
    seconds: float

    @property
    def right(self) -> bool:
        """Whether it was what was expected."""
        return self.came_back == self.step.expected


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where steps take place."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Shortcoming:
    """What is not shown as it should be, and why."""

    text: str


Event: TypeAlias = Scene | Shortcoming | Outcome


def _embedded_redis() -> AbstractContextManager[str]:
    # By name: the core imports no adapter, and this one may not be installed.
    try:
        embedded = importlib.import_module("treaty_kombu.embedded")
    except ImportError as error:
        raise MissingExtra(f"kombu needs {error.name}: pip install 'treaty[kombu,fake]'") from error
    broker: AbstractContextManager[str] = embedded.embedded_redis()
    return broker


#: How to come by a URL to serve at: a free port, or a broker of our own.
PLACES: Final[dict[str, Callable[[], AbstractContextManager[str]]]] = {
    "zmq": lambda: nullcontext("zmq+tcp://127.0.0.1:*"),
    "kombu": _embedded_redis,
}
_SERVES: Final = Step[Any](
    title="A service in another process", code="TeaHouse(url, secret=secret).start()", expected="it serves", act=repr
)
_KEEPS: Final = Step[Any](
    title="A storage service and two subscribers in other processes",
    code="StorageService(url, secret=secret, stores=[store]).start()",
    expected="they are there",
    act=repr,
)


def perform(transport: str) -> Generator[Event, None, None]:
    """Yield the scenes, each followed by an outcome for each step; or the one outcome that says why there is none."""
    secret = Key.generate(os.urandom)
    with ExitStack() as stack:
        started = time.monotonic()
        try:
            url = stack.enter_context(PLACES[transport]())
        except Exception as error:
            yield _failed(_SERVES, error, started)
            return
        yield from _call(url, secret)
        yield from _share(url, secret)


def _call(url: str, secret: Key) -> Generator[Event, None, None]:
    with ExitStack() as stack:
        started = time.monotonic()
        try:
            other = stack.enter_context(OtherProcess(url, secret.text()))
            client = Client(other.url, secret=secret, timeout=CALL)
        except Exception as error:
            yield _failed(_SERVES, error, started)
            return
        stack.callback(_close, client.close)
        yield Scene(text=f"the tea house serves on {other.url}, in process {other.pid}")
        yield from _attempt_all(steps.STEPS, Stage(client=client, url=other.url), other)


def _share(url: str, secret: Key) -> Generator[Event, None, None]:
    with ExitStack() as stack:
        started = time.monotonic()
        try:
            first = stack.enter_context(Listener("the first subscriber", secret.text()))
            second = stack.enter_context(Listener("the second subscriber", secret.text()))
            other = stack.enter_context(OtherProcess(url, secret.text(), part="storage"))
            for listener in (first, second):
                stack.push(listener)  # once more: it starts before the service, and ends before it as well
                listener.listen(other.url)
            storage = StorageClient(other.url, secret=secret, timeout=CALL)
        except Exception as error:
            yield _failed(_KEEPS, error, started)
            return
        stack.callback(_close, storage.close)
        where = "in memory" if other.excuse else "in SQLite, in a temporary file"
        pids = f"{first.process.pid} and {second.process.pid}"
        yield Scene(
            text=f"the pantry is kept {where}, and served on {other.url} by process {other.pid}; "
            f"the subscribers are the processes {pids}"
        )
        if other.excuse:
            yield Shortcoming(text=f"storage in SQLite was not run, and the memory store is used: {other.excuse}")
        household = Household(url=other.url, storage=storage, first=first, second=second)
        yield from _attempt_all(sharing.STEPS, household, other)


def _attempt_all(all_steps: Sequence[Step[_S]], stage: _S, other: OtherProcess) -> Generator[Outcome, None, None]:
    for step in all_steps:
        yield _attempt(step, stage, other)


def _attempt(step: Step[_S], stage: _S, other: OtherProcess) -> Outcome:
    started = time.monotonic()
    if other.obituary:  # every call would only wait for its deadline
        return Outcome(step=step, came_back=f"not done: {other.obituary}", seconds=0.0)
    try:
        came_back = within(_STEP, lambda: step.act(stage))
    except Exception as error:
        return _failed(step, error, started)
    return Outcome(step=step, came_back=came_back, seconds=time.monotonic() - started)


def _failed(step: Step[Any], error: Exception, started: float) -> Outcome:
    came_back = f"{type(error).__name__}: {error}"
    return Outcome(step=step, came_back=came_back, seconds=time.monotonic() - started)


def _close(close: Callable[[], None]) -> None:
    try:
        within(_CLOSE, close)
    except HungError:
        return  # the process ends soon, and takes what is left along
