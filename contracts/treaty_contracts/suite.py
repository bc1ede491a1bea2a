"""Turns a target into a test that pytest collects: one item for each rule, no fixture, no plugin, nothing to inherit.

::

    from treaty_contracts import Target, contract

    target = Target(name="mine", open=lambda context: MyTransport(f"mine://{context.namespace}"))
    test_contract = contract(target)

It must not know what any rule says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from treaty_contracts.registry import find, rules
from treaty_contracts.runner import Run
from treaty_contracts.target import SetupError, Target
from treaty_contracts.verdict import Status, explain

if TYPE_CHECKING:
    from treaty_contracts.profile import Profile


def contract(target: Target, *, profile: str | Profile = "", seed: int | None = None) -> Callable[[str], None]:
    """Make the test function that judges a target by every rule.

    Args:
        target: the transport in one configuration.
        profile: ``"quick"``, ``"standard"`` or ``"deep"``; the variable ``TREATY_PROFILE`` if empty, else quick.
        seed: of everything that is drawn; the variable ``TREATY_SEED`` if ``None``, else 0: the same each time.

    Raises:
        SetupError: this is no target.
    """
    import pytest  # whoever only reads the catalogue needs no pytest

    if not isinstance(target, Target):
        raise SetupError(f"contract() takes a Target, not {type(target).__name__}: write contract(Target(...))")
    run = Run(
        target,
        profile or os.environ.get("TREATY_PROFILE", "quick"),
        int(os.environ.get("TREATY_SEED", "0")) if seed is None else seed,
    )

    @pytest.mark.parametrize("rule_id", [rule.id for rule in rules()])
    def test_contract(rule_id: str) -> None:
        __tracebackhide__ = True
        outcome = run.judge(find(rule_id))
        if outcome.status is Status.UNVERIFIED:
            pytest.skip(f"UNVERIFIED {rule_id}: {outcome.reason}")
        if outcome.status is not Status.PASSED:
            pytest.fail(explain(outcome, _replay()), pytrace=False)

    test_contract.__doc__ = f"The contract, on {target.name}."
    test_contract.contract_target = target.name  # type: ignore[attr-defined]  # for reports that group by target
    return test_contract


def _replay() -> str:
    item = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return f"pytest '{item}'" if item else ""
