"""Which rules fail on which animal, held against what the animals declare.

The judgement is a pure function over outcomes; the rest runs them, and a document is written from what is declared. It
must not know any animal or rule in particular.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from treaty_contracts.kinds import before
from treaty_contracts.loading import load
from treaty_contracts.profile import Profile
from treaty_contracts.registry import Rule, Strength, find, rules
from treaty_contracts.runner import Run, prepare, run_isolated
from treaty_contracts.target import SetupError, Target
from treaty_contracts.verdict import VIOLATIONS, Outcome, Status, explain
from treaty_contracts.zoo.animals import (
    FARTHER,
    HASTE,
    SCALE,
    ZOO,
    Animal,
    animals,
    at_home,
    on_the_way,
    rank,
    zoo_target,
)
from treaty_contracts.zoo.odd import odd_target, oddities
from treaty_contracts.zoo.references import reference

#: The healthy ones: nothing may fail on them.
REFERENCES: Final = ("complete", "minimal")
_FINE: Final = frozenset({Status.PASSED, Status.BLOCKED, Status.UNVERIFIED, Status.ABSENT})


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found on one inhabitant of the zoo."""

    name: str
    #: The rules that fail on it.
    failed: frozenset[str]
    #: What was not expected, in words, with the explanation of each rule that failed.
    surprises: tuple[str, ...]
    seconds: float


def failed(outcomes: Mapping[str, Outcome]) -> frozenset[str]:
    """Return the rules whose own check found a violation: one that ran in place of another counts once."""
    return frozenset(name for name, one in outcomes.items() if one.status in VIOLATIONS and not one.ran)


def surprises(outcomes: Mapping[str, Outcome], kills: frozenset[str], main: str = "", shows: str = "") -> list[str]:
    """Say what is not as it was declared.

    Args:
        outcomes: of all rules, by id.
        kills: the rules that must fail.
        main: the rule that must show it best.
        shows: what that one must have expected or observed.
    """
    found = failed(outcomes)
    said = [f"{name} fails, which is not declared:\n{explain(outcomes[name])}" for name in sorted(found - kills)]
    said += [f"{name} does not fail: {_end(outcomes.get(name))}" for name in sorted(kills - found)]
    if found != kills:
        said.append(f"what fails is {', '.join(sorted(found, key=lambda name: (name != main, rank(name))))}")
    for name, one in sorted(outcomes.items()):
        if one.status not in _FINE and one.status not in VIOLATIONS:
            said.append(f"{name} is a fault of the suite:\n{explain(one)}")
    if main in found and shows not in (text := told(outcomes[main])):
        said.append(f"{main} fails, and does not say {shows!r}, but: {text}")
    return said


def told(outcome: Outcome) -> str:
    """Return what was expected and what was observed, as one text."""
    violation = outcome.violation
    return f"{violation.expected}\n{violation.observed}" if violation else ""


def _end(outcome: Outcome | None) -> str:
    if outcome is None:
        return "it was not run"
    return f"{outcome.status.value}{f' by {outcome.blocker}' if outcome.blocker else ''}"


def census(
    name: str, profile: Profile = ZOO, seed: int = 0, *, time_scale: float = SCALE, judged: Sequence[Rule] | None = None
) -> Found:
    """Judge one inhabitant: an animal, something odd, or a reference.

    Args:
        name: which one.
        profile: how thoroughly.
        seed: of everything that is drawn.
        time_scale: multiplies all times.
        judged: the rules to judge by; all unless given. What they require is taken to hold then.

    Raises:
        KeyError: there is none of that name.
    """
    if name in REFERENCES:
        return _shared(name, Run(reference(name, time_scale=time_scale), profile, seed), None, judged)
    if name in oddities():
        return _shared(name, Run(odd_target(oddities()[name], time_scale=time_scale), profile, seed), None, judged)
    animal = at_home()[name]
    with animal.active():
        return _shared(name, Run(zoo_target(animal, time_scale=time_scale), profile, seed), animal, judged)


def census_on(name: str, healthy: Target, *, time_scale: float = FARTHER) -> Found:
    """Judge an animal that lives on the way, on a target with hooks, by the rules that use hooks and what they require.

    Raises:
        KeyError: there is none of that name.
    """
    animal = on_the_way()[name]
    with animal.active():
        run = Run(zoo_target(animal, healthy, time_scale=time_scale), ZOO)
        return _counted(name, run, animal, [rule for rule in rules() if rule.hooks or rule.id in animal.kills])


def verdict(name: str) -> Outcome:
    """Judge an animal by its main rule alone, in haste."""
    animal = animals()[name]
    with animal.active():
        return run_isolated(zoo_target(animal, time_scale=HASTE), find(animal.main), ZOO)


def census_at(name: str, spec: str) -> Found:
    """Do that on the target of a spec such as ``my_package.contract:target``.

    Raises:
        SetupError: it leads to no target, or to several.
    """
    found = [one.target for one in load(spec).found]
    if len(found) != 1 or not isinstance(found[0], Target):
        raise SetupError(f"{spec!r} is to name one target of a transport")
    return census_on(name, found[0])


def verdict_on(name: str, healthy: Target) -> Outcome:
    """Judge an animal that lives on the way by its main rule alone."""
    animal = on_the_way()[name]
    with animal.active():
        return run_isolated(zoo_target(animal, healthy, time_scale=FARTHER), find(animal.main), ZOO)


def _shared(name: str, run: Run, animal: Animal | None, judged: Sequence[Rule] | None) -> Found:
    chosen = rules() if judged is None else judged
    for required in {one for rule in chosen for one in before(rule)} - {rule.id for rule in chosen}:
        run.outcomes[required] = Outcome(rule=required, target=run.target.name, status=Status.PASSED)
    return _counted(name, run, animal, chosen)


def _counted(name: str, run: Run, animal: Animal | None, judged: Sequence[Rule]) -> Found:
    began = os.times().elapsed
    for rule in judged:
        run.judge(rule)
    expected = (animal.kills, animal.main, animal.shows) if animal else (frozenset[str](), "", "")
    return Found(
        name=name,
        failed=failed(run.outcomes),
        surprises=tuple(surprises(run.outcomes, *expected)),
        seconds=os.times().elapsed - began,
    )


def settle_in() -> None:
    """Prepare a process that judges many, and let nobody read there what services log about what fails on purpose."""
    logging.getLogger("treaty").addHandler(logging.NullHandler())
    prepare(len(rules()))


def inhabitants() -> list[str]:
    """Return the names of all that live in the zoo, the healthy ones first."""
    return [*REFERENCES, *oddities(), *at_home()]


def stochastic() -> list[Rule]:
    """Return the rules that find a violation with a probability."""
    return [rule for rule in rules() if rule.strength is Strength.STOCHASTIC]
