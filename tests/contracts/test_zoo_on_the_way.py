"""What is broken on the way between processes dies as well: on a healthy target with hooks, over the rules that use them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from treaty_contracts import find
from treaty_contracts.target import HOOKS
from treaty_contracts.verdict import VIOLATIONS, Outcome, explain
from treaty_contracts.zoo import animals, at_home, on_the_way, zoo_target
from treaty_contracts.zoo.census import Found, census_at, settle_in, told, verdict_on
from treaty_contracts.zoo.way import WAY

#: A target that crosses processes and has every hook.
SPEC = "treaty_zmq.contract:ipc"
PROCESSES = 2


def verdict(name: str) -> Outcome:
    from treaty_zmq.contract import ipc

    return verdict_on(name, ipc)


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> dict[str, Outcome] | dict[str, Found]:
    """In everyday life the main rules alone; otherwise all rules that use hooks."""
    names = list(on_the_way())
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), settle_in) as pool:
        if request.config.getoption("--profile") == "dev":
            return dict(zip(names, pool.map(verdict, names), strict=True))
        return dict(zip(names, pool.map(partial(census_at, spec=SPEC), names), strict=True))


@pytest.mark.parametrize("name", on_the_way())
def test_it_dies(name: str, found: dict[str, Outcome] | dict[str, Found]) -> None:
    animal, ended = on_the_way()[name], found[name]
    if isinstance(ended, Found):
        assert not ended.surprises, "\n".join(ended.surprises)
        return
    assert ended.status in VIOLATIONS, explain(ended)
    assert animal.shows in told(ended), explain(ended)


def test_the_hooks_of_a_target_are_those_of_what_lives_on_it() -> None:
    from treaty_zmq.contract import ipc

    animal = on_the_way()["hides-the-cause"]
    on_it = zoo_target(animal, ipc)
    assert all(callable(getattr(on_it, hook)) for hook in HOOKS)
    assert zoo_target(animals()["dead"]).cut_link is None
    assert not WAY.cut


def test_nobody_lives_in_both_places() -> None:
    assert not at_home().keys() & on_the_way().keys()
    assert at_home().keys() | on_the_way().keys() == animals().keys()
    for animal in on_the_way().values():
        # Where the references cannot live either: they do not cross processes. A rule for all that does more where they
        # are crossed rests on the one that says that they are.
        main = find(animal.main)
        assert main.hooks or "crosses_processes" in main.needs or "LINE-014" in main.requires, animal.name
