"""Turns a target into a test that pytest collects: one item for each rule, no fixture, no plugin, nothing to inherit.

::

    from treaty_contracts import Target, contract

    target = Target(name="mine", open=lambda context: MyTransport(f"mine://{context.namespace}"))
    test_contract = contract(target)

It must not know what any rule says.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from treaty_contracts.profile import PROFILES, Profile
from treaty_contracts.registry import find, rules
from treaty_contracts.runner import Run
from treaty_contracts.target import SetupError, Target
from treaty_contracts.verdict import Status, explain

if TYPE_CHECKING:
    import pytest

_PROFILE: Final = "TREATY_PROFILE"
_SEED: Final = "TREATY_SEED"
_DEFAULTS: Final = {_PROFILE: "quick", _SEED: "0"}


def contract(target: Target, *, profile: str | Profile = "", seed: int | None = None) -> Callable[..., None]:
    """Make the test function that judges a target by every rule.

    Args:
        target: the transport in one configuration.
        profile: ``"quick"``, ``"standard"`` or ``"deep"``; the variable ``TREATY_PROFILE`` if empty, else quick.
        seed: of everything that is drawn; the variable ``TREATY_SEED`` if ``None``, else 0: the same each time.

    Raises:
        SetupError: this is no target, or there is no such profile or seed.
    """
    import pytest  # whoever only reads the catalogue needs no pytest

    if not isinstance(target, Target):
        raise SetupError(f"contract() takes a Target, not {type(target).__name__}: write contract(Target(...))")
    run = Run(target, profile or _profile(), _seed() if seed is None else seed)

    @pytest.mark.parametrize("rule_id", [rule.id for rule in rules()])
    def test_contract(rule_id: str, request: pytest.FixtureRequest) -> None:
        __tracebackhide__ = True
        outcome = run.judge(find(rule_id))
        if outcome.status is Status.UNVERIFIED:
            pytest.skip(f"UNVERIFIED {rule_id}: {outcome.reason}")
        if outcome.status is not Status.PASSED:
            pytest.fail(explain(outcome, _replay(request)), pytrace=False)

    test_contract.__doc__ = f"The contract, on {target.name}."
    test_contract.contract_target = target.name  # type: ignore[attr-defined]  # for reports that group by target
    return test_contract


def _profile() -> str:
    name = os.environ.get(_PROFILE) or _DEFAULTS[_PROFILE]
    if name not in PROFILES:
        raise SetupError(f"the variable {_PROFILE} is {name!r}, which is no profile: use one of {', '.join(PROFILES)}")
    return name


def _seed() -> int:
    text = os.environ.get(_SEED) or _DEFAULTS[_SEED]
    try:
        return int(text)
    except ValueError:
        raise SetupError(
            f"the variable {_SEED} is {text!r}, which is no whole number: 0 draws the same each time, "
            "any other number draws other cases"
        ) from None


def _replay(request: pytest.FixtureRequest) -> str:
    """Return the command that runs this item again, from the directory in which pytest was started."""
    variables = [
        f"{name}={shlex.quote(value)}"
        for name, default in _DEFAULTS.items()
        if (value := os.environ.get(name) or default) != default
    ]
    item = f"{os.path.relpath(request.path, request.config.invocation_params.dir)}::{request.node.name}"
    return " ".join([*variables, "pytest", shlex.quote(item)])
