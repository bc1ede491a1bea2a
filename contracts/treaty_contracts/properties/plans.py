"""Concurrent plans: Hypothesis draws who does what, all of them do it at once, and judges read what came of it.

While a plan runs, nothing is checked; everything is written down. It must not know adapters, nor what is right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from treaty_contracts.bench import Bench
from treaty_contracts.expect import Violated, shown
from treaty_contracts.properties import model
from treaty_contracts.properties.cases import VALUES, Cases, affordable
from treaty_contracts.properties.history import History, lines
from treaty_contracts.properties.judges import Judge, Terms

#: Calls that are over soon, of which one client may have any number open.
LIGHT: Final = ("echo", "echo_later", "report", "typed", "fail", "nothing", "misfit")
#: Calls that hold a worker, of which one client has one open at most.
HEAVY: Final = ("nested", "late")
_SHOWN: Final = 60


class Vacuous(Exception):
    """A judge saw nothing in all histories: a fault of the plans."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A call."""

    kind: str
    value: Any = None
    #: Whether the next move waits for its end.
    waits: bool = True
    #: Whether it is given up as soon as it is made.
    cancel: bool = False

    def __str__(self) -> str:
        return f"{self.kind} with {self.value!r}{', cancelled' * self.cancel}{', not waited for' * (not self.waits)}"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """What one client does, one move after the other."""

    #: On an event loop, or in a thread.
    on_loop: bool
    #: Whether it has a transport object for itself.
    alone: bool
    service: int
    moves: tuple[Move, ...]


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What one subscriber does."""

    #: Whether it subscribes before anything is published.
    early: bool
    #: After how many notifications it leaves; ``None``: not before the end.
    leaves: int | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who does what, all at once."""

    callers: tuple[Caller, ...] = ()
    #: How many services there are, and how many workers share the name of each.
    services: int = 1
    workers: int = 1
    #: Whether one of the workers stops while the others go on.
    leaves: bool = False
    #: How many notifications each publisher publishes.
    publishers: tuple[int, ...] = ()
    subscribers: tuple[Listening, ...] = ()

    def steps(self) -> list[str]:
        """Write the plan as text."""
        told = [f"all at once, with {self.services} services of {self.workers} workers each:"]
        for number, caller in enumerate(self.callers, 1):
            place = "on a loop" if caller.on_loop else "in a thread"
            told.append(
                f"client {number} {place}{', on a transport object of its own' * caller.alone}, makes its calls"
            )
            told += [f"  to service {caller.service % self.services}: {move}" for move in caller.moves]
        told += [f"publisher {number} publishes {count}" for number, count in enumerate(self.publishers, 1)]
        for number, one in enumerate(self.subscribers, 1):
            until = "" if one.leaves is None else f" and leaves after {one.leaves}"
            told.append(f"subscriber {number} subscribes {'before' if one.early else 'meanwhile'}{until}")
        return told + ["a worker stops meanwhile"] * self.leaves


_MOVES: Final = st.one_of(
    st.builds(Move, kind=st.sampled_from(LIGHT), value=VALUES, waits=st.booleans()),
    st.builds(Move, kind=st.sampled_from(HEAVY), value=VALUES),
    st.builds(Move, kind=st.sampled_from(["echo", *model.HELD]), value=VALUES, cancel=st.just(value=True)),
)
_CALLERS: Final = st.builds(
    Caller,
    on_loop=st.booleans(),
    alone=st.booleans(),
    service=st.integers(0, 1),
    moves=st.lists(_MOVES, min_size=1, max_size=8).map(tuple),
)
#: One that calls while others publish; how calls end is not the question there.
_BESIDE: Final = st.builds(
    Caller,
    on_loop=st.booleans(),
    alone=st.booleans(),
    service=st.just(0),
    moves=st.lists(st.builds(Move, kind=st.just("echo"), value=VALUES), min_size=1, max_size=4).map(tuple),
)
_LISTENING: Final = st.builds(Listening, early=st.booleans(), leaves=st.none() | st.integers(0, 5))


_EACH: Final = tuple(
    Caller(
        on_loop=on_loop,
        alone=on_loop,
        service=0,
        moves=(
            *(Move(kind=kind, value=[1], waits=on_loop) for kind in LIGHT),
            *(Move(kind=kind) for kind in HEAVY),
            *(Move(kind=kind, cancel=True) for kind in ("echo", *model.HELD)),
        ),
    )
    for on_loop in (False, True)
)
#: Plans in which there is something of each kind, so that no judge depends on chance.
CALLS: Final = Plan(callers=_EACH, services=2)
SHARED: Final = Plan(callers=_EACH, workers=2)
NEWS: Final = Plan(
    publishers=(6, 6),
    subscribers=(Listening(early=True, leaves=None), Listening(early=True, leaves=1), Listening(early=False, leaves=2)),
)


def of_calls() -> st.SearchStrategy[Plan]:
    """Draw plans of calls."""
    callers = st.lists(_CALLERS, min_size=1, max_size=4).map(tuple)
    return st.builds(Plan, callers=callers, services=st.integers(1, 2))


def of_workers() -> st.SearchStrategy[Plan]:
    """Draw plans in which several workers share one name."""
    callers = st.lists(_CALLERS, min_size=1, max_size=4).map(tuple)
    return st.builds(Plan, callers=callers, workers=st.integers(2, 3), leaves=st.booleans())


def of_notifications() -> st.SearchStrategy[Plan]:
    """Draw plans of publishers and subscribers, with some calls beside."""
    return st.builds(
        Plan,
        callers=st.lists(_BESIDE, max_size=1).map(tuple),
        publishers=st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple),
        subscribers=st.lists(_LISTENING, min_size=1, max_size=4).map(tuple),
    )


def judge(bench: Bench, first: Plan, drawn: st.SearchStrategy[Plan], judges: tuple[Judge, ...]) -> None:
    """Run a plan that has something of everything, and drawn ones, and judge what comes of each.

    Raises:
        Violated: what is wrong with the history of the smallest plan.
        Vacuous: one of the judges never saw anything.
    """
    from treaty_contracts.properties.performance import Troupe  # it needs the plans

    troupe = bench.keep(Troupe(bench))
    seen: Counter[str] = Counter()

    cases = Cases(bench, affordable(bench, trips=12))

    def check(plan: Plan) -> None:
        for step in plan.steps():
            bench.did(step)
        history = troupe.perform(plan, cases.trace)
        terms = Terms(ordered=bench.guarantees.ordered, slack=bench.times.slack, stopping=plan.leaves)
        for one in judges:
            seen[one.__name__] += _heard(bench, one, history, terms)

    cases.each(drawn, check, first=first)
    silent = [one.__name__ for one in judges if not seen[one.__name__]]
    if silent:
        raise Vacuous(f"{', '.join(silent)}: nothing to judge in all plans")


def _heard(bench: Bench, one: Judge, history: History, terms: Terms) -> int:
    finding = one(history, terms)
    bench.expect.observations += finding.judged
    if finding.problems:
        (expected, observed), *others = finding.problems
        violated = Violated(expected, shown(observed))
        for also, instead in others[:5]:
            violated.add_note(f"also expected {also}; observed {shown(instead)}")
        told = lines(history)
        violated.add_note("\n".join(["what happened:", *told[:_SHOWN], *["…"] * (len(told) > _SHOWN)]))
        raise violated
    return finding.judged
