"""The rules about stores, tested on stores that are broken, and on a healthy one."""

from __future__ import annotations

import pytest

from treaty_contracts import find, rules
from treaty_contracts.registry import STORE, STORE_QUESTIONS, counterpart, refusal
from treaty_contracts.runner import Run
from treaty_contracts.verdict import VIOLATIONS, Status, explain
from treaty_contracts.zoo import ZOO, mutants_of
from treaty_contracts.zoo.census import told
from treaty_contracts.zoo.shelves import broken_stores, shelf_target, store_census, store_verdict


@pytest.mark.parametrize("name", broken_stores())
def test_it_dies(name: str, request: pytest.FixtureRequest) -> None:
    """In everyday life on its main rule alone; otherwise on exactly the rules that it names."""
    if request.config.getoption("--profile") != "dev":
        assert not (said := store_census(name).surprises), "\n".join(said)
        return
    store, outcome = broken_stores()[name], store_verdict(name)
    text = explain(outcome)
    assert outcome.status in VIOLATIONS, text
    assert store.shows in told(outcome), text
    for part in (store.main, find(store.main).sentence, "expected", "observed", "likely causes"):
        assert part in text


def test_a_healthy_one_passes_everything() -> None:
    run = Run(shelf_target(), ZOO)
    for rule in rules(STORE):
        outcome = run.judge(rule)
        assert outcome.status is Status.PASSED, explain(outcome)


def test_every_rule_has_a_mutant_and_names_those_that_die_on_it() -> None:
    for rule in rules(STORE):
        assert mutants_of(rule.id), rule.id
        wrong = [name for name in rule.mutants if rule.id not in broken_stores()[name].kills]
        assert not wrong, (rule.id, wrong)


def test_every_broken_store_is_complete() -> None:
    known = {rule.id for rule in rules(STORE)}
    for name, store in broken_stores().items():
        assert store.defect.endswith("."), name
        assert store.shows, name
        assert store.main in store.kills <= known, name
        assert name in find(store.main).mutants, name


@pytest.mark.parametrize("question", STORE_QUESTIONS)
def test_every_question_has_a_rule_for_yes_and_one_for_no(question: str) -> None:
    assert question in counterpart(question).needs
    assert refusal(question).family == "STORE"
