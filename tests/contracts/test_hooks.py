"""What is wrong with a hook is said of the hook, and of nobody else."""

from __future__ import annotations

from typing import Any

import pytest

import treaty_memory
from treaty_contracts import SetupError, Target
from treaty_contracts.hooks import SHAPES, hooked
from treaty_contracts.registry import find
from treaty_contracts.runner import Run
from treaty_contracts.target import HOOKS, Context
from treaty_contracts.verdict import Outcome, Status, explain

CONTEXT = Context(namespace="n", role="client", secret="", time_scale=1.0)


def target(**hooks: Any) -> Target:
    return Target(name="mine", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"), **hooks)


def raises(*_: Any) -> Any:
    raise OSError("no such relay")


def exits(*_: Any) -> Any:
    raise SystemExit("no relay, no test")


def test_every_hook_has_a_shape() -> None:
    assert tuple(SHAPES) == HOOKS


def test_a_hook_takes_the_context_and_what_the_rule_gives() -> None:
    seen: list[Any] = []
    hooks: dict[str, Any] = {
        "tap": lambda context: lambda: bytearray(context.namespace.encode()),
        "inject": lambda *given: seen.append(given),
        "restart_peer": lambda *given: seen.append(given),
        "cut_link": lambda context: lambda: seen.append(f"mended {context.namespace}"),
    }
    mine = target(**hooks)
    assert hooked(mine, "tap", CONTEXT)()() == b"n"
    hooked(mine, "inject", CONTEXT)("service", b"x")
    hooked(mine, "restart_peer", CONTEXT)()
    hooked(mine, "cut_link", CONTEXT)()()
    assert seen == [(CONTEXT, "service", b"x"), (CONTEXT,), "mended n"]


@pytest.mark.parametrize("name", HOOKS)
def test_what_a_hook_raises_is_told_with_the_shape_of_the_hook(name: str) -> None:
    with pytest.raises(SetupError) as told:
        hooked(target(**{name: raises}), name, CONTEXT)()
    assert str(told.value) == f"your target's {name} raised OSError: no such relay; {SHAPES[name]}"


@pytest.mark.parametrize(
    ("name", "hook", "told"),
    [
        ("tap", lambda _: b"", "returned bytes, which cannot be called"),
        ("cut_link", lambda _: None, "returned NoneType, which cannot be called"),
        ("tap", lambda _: lambda: "text", "recorded str, not bytes"),
    ],
)
def test_what_has_another_shape_is_told(name: str, hook: Any, told: str) -> None:
    with pytest.raises(SetupError, match=f"the hook {name} of target 'mine' {told}"):
        hooked(target(**{name: hook}), name, CONTEXT)()()


@pytest.mark.parametrize(
    ("name", "hook", "told"),
    [
        ("cut_link", lambda: None, "TypeError"),
        ("tap", lambda _: raises, "OSError: no such relay"),
        ("cut_link", lambda _: raises, "OSError: no such relay"),
        ("inject", exits, "SystemExit: no relay, no test"),
    ],
)
def test_what_raises_is_told(name: str, hook: Any, told: str) -> None:
    with pytest.raises(SetupError, match=f"your target's {name} raised {told}"):
        hooked(target(**{name: hook}), name, CONTEXT)()()


def judged(rule: str, **hooks: Any) -> Outcome:
    return Run(target(**hooks)).run(find(rule))


@pytest.mark.parametrize(
    ("rule", "name", "hook"),
    [
        ("LIFE-010", "cut_link", raises),
        ("ERR-007", "inject", exits),
        ("LIFE-010", "cut_link", lambda _: None),
        ("AUTH-007", "tap", lambda: b""),
        ("ERR-007", "inject", lambda _: None),
        ("LIFE-010", "cut_link", lambda _: lambda: None),
        ("LIFE-011", "cut_link", lambda _: lambda: None),
    ],
)
def test_the_verdict_blames_the_hook(rule: str, name: str, hook: Any) -> None:
    outcome = judged(rule, **{name: hook})
    text = explain(outcome)
    assert outcome.status is Status.FAILED, text
    assert f"the hook {name} of target 'mine' " in text or f"your target's {name} raised " in text
    assert SHAPES[name] in text
    assert "fault of the contract suite" not in text and "likely causes" not in text


def test_the_verdict_shows_where_the_hook_raised() -> None:
    outcome = judged("ERR-007", inject=raises)
    assert outcome.violation is not None
    assert any("in raises" in note and "OSError: no such relay" in note for note in outcome.violation.notes)


def test_a_restart_that_nobody_notices_is_told() -> None:
    """It is no violation: where connections are made anew by themselves, nobody need notice anything."""
    outcome = judged("LIFE-014", restart_peer=lambda _: None)
    assert outcome.status is Status.PASSED, explain(outcome)
    assert outcome.warnings == (
        "no end noticed that its peer was restarted: is that so, or does restart_peer do nothing?",
    )
