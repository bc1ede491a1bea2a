"""What comes of a rule: one of six ends, and for a violation all that somebody needs to find its cause.

This room holds records and writes them as text. It must not know how rules are run, nor pytest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from treaty_contracts.registry import Rule


class Status(Enum):
    """How a rule ended. Nothing is ever "not applicable": a declared "no" runs its refusal rule instead."""

    PASSED = "passed"
    FAILED = "failed"
    #: A rule that this one rests on did not pass.
    BLOCKED = "blocked"
    #: Nobody could tell: only a reviewer can.
    UNVERIFIED = "unverified"
    HUNG = "hung"
    #: The suite itself is at fault.
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What a transport did that it must not."""

    expected: str
    observed: str
    #: What the rule had done until then, in order.
    done: tuple[str, ...] = ()
    surface: str = ""
    #: The frames that crossed the interface, as text, oldest first.
    trace: tuple[str, ...] = ()
    #: Stacks, the smallest drawn case, and whatever else helps.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one rule ended on one target."""

    rule: Rule
    target: str
    status: Status
    #: How many observations were judged. A rule that passes on none is an error of the suite.
    observations: int = 0
    seconds: float = 0.0
    violation: Violation | None = None
    #: The rule that blocks this one.
    blocker: str = ""
    #: The rule that was run in place of this one, because the transport declares the opposite.
    ran: Rule | None = None
    #: Why it is blocked, unverified or an error, in one line.
    reason: str = ""
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def headline(self) -> str:
        """Id, verdict and target, in one line."""
        through = f" (declared the other way: {self.ran.id} ran in its place)" if self.ran else ""
        return f"{self.rule.id} {self.status.value.upper()} on {self.target}{through}"


def explain(outcome: Outcome, replay: str = "") -> str:
    """Write an outcome for the author of the transport.

    Args:
        outcome: any but ``PASSED``.
        replay: the command that runs this rule again.
    """
    # What was judged is what is explained: the rule that ran, whichever was asked for.
    rule = outcome.ran or outcome.rule
    lines = [outcome.headline, f"  {rule.level.value}: {rule.sentence}"]
    if outcome.ran:
        lines.append(f"  {rule.id} ran in place of {outcome.rule.id}, which says: {outcome.rule.sentence}")
    if outcome.status is Status.BLOCKED:
        return "\n".join(
            [*lines, f"  blocked by {outcome.blocker}: make that one pass first", _replay(replay)]
        ).rstrip()
    if outcome.reason:
        lines.append(f"  {outcome.reason}")
    if outcome.status is Status.ERROR:
        lines.append("  This is a fault of the contract suite, not of the transport: please report it.")
    violation = outcome.violation
    if violation is not None:
        lines += _section(
            "done", [*violation.done, *([f"on the {violation.surface} surface"] * bool(violation.surface))]
        )
        lines += _section("expected", [violation.expected])
        lines += _section("observed", [violation.observed])
        lines += _section("frames", violation.trace or ("none crossed the interface",))
        lines += _section("notes", violation.notes)
        lines += _section("likely causes", [f"{number}. {cause}" for number, cause in enumerate(rule.causes, 1)])
        lines += _section("why it matters", [rule.intent])
    lines += _section("notes", outcome.notes)
    return "\n".join([*lines, _replay(replay)]).rstrip()


def _section(title: str, lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"  {title}:", *(f"    {part}" for line in lines for part in line.splitlines())] if lines else []


def _replay(command: str) -> str:
    return f"  replay: {command}" if command else ""
