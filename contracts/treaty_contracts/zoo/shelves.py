"""The registry of broken stores, and what the rules about stores say of them: as for transports, on shelves of their own.

A store names the exact set of rules that fail on it, and a part of what the first of them says. It must not know any
broken store in particular.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from treaty_contracts.registry import STORE, find, rules
from treaty_contracts.runner import Run, run_isolated
from treaty_contracts.shelf import Shelf, ShelfStore
from treaty_contracts.store_target import StoreTarget
from treaty_contracts.verdict import Outcome
from treaty_contracts.zoo.animals import SCALE, ZOO, outsider, rank
from treaty_contracts.zoo.census import Found, failed, surprises

_B = TypeVar("_B", bound=type[ShelfStore])


@dataclass(frozen=True, kw_only=True)
class BrokenStore:
    """A store with exactly one defect."""

    name: str
    #: What is wrong with it, in one sentence.
    defect: str
    #: The rule that the defect violates, word for word.
    main: str
    #: Every rule that fails on it; each other one passes, or is blocked by one of these.
    kills: frozenset[str]
    #: A part of what the main rule expected or observed.
    shows: str
    store: type[ShelfStore]


_STORES: Final[dict[str, BrokenStore]] = {}


def broken_store(name: str, *, kills: tuple[str, ...], shows: str) -> Callable[[_B], _B]:
    """Enter a store; the first line of its docstring says what is wrong with it.

    Args:
        name: of the store.
        kills: the rules that fail on it, the main one first.
        shows: a part of what the main rule expected or observed.
    """

    def enter(store: _B) -> _B:
        outsider(name, kills)
        defect = (store.__doc__ or "").partition("\n")[0]
        _STORES[name] = BrokenStore(
            name=name, defect=defect, main=kills[0], kills=frozenset(kills), shows=shows, store=store
        )
        return store

    return enter


def broken_stores() -> dict[str, BrokenStore]:
    """Return all broken stores by name."""
    return dict(_STORES)


def shelf_target(store: type[ShelfStore] = ShelfStore, name: str = "healthy", scale: float = SCALE) -> StoreTarget:
    """Make the target of a store on shelves of its own."""
    shelves: defaultdict[str, Shelf] = defaultdict(Shelf)
    return StoreTarget(
        name=f"the zoo, {name}",
        open=lambda context: store(shelves[context.namespace], retain=context.retain),
        time_scale=scale,
    )


def store_verdict(name: str) -> Outcome:
    """Judge a broken store by its main rule alone."""
    broken = _STORES[name]
    return run_isolated(shelf_target(broken.store, name), find(broken.main), ZOO)


def store_census(name: str) -> Found:
    """Judge a broken store by every rule about stores.

    Raises:
        KeyError: there is none of that name.
    """
    began = os.times().elapsed
    broken = _STORES[name]
    run = Run(shelf_target(broken.store, name), ZOO)
    for rule in rules(STORE):
        run.judge(rule)
    return Found(
        name=name,
        failed=failed(run.outcomes),
        surprises=tuple(surprises(run.outcomes, broken.kills, broken.main, broken.shows)),
        seconds=os.times().elapsed - began,
    )


def stores_section() -> str:
    """Write what is declared, for the kill matrix."""
    lines = ["## The stores", "", "| store | what is wrong with it | rules that fail |", "| --- | --- | --- |"]
    for one in sorted(_STORES.values(), key=lambda store: (rank(store.main), store.name)):
        kills = ", ".join([f"**{one.main}**", *sorted(one.kills - {one.main}, key=rank)])
        lines.append(f"| {one.name} | {one.defect} | {kills} |")
    return "\n".join([*lines, ""])
