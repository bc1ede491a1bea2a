"""What every workbench has: checks, notes, drawn cases, and whatever is put away at the end.

There is a bench for each kind of target; the rules of one family work on one of them. This room must not know what is
judged.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from treaty_contracts.expect import Expectations, Violated
from treaty_contracts.profile import Profile, Times
from treaty_contracts.recording import Trace

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_T = TypeVar("_T")
#: The fewest cases that are worth drawing.
_FEWEST: Final = 5
#: Seconds, on the scale of the target, that the search for the smallest bad case may take.
_SHRINKING: Final = 5.0


class _Timed(Protocol):
    @property
    def time_scale(self) -> float: ...


class Workbench(ABC):
    """What a rule works on, whatever it judges.

    Args:
        target: is judged.
        profile: how thoroughly to look.
        number: the seed of everything that is drawn.
    """

    def __init__(self, target: _Timed, profile: Profile, number: int) -> None:
        self.profile: Final = profile
        self.times = Times.at(target.time_scale)
        self.expect: Final = Expectations()
        self.trace: Final = Trace()
        self.done: Final[list[str]] = []
        #: The seconds that were spent on seeing that nothing comes.
        self.quiet = 0.0
        #: What is no violation, but worth a look.
        self.warnings: Final[list[str]] = []
        self.random: Final = random.Random(number)
        self._scale = target.time_scale
        self._number = number
        self._stack = ExitStack()

    @property
    @abstractmethod
    def pace(self) -> float:
        """The seconds that the smallest step takes on this target."""

    @abstractmethod
    def close(self) -> None:
        """Put everything away."""

    def cases(self, trips: int) -> int:
        """Return how many cases of so many round trips the profile affords on this transport, before any is drawn."""
        affordable = self.profile.budget * self._scale / max(self.pace * trips, 1e-6)
        chosen = min(self.profile.examples, max(_FEWEST, int(affordable)))
        self.did(f"drew {chosen} cases: a round trip takes {self.pace * 1000:.1f} ms")
        return chosen

    def each(self, cases: SearchStrategy[_T], check: Callable[[_T], None], *, trips: int = 1) -> None:
        """Check drawn cases, the same ones each time unless the seed says otherwise. The smallest bad one is shown.

        Args:
            cases: what is drawn.
            check: judges one case.
            trips: how many round trips that takes, one after the other.
        """
        # Here, as whoever only shows what was judged elsewhere draws nothing, and starts in two thirds of the time.
        from hypothesis import HealthCheck, Phase, given, seed, settings

        chosen = settings(
            max_examples=self.cases(trips),
            deadline=None,
            derandomize=self._number == 0,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
        )
        bad: dict[str, Violated] = {}
        given_up = [0.0]

        @chosen
        @given(case=cases)
        def example(case: _T) -> None:
            if bad and time.monotonic() > given_up[0]:
                # The smallest case found so far will do: it is bad as it was, and no other one is looked at.
                known = bad.get(repr(case))
                if known is not None:
                    raise Violated(known.expected, known.observed)
                return
            self.trace.restart()
            try:
                check(case)
            except Violated as violated:
                # The verdict is clear; what is left is to find the smallest case, and not to wait long for it.
                self.times = replace(self.times, arrive=self.times.slack)
                if not bad:
                    given_up[0] = time.monotonic() + _SHRINKING * self._scale
                bad[repr(case)] = violated
                raise

        if self._number:
            example = seed(self._number)(example)
        example()

    # Life

    def did(self, what: str) -> None:
        """Write down what the rule does, for whoever reads a failure."""
        self.done.append(what)

    def warn(self, what: str) -> None:
        """Say what is no violation, but worth a look: such as what works although it is declared not to."""
        self.warnings.append(what)

    def keep(self, resource: _T) -> _T:
        """Close something with the bench."""
        self._stack.callback(quietly, resource.close)  # type: ignore[attr-defined]  # whatever has a close
        return resource


def quietly(action: Callable[[], object]) -> None:
    """Do something whose failure says nothing here."""
    with suppress(Exception):
        action()
