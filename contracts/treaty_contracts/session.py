"""One run of the contract on the targets of one spec, told as events: what begins, what came of it, what went wrong.

The events are plain data, so that they can come from another process, in which whatever a target does is no harm. This
room must not know who shows them, nor how processes are started.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import msgspec

from treaty import Guarantees
from treaty_contracts.kinds import before, kind_of, side_by_side
from treaty_contracts.lanes import InTurn, Lanes, SideBySide
from treaty_contracts.loading import Found, load
from treaty_contracts.proving import repeats
from treaty_contracts.registry import TRANSPORT, Rule, Strength, counterpart, declares, find, refusal, rules
from treaty_contracts.runner import Run, prepare
from treaty_contracts.script import addressed
from treaty_contracts.store_target import Promises
from treaty_contracts.target import HOOKS, SetupError
from treaty_contracts.verdict import Outcome, Status

#: How many times as long a rule takes about, where chance is involved: it tries often.
_LONG: Final = 3


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run, and how."""

    #: ``package.module:attribute``.
    spec: str
    profile: str = "quick"
    seed: int = 0
    #: The rules that are wanted; empty for all. What they require is run as well.
    only: tuple[str, ...] = ()
    #: Multiplies the times of each target.
    time_scale: float = 1.0
    #: Whether each rule runs in a process of its own.
    isolated: bool = True
    #: How many rules run side by side, of a target that allows it.
    jobs: int = 1


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    pass


class Began(_Event, frozen=True, kw_only=True, tag="began"):
    """The run on a target begins."""

    target: str
    hooks: tuple[str, ...]
    #: The ids of the rules that are going to be judged, in order.
    planned: tuple[str, ...]
    time_scale: float
    #: What kind of thing is judged.
    kind: str = TRANSPORT


class Running(_Event, frozen=True, kw_only=True, tag="running"):
    """A rule is run now."""

    rule: str
    #: Whether it has failed, and is run again.
    again: bool = False


class Declared(_Event, frozen=True, kw_only=True, tag="declared"):
    """What the target declares is known, or will not be. Comes once, before the first outcome."""

    guarantees: Guarantees | None
    #: The same of a store.
    promises: Promises | None = None
    #: What runs in place of rules that were planned, as the target declares the opposite.
    besides: tuple[str, ...] = ()


class Judged(_Event, frozen=True, kw_only=True, tag="judged"):
    """An outcome is known."""

    outcome: Outcome
    #: Whether it may still turn out to be unstable.
    open: bool = False


class Ended(_Event, frozen=True, kw_only=True, tag="ended"):
    """Everything about this target was said."""


class Noted(_Event, frozen=True, kw_only=True, tag="noted"):
    """Something about the module of the target that is worth a look."""

    text: str


class Refused(_Event, frozen=True, kw_only=True, tag="refused"):
    """This cannot be judged as it stands; nothing more comes of it."""

    #: The target, or the spec if it is not known yet.
    target: str
    text: str
    #: Whether it is the suite's own fault.
    ours: bool = False


class Over(_Event, frozen=True, kw_only=True, tag="over"):
    """Everything was said."""


Event: TypeAlias = Began | Running | Declared | Judged | Ended | Noted | Refused | Over


def run(order: Order) -> Iterator[Event]:
    """Judge all targets of a spec. Nothing that a target does at import ends this, short of ending the process."""
    try:
        loaded = load(order.spec)
    except SetupError as error:
        yield Refused(target=order.spec, text=str(error))
        yield Over()
        return
    for warning in loaded.warnings:
        yield Noted(text=warning)
    for found in loaded.found:
        yield from _judged(found, order)
    yield Over()


def planned(only: Collection[str], kind: str = TRANSPORT) -> list[Rule]:
    """Return the rules that are wanted and what they require, in the order in which they run."""
    wanted = dict.fromkeys(only)
    todo = list(wanted)
    while todo:
        identifier = todo.pop()
        needed = before(find(identifier))
        todo += [one for one in needed if one not in wanted]
        wanted |= dict.fromkeys(needed)
    return [rule for rule in rules(kind) if not only or rule.id in wanted]


