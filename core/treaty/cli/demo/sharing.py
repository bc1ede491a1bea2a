"""What is done with the pantry, and what must come back: a writer, and two subscribers in processes of their own.

One of them is killed and comes back; in the end both know what the store knows. This room must not know which transport
is used, nor how a transcript looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

from treaty.cli.demo.pantry import Tea
from treaty.cli.demo.process import OtherProcess
from treaty.cli.demo.steps import Step
from treaty.storage import StorageClient


class Listener:
    """A subscriber in a process of its own, which can be killed and started again."""

    def __init__(self, name: str, secret: str) -> None:
        self.name = name
        self._secret = secret
        self._process: OtherProcess | None = None

    def __enter__(self) -> Self:
        # By the time that there is something to listen to, it is up.
        self._spawn()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def listen(self, url: str, *, snapshot: bool = False) -> None:
        """Let it listen; return when it does."""
        (self._process or self._spawn()).begin(url=url, snapshot=snapshot)

    def _spawn(self) -> OtherProcess:
        self._process = process = OtherProcess("", self._secret, part="subscriber")
        process.spawn()
        return process

    @property
    def process(self) -> OtherProcess:
        """The process, while it runs."""
        assert self._process is not None
        return self._process

    def kill(self) -> str:
        """Kill it with SIGKILL, and return how it ended."""
        ended = self.process.kill()
        self.__exit__(None, None, None)
        return ended

    def ask(self, tea: Tea) -> dict[str, Any]:
        """Return what it knows, as soon as that includes this tea."""
        return self.process.ask({"tea": tea.name, "revision": tea.revision})


@dataclass(frozen=True, kw_only=True)
class Household:
    """Who shares the pantry: a writer, which is this process, and two subscribers."""

    url: str
    storage: StorageClient
    first: Listener
    second: Listener


def _save(household: Household) -> str:
    teas = [Tea("assam", 12), Tea("matcha", 4), Tea("oolong", 7), Tea("rooibos", 9), Tea("sencha", 2)]
    saved = household.storage.save_many(teas)
    return _compare(household, saved[-1], household.first, household.second)


def _kill(household: Household) -> str:
    storage, second = household.storage, household.second
    storage.delete(Tea, "matcha")
    ended = second.kill()
    for tea in storage.list(Tea):
        storage.save(replace(tea, cups=tea.cups - 1))
    last = storage.save(Tea("gyokuro", 3))
    return f"{second.name} {ended}; {_compare(household, last, household.first)}"


def _return(household: Household) -> str:
    storage, first, second = household.storage, household.first, household.second
    second.listen(household.url, snapshot=True)
    storage.delete(Tea, "oolong")
    last = storage.save(Tea("hojicha", 5))
    same = _compare(household, last, first, second)
    answer = first.ask(last)
    # A version is the number of the change that made it.
    complete = answer["without_gap"] and answer["heard"] == last.revision
    order = "once and in order" if complete else "in another way"
    return f"{same}; {first.name} was told of {answer['heard']} changes, {order}"


def _compare(household: Household, last: Tea, *listeners: Listener) -> str:
    """Say whether all know what the store knows, now that they know of the last change."""
    kept = [[tea.name, tea.cups, tea.revision] for tea in household.storage.list(Tea)]
    for listener in listeners:
        known = sorted(listener.ask(last)["teas"])
        if known != kept:
            return f"the store has {kept}, but {listener.name} knows {known}"
    names = " and ".join(listener.name for listener in listeners)
    return f"{names} know{'s' if len(listeners) == 1 else ''} the same {len(kept)} teas as the store"


STEPS: Final[tuple[Step[Household], ...]] = (
    Step(
        title="Objects that are saved, and two subscribers in two processes",
        code="storage.register_callback(callback, Tea); storage.save_many([Tea('assam', 12), ...])",
        expected="the first subscriber and the second subscriber know the same 5 teas as the store",
        act=_save,
    ),
    Step(
        title="A subscriber that is killed while objects change",
        code="storage.delete(Tea, 'matcha'); os.kill(second, SIGKILL); storage.save(tea)  # and more of these",
        expected="the second subscriber ended with code -9; the first subscriber knows the same 5 teas as the store",
        act=_kill,
    ),
    Step(
        title="It comes back, and begins with what is there",
        code="storage.register_callback(callback, Tea, snapshot=True)",
        expected="the first subscriber and the second subscriber know the same 5 teas as the store; "
        "the first subscriber was told of 13 changes, once and in order",
        act=_return,
    ),
)
