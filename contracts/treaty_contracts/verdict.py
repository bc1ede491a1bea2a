"""What comes of a rule: how it ended, and for a violation all that somebody needs to find its cause.

This room holds records and writes them as text. They are plain data, so that they can leave the process in which the
rule ran, and be kept in a report. It must not know how rules are run, nor pytest.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from treaty_contracts.registry import STORE, Strength, find


class Status(Enum):
    """How a rule ended. Nothing is ever "not applicable": a declared "no" runs its refusal rule instead."""

    PASSED = "passed"
    FAILED = "failed"
    #: It failed, and when it was run again it also passed. That is a failure too.
    UNSTABLE = "unstable"
    #: It was given up when its time was over.
    HUNG = "hung"
    #: The process in which it ran was ended by something else than the suite.
    CRASHED = "crashed"
    #: A rule that this one rests on did not pass.
    BLOCKED = "blocked"
    #: Nobody could tell: a hook is missing, or only a reviewer can.
    UNVERIFIED = "unverified"
    #: The target says that it has nothing of the kind that the rule is about, and why.
    ABSENT = "absent"
    #: The suite itself is at fault.
    ERROR = "error"


#: How UNVERIFIED is called where no hook would help.
REVIEW: Final = "review only"
#: The ends that say that the transport violates the rule.
VIOLATIONS: Final = frozenset({Status.FAILED, Status.UNSTABLE, Status.HUNG, Status.CRASHED})


class Violation(msgspec.Struct, frozen=True, kw_only=True):
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
    #: A program that does the same on the interface alone, without the suite; empty where there is none.
    script: str = ""
    #: Whether the target's own ``open``, or a hook, is at fault: then what the rule says about causes is beside the point.
    opening: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one rule ended on one target."""

    #: The id of the rule.
    rule: str
    target: str
    status: Status
    #: How many observations were judged. A rule that passes on none is an error of the suite.
    observations: int = 0
    seconds: float = 0.0
    #: The part of the seconds in which the suite waited to see that nothing comes.
    quiet: float = 0.0
    violation: Violation | None = None
    #: The id of the rule that blocks this one.
    blocker: str = ""
    #: The id of the rule that was run in place of this one, because the transport declares the opposite.
    ran: str = ""
    #: Why it is blocked, unverified or an error, in one line.
    reason: str = ""
    #: What is no violation, but worth a look: a guarantee that evidently holds and is not declared.
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """How it ended, as it is called wherever it is shown."""
        return REVIEW if self.status is Status.UNVERIFIED and _by_review(self.rule) else self.status.value

    @property
    def headline(self) -> str:
        """Id, verdict and target, in one line."""
        through = f" (declared the other way: {self.ran} ran in its place)" if self.ran else ""
        return f"{self.rule} {self.status.value.upper()} on {self.target}{through}"


def _by_review(identifier: str) -> bool:
    try:
        return find(identifier).strength is Strength.REVIEW
    except KeyError:  # of another version
        return False


def explain(outcome: Outcome, replay: str = "") -> str:
    """Write an outcome for the author of the transport.

    Args:
        outcome: any but ``PASSED``.
        replay: the command that runs this rule again.

    Raises:
        KeyError: the catalogue has no such rule.
    """
    # What was judged is what is explained: the rule that ran, whichever was asked for.
    rule = find(outcome.ran or outcome.rule)
    lines = [outcome.headline, f"  {rule.level.value}: {rule.sentence}"]
    if outcome.ran:
        lines.append(f"  {rule.id} ran in place of {outcome.rule}, which says: {find(outcome.rule).sentence}")
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
        what = "calls" if rule.kind == STORE else "frames"
        lines += _section(what, violation.trace or ("none crossed the interface",))
        lines += _section("notes", violation.notes)
        if not violation.opening and outcome.status is not Status.CRASHED:  # what the process died of is told above
            lines += _section("likely causes", [f"{number}. {cause}" for number, cause in enumerate(rule.causes, 1)])
        lines += _section("why it matters", [rule.intent])
    lines += _section("notes", outcome.notes)
    lines += _section("warnings", outcome.warnings)
    return "\n".join([*lines, _replay(replay)]).rstrip()


def _section(title: str, lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"  {title}:", *(f"    {part}" for line in lines for part in line.splitlines())] if lines else []


def _replay(command: str) -> str:
    return f"  replay: {command}" if command else ""
