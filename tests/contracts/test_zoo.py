"""The rules, tested on what is broken, on what is odd and right, and on what is healthy."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pytest

from treaty_contracts import Strength, find, rules
from treaty_contracts.registry import QUESTIONS, declares
from treaty_contracts.verdict import VIOLATIONS, Outcome, Status, Violation, explain
from treaty_contracts.zoo import COMPLETE, MINIMAL, ZOO, animals, at_home, mutants_of, oddities
from treaty_contracts.zoo.__main__ import main
from treaty_contracts.zoo.census import (
    REFERENCES,
    Found,
    census,
    failed,
    inhabitants,
    settle_in,
    surprises,
    told,
    verdict,
)
from treaty_contracts.zoo.matrix import rendered
from treaty_contracts.zoo.patching import patched
from treaty_contracts.zoo.rates import RATES, Rate, pairs, read_rates, write_rates

T = TypeVar("T")
DOCS = Path(__file__).parents[2] / "docs"
MATRIX = DOCS / "kill-matrix.md"


#: How many processes judge at once.
PROCESSES = 2
#: Into how many shares the rules are dealt for the odd.
SHARES = 4


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """What the main rule of each animal says of it."""
    return {} if thorough(request) else dict(zip(at_home(), in_processes(verdict, at_home()), strict=True))


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> dict[str, Found]:
    """What all rules say of everybody; in everyday life all say it of the references, and a share of them of the odd."""
    judge, names = (census, inhabitants()) if thorough(request) else (glance, [*REFERENCES, *oddities()])
    return dict(zip(names, in_processes(judge, names), strict=True))


def glance(name: str) -> Found:
    """Judge somebody healthy with few examples, and somebody odd by a share of the rules, each by another one."""
    place = [*oddities()].index(name) if name in oddities() else None
    share = None if place is None else rules()[place % SHARES :: SHARES]
    return census(name, replace(ZOO, examples=2), judged=share)


def thorough(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--profile") != "dev")


def in_processes(judge: Callable[[str], T], names: Iterable[str]) -> list[T]:
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), settle_in) as pool:
        return list(pool.map(judge, names))


@pytest.mark.parametrize("name", at_home())
def test_it_dies(name: str, request: pytest.FixtureRequest) -> None:
    """In everyday life on its main rule alone; otherwise on exactly the rules that it names."""
    if thorough(request):
        said = request.getfixturevalue("found")[name].surprises
        assert not said, "\n".join(said)
        return
    animal, outcome = animals()[name], request.getfixturevalue("verdicts")[name]
    text = explain(outcome)
    assert outcome.status in VIOLATIONS, text
    assert animal.shows in told(outcome), text
    for part in (animal.main, find(animal.main).sentence, "expected", "observed"):
        assert part in text
    assert ("likely causes" in text) is (outcome.status is not Status.CRASHED)


@pytest.mark.parametrize("name", [*REFERENCES, *oddities()])
def test_it_passes_everything(name: str, found: dict[str, Found]) -> None:
    assert not (said := found[name].surprises), "\n".join(said)


def test_the_two_references_answer_every_question_differently() -> None:
    for question in QUESTIONS:
        # What lives in one process cannot cross processes: other targets prove the rules for that.
        assert declares(COMPLETE, question) is (question != "crosses_processes"), question
        assert not declares(MINIMAL, question), question


def test_every_rule_has_a_mutant() -> None:
    """But for what only reviewers can tell."""
    found = {rule.id for rule in rules() if not mutants_of(rule.id)}
    assert found == {rule.id for rule in rules() if rule.strength is Strength.REVIEW}


def test_every_animal_is_complete() -> None:
    assert len(animals()) >= 30
    assert len(oddities()) >= 6
    known = {rule.id for rule in rules()}
    for animal in animals().values():
        assert animal.defect.endswith("."), animal.name
        assert animal.shows, animal.name
        assert animal.main in animal.kills, animal.name
        assert animal.kills <= known, (animal.name, animal.kills - known)
    assert len(set(inhabitants())) == len(inhabitants())


def test_what_dies_on_its_own_rule_comes_first() -> None:
    named = mutants_of("LINE-008")
    mains = [animals()[name].main == "LINE-008" for name in named]
    assert mains == sorted(mains, reverse=True)
    assert mutants_of("AUTH-006") == ()


def outcome(rule: str, status: Status, observed: str = "", ran: str = "") -> Outcome:
    violation = Violation(expected="one thing", observed=observed) if status in VIOLATIONS else None
    return Outcome(rule=rule, target="x", status=status, violation=violation, ran=ran)


def test_what_counts_as_failed() -> None:
    found = {
        "SETUP-001": outcome("SETUP-001", Status.PASSED),
        "LINE-001": outcome("LINE-001", Status.FAILED),
        "LINE-002": outcome("LINE-002", Status.HUNG),
        "LINE-003": outcome("LINE-003", Status.CRASHED),
        "LINE-004": outcome("LINE-004", Status.BLOCKED),
        "LINE-005": outcome("LINE-005", Status.ERROR),
        "REFUSE-ORDERED": outcome("REFUSE-ORDERED", Status.FAILED, ran="LINE-001"),
    }
    assert failed(found) == {"LINE-001", "LINE-002", "LINE-003"}


def test_what_is_a_surprise() -> None:
    found = {
        "LINE-001": outcome("LINE-001", Status.FAILED, "another thing"),
        "LINE-002": outcome("LINE-002", Status.PASSED),
        "LINE-003": outcome("LINE-003", Status.ERROR),
    }
    assert surprises({"LINE-001": found["LINE-001"]}, frozenset({"LINE-001"}), "LINE-001", "another thing") == []
    said = surprises(found, frozenset({"LINE-002", "LINE-004"}))
    assert [line.partition("\n")[0] for line in said] == [
        "LINE-001 fails, which is not declared:",
        "LINE-002 does not fail: passed",
        "LINE-004 does not fail: it was not run",
        "what fails is LINE-001",
        "LINE-003 is a fault of the suite:",
    ]
    (said_too,) = surprises({"LINE-001": found["LINE-001"]}, frozenset({"LINE-001"}), "LINE-001", "a third thing")
    assert "LINE-001 fails, and does not say 'a third thing', but: one thing" in said_too


def test_a_patch_is_taken_back() -> None:
    class Broken:
        value = 1

    with pytest.raises(LookupError), patched(Broken, "value", 2):
        assert Broken.value == 2
        raise LookupError
    assert Broken.value == 1


def test_the_matrix_is_what_is_declared() -> None:
    assert MATRIX.read_text("utf-8") == rendered(read_rates(DOCS / RATES)), (
        f"{MATRIX.name} is stale: python -m treaty_contracts.zoo --only complete --write docs/{MATRIX.name}"
    )


def test_rates_are_kept(tmp_path: Path) -> None:
    path = tmp_path / RATES
    assert read_rates(path) == []
    rates = [
        Rate(rule="LINE-002", animal="b", seeds=10, killed=10),
        Rate(rule="LINE-001", animal="a", seeds=4, killed=3),
    ]
    write_rates(rates, path)
    assert read_rates(path) == rates[::-1]
    assert "| LINE-001 | a | 3 | 4 | 75.0% |" in rendered(read_rates(path))
    assert {rule for rule, _ in pairs()} <= {rule.id for rule in rules() if rule.strength is Strength.STOCHASTIC}


def test_the_command(tmp_path: Path) -> None:
    out = io.StringIO()
    target = tmp_path / "matrix.md"
    assert main(["--only", "declares-nonsense", "--jobs", "1", "--write", str(target)], out) == 0
    assert "all as declared" in out.getvalue()
    assert target.read_text("utf-8") == rendered()
    assert main(["--only", "nobody"], out) == 2
