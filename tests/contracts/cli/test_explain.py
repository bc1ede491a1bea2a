"""``treaty explain``."""

from __future__ import annotations

import pytest
from tests.each import each
from typer.testing import CliRunner, Result

from treaty.cli.app import app
from treaty_contracts import Rule, Strength
from treaty_contracts.registry import every_rule


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments], prog_name="treaty")


@each(every_rule(), lambda rule: rule.id)
def test_every_rule(rule: Rule) -> None:
    result = run(rule.id.lower())
    assert result.exit_code == 0
    for part in (rule.id, rule.level.value, rule.sentence, rule.intent, *rule.causes, *rule.requires, *rule.hooks):
        assert part in result.stdout
    assert (f"--rule {rule.id}" in result.stdout) == (rule.strength is not Strength.REVIEW)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("CALL003", "there is no rule 'CALL003': did you mean CALL-003?"),
        ("refuse-order", "there is no rule 'refuse-order': did you mean REFUSE-ORDERED"),
        ("NOPE", "there is no rule 'NOPE': the families are SETUP, LINE,"),
        ("", "there is no rule '': the families are SETUP, LINE,"),
    ],
)
def test_one_that_is_not_there(asked: str, said: str) -> None:
    result = run(asked)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr) < 400