def _judged(found: Found, order: Order) -> Iterator[Event]:
    target = replace(found.target, time_scale=found.target.time_scale * order.time_scale)
    run = Run(target, order.profile, order.seed, isolated=order.isolated)
    kind = kind_of(target)
    plan = planned(order.only, kind.name)
    given = tuple(hook for hook in HOOKS if callable(getattr(target, hook, None)))
    yield Began(
        target=target.name,
        hooks=given,
        planned=tuple(rule.id for rule in plan),
        time_scale=target.time_scale,
        kind=kind.name,
    )
    if not plan:
        yield Refused(
            target=target.name, text=f"none of {', '.join(order.only)} is about a {kind.name}, as this is one"
        )
        return
    told: set[str] = set()

    def news(known: Iterable[str]) -> Iterator[Event]:
        for identifier in known:
            if identifier not in told:
                told.add(identifier)
                outcome = run.outcomes[identifier] = _addressed(run.outcomes[identifier], found.lines)
                yield Judged(outcome=outcome, open=_may_change(outcome))

    if order.isolated:
        prepare(len(plan))
    try:
        # A declaration that is none leaves nothing to judge by; that the target does not open at all is a verdict.
        for rule in plan:
            if rule.id in kind.first:
                yield Running(rule=rule.id)
                run.declaration.check()
                run.judge(rule)
        yield _declared(run, plan)
        yield from news(list(run.outcomes))
        with _lanes(run, order) as lanes:
            for running in _all(run, plan if isinstance(lanes, InTurn) else urgent(plan), lanes):
                if running:
                    yield Running(rule=running)
                yield from news(list(run.outcomes))
        for outcome in list(run.outcomes.values()):
            if _may_change(outcome):
                yield Running(rule=outcome.rule, again=True)
                yield Judged(outcome=run.confirm(find(outcome.rule)))
    except SetupError as error:
        yield Refused(target=target.name, text=str(error))
        return
    except Exception as error:
        where = "".join(traceback.format_exception(error)[-2:]).strip().replace("\n", " ")
        yield Refused(target=target.name, text=f"the suite itself failed, please report it: {where}", ours=True)
        return
    yield Ended()


def _lanes(run: Run, order: Order) -> Lanes:
    def work(identifier: str) -> Outcome:
        return run.run(find(identifier))

    if order.jobs > 1 and order.isolated and side_by_side(run.target):
        return SideBySide(work, order.jobs)
    return InTurn(work)


def urgent(plan: Sequence[Rule]) -> list[Rule]:
    """Return a plan in the order for several lanes: first what most rules rest on, one after the other, and among equals
    what takes long. So no lane is without a rule while another one works through a chain at the end.
    """
    lengths: dict[str, int] = {}
    for rule in reversed(plan):  # whatever rests on a rule stands after it
        length = lengths.get(rule.id, 0) + (_LONG if rule.strength is Strength.STOCHASTIC else 1)
        lengths[rule.id] = length
        for identifier in before(rule):
            lengths[identifier] = max(length, lengths.get(identifier, 0))
    return sorted(plan, key=lambda rule: -lengths[rule.id])


def _all(run: Run, plan: Sequence[Rule], lanes: Lanes) -> Iterator[str]:
    """Judge all rules of a plan, each as soon as what it rests on is known. Yields what runs, whenever something new is."""
    todo = {rule.id: rule for rule in plan if rule.id not in run.outcomes}
    while todo or lanes.running:
        for rule in list(todo.values()):
            awaited = run.awaited(rule)
            if awaited and awaited not in todo and awaited not in lanes.running:
                todo[awaited] = find(awaited)  # it runs in place of one that was planned
            if awaited or not lanes.free:
                continue
            del todo[rule.id]
            outcome = run.settled(rule)
            if outcome is None:
                lanes.begin(rule.id)
            else:
                run.outcomes[rule.id] = outcome
        yield next(iter(lanes.running), "")
        if lanes.running:
            outcome = lanes.next()
            run.outcomes[outcome.rule] = outcome
    yield ""


def _declared(run: Run, plan: Sequence[Rule]) -> Declared:
    # Whatever is wrong with it is what the first rules are about, and they say more.
    if any(outcome.status is not Status.PASSED for outcome in run.outcomes.values()):
        return Declared(guarantees=None)
    try:
        said = run.guarantees
    except SetupError:
        return Declared(guarantees=None)
    return Declared(
        guarantees=said if isinstance(said, Guarantees) else None,
        promises=said if isinstance(said, Promises) else None,
        besides=tuple(besides(plan, said)),
    )


def besides(plan: Sequence[Rule], said: msgspec.Struct) -> list[str]:
    """Return what is judged besides a plan: the rules that run in place of others, and what those require."""
    known, todo, found = {rule.id for rule in plan}, list(plan), list[str]()
    while todo:
        rule = todo.pop(0)
        other = instead(rule, said)
        for identifier in (*before(rule), *([other.id] if other else [])):
            if identifier not in known:
                known.add(identifier)
                found.append(identifier)
                todo.append(find(identifier))
    return found


def instead(rule: Rule, said: msgspec.Struct) -> Rule | None:
    """Return the rule that runs in place of one, with this declaration; ``None`` if it runs itself."""
    if not (rule.needs or rule.refuses) or rule.applies(said):
        return None
    if rule.refuses:
        return counterpart(rule.refuses)
    return refusal(next(name for name in rule.needs if not declares(said, name)))


def _may_change(outcome: Outcome) -> bool:
    return outcome.status is Status.FAILED and not outcome.ran


def _addressed(outcome: Outcome, lines: tuple[str, ...]) -> Outcome:
    """Let the program of a failure import the very target that failed, and leave it out where it does not repeat it."""
    violation = outcome.violation
    if violation is None or not violation.script or not lines:
        return outcome
    script, notes = addressed(violation.script, lines), violation.notes
    if not repeats(script):
        script, notes = (
            "",
            (*notes, "a program that calls the same in the same order did not fail: it takes threads, or time"),
        )
    return msgspec.structs.replace(outcome, violation=msgspec.structs.replace(violation, script=script, notes=notes))


#: What somebody who shows events is given.
Source: TypeAlias = Callable[[Order], Iterator[Event]]
