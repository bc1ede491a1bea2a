"""Runs what Hypothesis draws under its own settings, and remembers the smallest case that went wrong.

Hypothesis shrinks by running a case again and again; on a transport that is broken that can take long, and the same
case may end differently. What was seen once is a violation all the same. This room must not know what a case does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from treaty_contracts.bench import Bench
from treaty_contracts.expect import Violated, said
from treaty_contracts.recording import Trace

#: What calls and notifications carry: small, as other rules look at all that JSON can say.
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from([0.5, -1e9, "", "é", "a.b", "\x00", "x" * 300]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["", "id", "k"]), inner, max_size=2),
    max_leaves=3,
)
#: For how long a bad case is made smaller, in slacks.
_PATIENCE: Final = 8
#: How many cases of other rules are as long as a walk or a plan, and how few of these are worth drawing: the first
#: that is drawn is the simplest of all.
_LENGTHS: Final = 5
_FEWEST: Final = 3
#: The least that is waited for what must come, in seconds: below, it would be the machine that is judged.
_LEAST: Final = 0.1


def affordable(bench: Bench, trips: int) -> int:
    """Return how many cases are drawn beside the fixed one: each is as long as many cases of other rules."""
    return max(min(_FEWEST, bench.profile.examples), bench.cases(trips) // _LENGTHS)


class _Enough(BaseException):  # not an Exception, so that Hypothesis lets it through
    """A bad case was found, and there was time enough to make it smaller."""


class _Found(NamedTuple):
    """A case that went wrong."""

    size: int
    error: Exception
    notes: tuple[str, ...]
    done: tuple[str, ...]
    trace: Trace


class Cases:
    """The drawn cases of one rule.

    Args:
        bench: what the rule works on. Whatever it did before stays at the head of what a failure tells.
        examples: how many are drawn.
    """

    def __init__(self, bench: Bench, examples: int) -> None:
        self._bench = bench
        self._head = len(bench.done)
        self._examples = examples
        self._found: _Found | None = None
        #: What the first case that went wrong said.
        self._first = ""
        self._until = 0.0
        self._enough = False
        #: Of the case that runs: each has one of its own.
        self.trace = Trace()
        # The same number for the same seed of the run, 0 included, so that a verdict repeats.
        self._seed = bench.random.getrandbits(64)

    def walk(self, machine: Callable[[], RuleBasedStateMachine], steps: int) -> None:
        """Let a state machine take drawn steps; it calls :meth:`begin` and :meth:`end`.

        Raises:
            Exception: what the smallest walk that went wrong has raised.
        """

        def made() -> RuleBasedStateMachine:
            return machine()

        self._run(lambda: run_state_machine_as_test(seed(self._seed)(made), settings=self._settings(steps)))  # type: ignore[arg-type]  # a function will do

    def each(self, drawn: st.SearchStrategy[Any], check: Callable[[Any], None], *, first: Any = None) -> None:
        """Check drawn values.

        Args:
            drawn: where they come from.
            check: judges one.
            first: is checked before any is drawn. If it is bad, a drawn one may be smaller.

        Raises:
            Exception: what ``check`` has raised for the smallest one that it refused.
        """
        if first is not None:
            with suppress(Exception), self.case():  # what it raises is kept
                check(first)

        @seed(self._seed)
        @self._settings()
        @given(case=drawn)
        def example(case: Any) -> None:
            with self.case():
                check(case)

        self._run(example)

    @contextmanager
    def case(self) -> Iterator[None]:
        """Run a case."""
        self.begin()
        try:
            yield
        except Exception as error:
            self.end(error)
            raise

    def begin(self) -> None:
        """Forget what the case before did."""
        if self._found is not None and time.monotonic() > self._until:
            self._enough = True
            raise _Enough
        del self._bench.done[self._head :]
        self.trace = Trace()
        self._show(self.trace)

    def end(self, error: BaseException | None) -> None:
        """Keep a case that went wrong, if none of those before was smaller."""
        if not isinstance(error, Exception) or not (isinstance(error, Violated) or _is_real(error)):
            return
        bench = self._bench
        if self._found is None:
            self._until = time.monotonic() + _PATIENCE * bench.times.slack
            self._first = str(error) if isinstance(error, Violated) else said(error)
            # The verdict is clear; what is left is to find a small case, and not to wait long for it.
            bench.times = replace(bench.times, arrive=max(bench.times.slack / 4, _LEAST))
        size, notes = len(bench.done), tuple(getattr(error, "__notes__", ()))
        if self._found is None or size <= self._found.size:
            self._found = _Found(size, error, notes, tuple(bench.done), self.trace)

    def _run(self, drawn: Callable[[], None]) -> None:
        flaky = False
        try:
            drawn()
        except (_Enough, Exception) as error:
            if self._found is None:
                raise
            flaky = isinstance(error, Flaky) and not self._enough
        # Whatever Hypothesis made of it in the end: it was seen.
        found = self._found
        if found is None:
            return
        self._bench.done[self._head :] = found.done[self._head :]
        self._show(found.trace)
        found.error.__notes__ = list(found.notes)  # what Hypothesis says of it besides is said by the steps
        if flaky:
            found.error.add_note("the same case did not end like this each time it was run")
            # The smaller ones were not given as much time: a busy machine may be all that is wrong with them.
            found.error.add_note(f"what was seen first, in a longer case: {self._first}")
        raise found.error

    def _show(self, trace: Trace) -> None:
        """Let the trace of the bench be that of a case, from now on and whichever case is run last."""
        vars(self._bench.trace).update(vars(trace))

    def _settings(self, steps: int = 1) -> settings:
        return settings(
            # The verdict may be clear already: then more are drawn, so that there is a small one among them.
            max_examples=self._examples * (1 if self._found is None else _LENGTHS),
            stateful_step_count=steps,
            deadline=None,
            derandomize=False,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
        )


def _is_real(error: Exception) -> bool:
    """Whether an exception is none with which Hypothesis steers."""
    return not type(error).__module__.startswith("hypothesis")
