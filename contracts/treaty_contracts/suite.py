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
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from treaty_contracts.baseline import Known, read, sort_out
from treaty_contracts.kinds import TARGETS, AnyTarget, kind_of, side_by_side
from treaty_contracts.profile import PROFILES, Profile
from treaty_contracts.registry import find, rules
from treaty_contracts.runner import Run
from treaty_contracts.target import DeclarationError, SetupError
from treaty_contracts.turns import in_turn
from treaty_contracts.verdict import VIOLATIONS, Status, explain

if TYPE_CHECKING:
    import pytest


class ContractWarning(UserWarning):
    """Something about a transport that violates no rule, and is worth a look."""


_PROFILE: Final = "TREATY_PROFILE"
_SEED: Final = "TREATY_SEED"
_DEFAULTS: Final = {_PROFILE: "quick", _SEED: "0"}


def contract(
    target: AnyTarget,
    *,
    profile: str | Profile = "",
    seed: int | None = None,
    baseline: str | Path | None = None,
    isolated: bool = True,
) -> Callable[..., None]:
    """Make the test function that judges a target by every rule that is about its kind.

    A rule that the baseline knows to fail is an expected failure; one that passes all the same fails, as does an entry
    that has expired.

    Args:
        target: the transport, or the store, in one configuration.
        profile: ``"quick"``, ``"standard"`` or ``"deep"``; the variable ``TREATY_PROFILE`` if empty, else quick.
        seed: of everything that is drawn; the variable ``TREATY_SEED`` if ``None``, else 0: the same each time.
        baseline: the TOML file with the failures that are known, best given as ``Path(__file__).with_name(...)``.
        isolated: whether each rule runs in a process of its own; ``False`` lets a debugger reach what runs.

    Raises:
        SetupError: this is no target, there is no such profile or seed, or the baseline is not one.
    """
    import pytest  # whoever only reads the catalogue needs no pytest

    __tracebackhide__ = True
    try:
        run, ids, known, stale = _set_up(target, profile, seed, baseline, isolated=isolated)
    except SetupError as error:  # it is about the caller's line, and about nothing in here
        raise error.with_traceback(None) from None

    def turn(request: pytest.FixtureRequest) -> AbstractContextManager[None]:
        return nullcontext() if side_by_side(target) else in_turn(f"{request.path} {target.name}")

    @pytest.mark.parametrize("rule_id", ids)
    def test_contract(rule_id: str, request: pytest.FixtureRequest) -> None:
        __tracebackhide__ = True
        rule = find(rule_id)
        with turn(request):
            wrong = _misdeclared(run)
            if wrong:  # no rule is violated, and none is known to be
                pytest.fail(f"{rule_id} is not judged: {wrong}", pytrace=False)
            outcome = run.judge(rule)
        if rule_id in stale:
            pytest.fail(f"{stale[rule_id]} (today: {outcome.word})", pytrace=False)
        if rule_id in known and outcome.status is Status.PASSED:
            pytest.fail(f"{rule_id} is in the baseline as failing, and passes: take the entry out", pytrace=False)
        if rule_id in known and outcome.status in VIOLATIONS:
            pytest.xfail(f"known: {known[rule_id].reason} ({known[rule_id].link})")
        root = run.root(outcome)
        if outcome.status is Status.BLOCKED and root.rule in known and root.status in VIOLATIONS:
            pytest.xfail(f"BLOCKED by {root.rule}, which is known: {known[root.rule].reason} ({known[root.rule].link})")
        if outcome.status in (Status.UNVERIFIED, Status.ABSENT):
            pytest.skip(f"{outcome.word.upper()} {rule_id}: {outcome.reason}")
        for warning in outcome.warnings:
            warnings.warn(ContractWarning(f"{rule_id} on {target.name}: {warning}"), stacklevel=1)
        if outcome.status is not Status.PASSED:
            with turn(request):
                outcome = run.confirm(rule)
            pytest.fail(explain(outcome, _replay(request)), pytrace=False)

    test_contract.__doc__ = f"The contract, on {target.name}."
    test_contract.contract_target = target.name  # type: ignore[attr-defined]  # for reports that group by target
    return test_contract


def _set_up(
    target: AnyTarget, profile: str | Profile, seed: int | None, baseline: str | Path | None, *, isolated: bool
) -> tuple[Run, list[str], dict[str, Known], dict[str, str]]:
    if not isinstance(target, TARGETS):
        raise SetupError(
            f"contract() takes a Target or a StoreTarget, not {type(target).__name__}: write contract(Target(...))"
        )
    run = Run(target, profile or _profile(), _seed() if seed is None else seed, isolated=isolated)
    ids = [rule.id for rule in rules(kind_of(target).name)]
    known, stale = sort_out(read(baseline) if baseline else (), ids, datetime.now(UTC).date())
    if unknown := [text for identifier, text in stale.items() if identifier not in ids]:
        raise SetupError("; ".join(unknown))
    return run, ids, known, stale


def _misdeclared(run: Run) -> str:
    """Return what is wrong with the declaration, or nothing."""
    try:
        run.declaration.check()
    except DeclarationError as error:
        return str(error)
    return ""


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
