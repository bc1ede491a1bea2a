"""Where rules run: one after the other in this process, or side by side in a few.

Each lane is a forked process that runs one rule at a time, and looks after what that rule leaves behind: nothing of one
rule is ever taken for another's. This room must not know which rules run, nor in which order.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, NoReturn, Protocol, Self

import msgspec

from treaty_contracts.isolation import withhold
from treaty_contracts.orphans import adopt
from treaty_contracts.target import SetupError
from treaty_contracts.verdict import Outcome

#: Runs a rule, given its id.
Work = Callable[[str], Outcome]
#: How many rules run side by side, of a target that allows it: most of their time they wait.
JOBS: Final = min(8, (os.cpu_count() or 1) + 4)
#: How many may be asked for.
MOST: Final = 256
_LEAVE: Final = 5.0


class Lanes(Protocol):
    """Some places to run rules in."""

    #: The rules that were begun and have not ended, the oldest first.
    running: list[str]

    @property
    def free(self) -> bool:
        """Whether another rule can be begun."""

    def begin(self, rule: str) -> None:
        """Begin a rule."""

    def next(self) -> Outcome:
        """Wait for a rule that was begun, and return what came of it."""

    def __enter__(self) -> Self:
        """Be ready."""

    def __exit__(self, *_: object) -> None:
        """Leave nothing."""


class InTurn:
    """One lane, in this very process."""

    def __init__(self, work: Work) -> None:
        self.running: list[str] = []
        self._work = work

    @property
    def free(self) -> bool:
        """Whether another rule can be begun."""
        return not self.running

    def begin(self, rule: str) -> None:
        """Begin a rule: it runs when it is waited for."""
        self.running.append(rule)

    def next(self) -> Outcome:
        """Run the rule that was begun."""
        outcome = self._work(self.running[0])
        self.running.clear()
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


class SideBySide:
    """Several lanes, each a process. They are forked, so that a target comes along as it is, and when there is work.

    Args:
        work: runs in the lanes.
        count: how many there are at most.
    """

    def __init__(self, work: Work, count: int) -> None:
        self.running: list[str] = []
        self._work = work
        self._count = count
        self._idle: list[Connection[Any, Any]] = []
        self._busy: dict[Connection[Any, Any], str] = {}
        self._processes: list[BaseProcess] = []

    @property
    def free(self) -> bool:
        """Whether another rule can be begun."""
        return bool(self._idle) or len(self._processes) < self._count

    def begin(self, rule: str) -> None:
        """Begin a rule.

        Raises:
            SetupError: the system has no process for it.
        """
        lane = self._idle.pop() if self._idle else self._opened()
        lane.send_bytes(rule.encode())
        self._busy[lane] = rule
        self.running.append(rule)

    def next(self) -> Outcome:
        """Wait for a rule that was begun, and return what came of it.

        Raises:
            SetupError: a lane was killed, as a target can do.
            RuntimeError: a rule could not be run.
        """
        lane = next(one for one in wait(list(self._busy)) if isinstance(one, Connection))
        rule = self._busy.pop(lane)
        self.running.remove(rule)
        try:
            came = msgspec.json.decode(lane.recv_bytes(), type=Outcome | str)
        except (EOFError, OSError):
            raise SetupError(f"the process that {rule} ran in was killed from outside") from None
        if isinstance(came, Outcome):
            self._idle.append(lane)
            return came
        raise RuntimeError(f"{rule}: {came}")

    def _opened(self) -> Connection[Any, Any]:
        """Return a new lane."""
        forking = multiprocessing.get_context("fork")
        try:
            ours, theirs = forking.Pipe()
            inherited = [*self._idle, *self._busy, ours]
            process = forking.Process(target=_live, args=(self._work, theirs, inherited), daemon=True)
            process.start()
        except OSError as error:
            raise SetupError(f"no process for another rule, beside {len(self._processes)}: {error.strerror}") from None
        theirs.close()
        self._processes.append(process)
        return ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in (*self._idle, *self._busy):
            lane.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_LEAVE)
            process.kill()
            process.join()


def _live(work: Work, lane: Connection[Any, Any], inherited: list[Connection[Any, Any]]) -> None:
    """Be a lane, until the other end hangs up."""
    for other in inherited:
        other.close()  # or nobody would see that the program is gone
    # An exception, so that the rule that runs is ended on the way out.
    signal.signal(signal.SIGTERM, _leave)
    adopt()
    withhold(lane.fileno())
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            rule = lane.recv_bytes().decode()
            try:
                came: Outcome | str = work(rule)
            except Exception as error:
                came = "".join(traceback.format_exception(error)[-2:]).strip()
            lane.send_bytes(msgspec.json.encode(came))


def _leave(*_: Any) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
