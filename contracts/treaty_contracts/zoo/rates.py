"""How surely the rules that draw find what they look for: measured over many seeds, and kept beside the matrix.

It must not know any animal or rule in particular.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec

from treaty_contracts.registry import find
from treaty_contracts.runner import run_isolated
from treaty_contracts.verdict import VIOLATIONS
from treaty_contracts.zoo.animals import HASTE, ZOO, at_home, mutants_of, zoo_target
from treaty_contracts.zoo.census import stochastic

#: What is wanted of a rule: 999 of 1,000.
WANTED: Final = 0.999
#: The file beside the matrix in which they are kept.
RATES: Final = "kill-rates.json"


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rule killed an animal that must die on it."""

    rule: str
    animal: str
    seeds: int
    killed: int


def pairs() -> list[tuple[str, str]]:
    """Return the rules that draw, each with the animals whose defect is what it demands; else with all that it kills."""
    zoo = at_home()
    found = []
    for rule in stochastic():
        own = [name for name, animal in zoo.items() if animal.main == rule.id]
        found += [(rule.id, name) for name in own or mutants_of(rule.id) if name in zoo]
    return found


def measure(pair: tuple[str, str], seeds: int) -> Rate:
    """Judge one animal by one rule, with one seed after the other."""
    rule, animal = find(pair[0]), at_home()[pair[1]]
    with animal.active():
        killed = sum(
            run_isolated(zoo_target(animal, time_scale=HASTE), rule, ZOO, seed).status in VIOLATIONS
            for seed in range(1, seeds + 1)
        )
    return Rate(rule=rule.id, animal=animal.name, seeds=seeds, killed=killed)


def measured(seeds: int, jobs: int, say: Callable[[str], None]) -> list[Rate]:
    """Measure all pairs, in processes of their own."""
    found = []
    with get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        for rate in pool.imap_unordered(partial(measure, seeds=seeds), pairs()):
            say(f"{rate.rule} killed {rate.animal} with {rate.killed} of {rate.seeds} seeds")
            found.append(rate)
    return found


def write_rates(rates: Iterable[Rate], path: Path) -> None:
    """Write what was measured, sorted, so that two files can be compared."""
    ordered = sorted(rates, key=lambda rate: (rate.rule, rate.animal))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")


def read_rates(path: Path) -> list[Rate]:
    """Read what was measured; nothing where there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=list[Rate]) if path.exists() else []
