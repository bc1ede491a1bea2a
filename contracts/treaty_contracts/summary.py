"""The verdict on a whole run: what was asked for, what came of it, and the word and the exit code that this earns.

Everything here is a function of records. It must not run rules, nor print anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Final

import msgspec

from treaty_contracts.baseline import Known
from treaty_contracts.registry import Level, Rule, Strength
from treaty_contracts.verdict import VIOLATIONS, Outcome, Status


class ExitCode(IntEnum):
    """How ``treaty check`` ended. Scripts rely on these, so they are permanent."""

    #: Conformant; or non-conformant in known points only.
    CONFORMANT = 0
    #: A rule of the requirement set was violated.
    VIOLATED = 1
    #: The baseline names what is not so: an unknown rule, an expired entry, a rule that passes.
    STALE = 2
    #: The suite itself is at fault.
    SUITE = 3
    #: Not everything that is required could be, or was to be, judged.
    INCOMPLETE = 4
    #: The target cannot be judged as it stands.
    SETUP = 5


class Word(Enum):
    """The verdict in words."""

    CONFORMANT = "conformant"
    NON_CONFORMANT = "non-conformant"
    KNOWN = "non-conformant, known"
    STALE = "stale baseline"
    INCOMPLETE = "incomplete"
    ERROR = "no verdict: the suite is at fault"
    SETUP = "no verdict: the target cannot be judged"


_CODES: Final = {
    Word.CONFORMANT: ExitCode.CONFORMANT,
    Word.KNOWN: ExitCode.CONFORMANT,
    Word.NON_CONFORMANT: ExitCode.VIOLATED,
    Word.STALE: ExitCode.STALE,
    Word.ERROR: ExitCode.SUITE,
    Word.INCOMPLETE: ExitCode.INCOMPLETE,
    Word.SETUP: ExitCode.SETUP,
}


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """How many rules of one level came to what. ``required`` is the sum of the others."""

    required: int
    passed: int
    #: Failed, unstable, hung or crashed, and not known.
    violated: int
    #: Violated as the baseline says.
    known: int
    blocked: int
    unverified: int
    #: There is nothing of the kind, as the target says.
    absent: int
    error: int
    #: Left out by a filter, or never reached.
    not_run: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one run."""

    word: Word
    must: Totals
    should: Totals
    #: Rules that came after the requirement set: they are run and shown, and do not decide.
    provisional: int = 0
    provisional_violated: int = 0
    #: Rules that only a reviewer can judge: listed, and not counted as left open.
    review_only: tuple[str, ...] = ()
    #: What the baseline says that is not so.
    stale: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    #: The part of the seconds in which the suite waited to see that nothing comes.
    quiet: float = 0.0

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code that goes with the verdict."""
        return _CODES[self.word]

    @property
    def absent(self) -> int:
        """Return how many required rules nobody judged, as the target says that there is nothing of the kind in it."""
        return self.must.absent + self.should.absent

    @property
    def by_own_word(self) -> str:
        """Return what goes with the word "conformant", if it rests on the target's own word in part; else nothing."""
        if self.word is not Word.CONFORMANT or not self.absent:
            return ""
        return f", {self.absent} rule{'s' * (self.absent != 1)} absent by its own word"

    @property
    def said(self) -> str:
        """Return the verdict in words, and how many rules the target itself took out of it."""
        return f"{self.word.value}{self.by_own_word}"

    @property
    def earns_badge(self) -> bool:
        """Whether a badge may say so: only a whole run in which nothing was left open, and nothing is merely known."""
        left = self.should.known + self.should.unverified + self.should.blocked
        return self.word is Word.CONFORMANT and not left


def summarise(
    catalogue: Sequence[Rule],
    required: Mapping[str, Level],
    outcomes: Mapping[str, Outcome],
    known: Mapping[str, Known],
    stale: Sequence[str] = (),
) -> Summary:
    """Judge a run.

    Args:
        catalogue: all rules.
        required: the ids and levels of the requirement set.
        outcomes: what was judged, by id. What is missing was not run.
        known: the entries of the baseline that are still good, by id.
        stale: what is wrong with the other entries.
    """
    review = tuple(rule.id for rule in catalogue if rule.strength is Strength.REVIEW and rule.id in required)
    counted = [rule.id for rule in catalogue if rule.id in required and rule.id not in review]
    levels = {level: totals([outcomes.get(one) for one in counted if required[one] is level], known) for level in Level}
    provisional = [outcome for one, outcome in outcomes.items() if one not in required]
    passing = [one for one in known if one in outcomes and outcomes[one].status is Status.PASSED]
    said = (*stale, *(f"{one} is in the baseline as failing, and passes: take the entry out" for one in passing))
    return Summary(
        word=_word(levels[Level.MUST], levels[Level.SHOULD], said),
        must=levels[Level.MUST],
        should=levels[Level.SHOULD],
        provisional=len(provisional),
        provisional_violated=sum(one.status in VIOLATIONS for one in provisional),
        review_only=review,
        stale=said,
        warnings=tuple(f"{one.rule}: {text}" for one in outcomes.values() for text in one.warnings),
        seconds=sum(one.seconds for one in outcomes.values() if not one.ran),
        quiet=sum(one.quiet for one in outcomes.values() if not one.ran),
    )


def totals(outcomes: Sequence[Outcome | None], known: Collection[str]) -> Totals:
    """Count what came of the rules of one level; ``None`` stands for one that was not run."""
    kinds = Counter(_kind(outcome, known) for outcome in outcomes)
    return Totals(required=len(outcomes), **{name: kinds[name] for name in Totals.__struct_fields__[1:]})


def _kind(outcome: Outcome | None, known: Collection[str]) -> str:
    if outcome is None:
        return "not_run"
    if outcome.status in VIOLATIONS:
        return "known" if outcome.rule in known else "violated"
    return outcome.status.value


def _word(must: Totals, should: Totals, stale: Sequence[str]) -> Word:
    if must.error or should.error:
        return Word.ERROR
    if must.violated:
        return Word.NON_CONFORMANT
    if stale:
        return Word.STALE
    # What is blocked rests on something: if that is merely known to fail, so is this.
    if must.unverified or must.not_run or should.not_run or (must.blocked and not must.known):
        return Word.INCOMPLETE
    return Word.KNOWN if must.known else Word.CONFORMANT
