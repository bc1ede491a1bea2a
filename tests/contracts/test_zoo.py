"""The rules, tested on transports that are broken: whatever a rule names must die on it, and say what is wrong."""

from __future__ import annotations

import pytest

import treaty_memory
from treaty_contracts import Rule, Status, Target, explain, rules
from treaty_contracts.profile import PROFILES
from treaty_contracts.runner import run_rule
from treaty_contracts.zoo import animals, zoo_target

HEALTHY = Target(name="memory", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))
ZOO = animals()
PAIRS = [(rule, name) for rule in rules() for name in rule.mutants if name in ZOO]
#: Each animal once, on the first rule that names it: the others are for the longer profiles.
FIRST = {name: rule.id for rule, name in reversed(PAIRS)}


@pytest.mark.parametrize(("rule", "name"), PAIRS, ids=[f"{rule.id}-{name}" for rule, name in PAIRS])
def test_it_dies(rule: Rule, name: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--profile") == "dev" and FIRST[name] != rule.id:
        return  # proven elsewhere in this profile
    outcome = run_rule(zoo_target(ZOO[name], HEALTHY), rule, PROFILES["quick"])
    text = explain(outcome)
    assert outcome.status in (Status.FAILED, Status.HUNG), text
    for part in (rule.id, rule.sentence, "expected", "observed", "likely causes"):
        assert part in text


def test_every_animal_says_what_is_wrong_with_it() -> None:
    assert len(ZOO) >= 30
    for animal in ZOO.values():
        assert animal.defect.endswith("."), animal.name


def test_the_healthy_one_survives_in_a_hurry() -> None:
    """Whatever kills an animal does so for its defect, and not for the haste of the zoo."""
    target = Target(name="memory in a hurry", open=HEALTHY.open, time_scale=0.1)
    for rule in rules():
        if any(name in ZOO for name in rule.mutants) and not (rule.refuses or rule.needs):
            outcome = run_rule(target, rule, PROFILES["quick"])
            assert outcome.status is Status.PASSED, explain(outcome)
