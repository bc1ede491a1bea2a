"""What is done once, before children are forked."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treaty_contracts.warming
from treaty_contracts import Target
from treaty_contracts.profile import PROFILES
from treaty_contracts.registry import find, rules
from treaty_contracts.runner import Run, prepare, run_isolated
from treaty_contracts.verdict import Status
from treaty_contracts.warming import warm
from treaty_contracts.zoo.references import reference


def test_it_is_done_once_in_a_process_and_not_in_its_children() -> None:
    prepare(len(rules()))
    before = warm.cache_info()
    assert before.currsize == 1
    prepare(len(rules()))
    run_isolated(reference("complete", time_scale=1.0), find("CALL-001"), PROFILES["quick"])
    assert warm.cache_info().misses == before.misses


def test_few_rules_do_not_pay_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(treaty_contracts.warming, "warm", lambda: done.append("warm"))
    run = Run(reference("complete", time_scale=1.0))
    for rule in rules()[:8]:
        run.judge(rule)
    assert not done
    for rule in rules()[8:20]:
        run.judge(rule)
    assert done


def test_no_rule_imports_anything_of_ours_in_its_child() -> None:
    warm()
    assert "treaty_contracts.properties.performance" in sys.modules


def test_it_changes_nothing_for_who_draws_later() -> None:
    def drawn() -> list[object]:
        seen: list[object] = []

        @settings(max_examples=5, derandomize=True, database=None)
        @given(st.integers())
        def draw(value: int) -> None:
            seen.append(value)

        draw()
        return seen

    before = drawn()
    warm.__wrapped__()
    assert drawn() == before


def test_what_goes_wrong_there_is_left_to_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(treaty_contracts.warming, "warm", broken)
    target: Target = reference("complete", time_scale=1.0)
    prepare(len(rules()))
    assert run_isolated(target, find("SETUP-001"), PROFILES["quick"]).status is Status.PASSED
