"""Runs the steps over one transport: the broker if one is needed, the other process, a client, and all of it undone.

Yields an outcome for each step, come what may. It must not know how a transcript looks.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Final

from treaty.cli.demo import steps
from treaty.cli.demo.bounds import HungError, within
from treaty.cli.demo.process import OtherProcess
from treaty.cli.demo.steps import CALL, Stage, Step
from treaty.client import Client
from treaty.errors import MissingExtra
from treaty.sealing import Key

#: Seconds for one step: some make several calls.
_STEP: Final = 3 * CALL
_CLOSE: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came back of a step, in words."""

    step: Step
    came_back: str
    seconds: float

    @property
    def right(self) -> bool:
        """Whether it was what was expected."""
        return self.came_back == self.step.expected


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where the steps of one transport take place."""

    url: str
    pid: int


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
_SERVES: Final = Step(
    title="A service in another process", code="TeaHouse(url, secret=secret).start()", expected="it serves", act=repr
)


def perform(transport: str) -> Generator[Scene | Outcome, None, None]:
    """Yield the scene and then an outcome for each step; or the one outcome that says why there is no scene."""
    secret = Key.generate(os.urandom)
    with ExitStack() as stack:
        started = time.monotonic()
        try:
            url = stack.enter_context(PLACES[transport]())
            other = stack.enter_context(OtherProcess(url, secret.text()))
            client = Client(other.url, secret=secret, timeout=CALL)
        except Exception as error:
            yield Outcome(step=_SERVES, came_back=_spelled(error), seconds=time.monotonic() - started)
            return
        stack.callback(_close, client)
        yield Scene(url=other.url, pid=other.pid)
        for step in steps.STEPS:
            yield _attempt(step, Stage(client=client, url=other.url), other)


def _attempt(step: Step, stage: Stage, other: OtherProcess) -> Outcome:
    started = time.monotonic()
    if other.obituary:  # every call would only wait for its deadline
        return Outcome(step=step, came_back=f"not done: {other.obituary}", seconds=0.0)
    try:
        came_back = within(_STEP, lambda: step.act(stage))
    except Exception as error:
        came_back = _spelled(error)
    return Outcome(step=step, came_back=came_back, seconds=time.monotonic() - started)


def _close(client: Client) -> None:
    try:
        within(_CLOSE, client.close)
    except HungError:
        return  # the process ends soon, and takes what is left along


def _spelled(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
