"""``treaty rules``."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from treaty.cli.app import app
from treaty_contracts.registry import FAMILIES, every_rule


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rules", *arguments], prog_name="treaty")


def test_all_of_them() -> None:
    result = run()
    assert result.exit_code == 0
    for rule in every_rule():
        assert f"{rule.id} " in result.stdout and rule.sentence in result.stdout
    assert f"{len(every_rule())} rules; contract/1.0 demands" in result.stdout
    assert ", store/1.0 demands 27 MUST" in result.stdout


def test_one_family() -> None:
    result = run("--family", "call")
    assert "CALL-001" in result.stdout and "LINE-001" not in result.stdout
    wrong = run("--family", "POEM")
    assert wrong.exit_code == 2 and "use one of SETUP, LINE" in wrong.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family(family: str) -> None:
    result = run("-f", family)
    assert result.exit_code == 0, result.output
    assert f"treaty explain {family}-" in result.stdout


def test_a_family_without_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treaty_contracts.cli.rules.every_rule", list)
    result = run("-f", "STORE")
    assert result.exit_code == 2 and "the family STORE has no rules yet" in result.stderr


def test_as_json() -> None:
    known = json.loads(run("--json", "--family", "REFUSE").stdout)
    assert {one["family"] for one in known} == {"REFUSE"}
    assert all(one["refuses"] and one["causes"] and one["level"] in ("MUST", "SHOULD") for one in known)
