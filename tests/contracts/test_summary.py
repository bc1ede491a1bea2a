"""The verdict on a whole run, from made-up outcomes."""

from __future__ import annotations

from datetime import date

import pytest

from treaty_contracts import Level, Outcome, Status, required, rules
from treaty_contracts.baseline import Known
from treaty_contracts.summary import ExitCode, Summary, Word, summarise, totals

MUST, SHOULD = "CALL-003", "CALL-008"
REQUIRED = required()


def known(rule: str) -> dict[str, Known]:
    return {rule: Known(rule=rule, reason="r", link="l", expires=date(2999, 1, 1))}


def judged(statuses: dict[str, Status] | None = None, *, left_out: tuple[str, ...] = ()) -> dict[str, Outcome]:
    said = {"AUTH-006": Status.UNVERIFIED, **(statuses or {})}
    return {
        one.id: Outcome(
            rule=one.id, target="t", status=said.get(one.id, Status.PASSED), seconds=1.0, quiet=0.25, warnings=()
        )
        for one in rules()
        if one.id not in left_out
    }


def verdict(
    outcomes: dict[str, Outcome], of: dict[str, Known] | None = None, stale: tuple[str, ...] = ()
) -> tuple[Word, int]:
    summary = summarise(rules(), REQUIRED, outcomes, of or {}, stale)
    for part in (summary.must, summary.should):
        assert part.required == sum(getattr(part, name) for name in part.__struct_fields__[1:])
    return summary.word, summary.exit_code


def test_all_passed() -> None:
    summary = summarise(rules(), REQUIRED, judged(), {}, ())
    assert (summary.word, summary.exit_code, summary.earns_badge) == (Word.CONFORMANT, 0, True)
    assert summary.review_only == ("AUTH-006",)
    assert summary.must.required + summary.should.required == len(REQUIRED) - 1
    assert summary.quiet == pytest.approx(summary.seconds / 4)


@pytest.mark.parametrize("status", [Status.FAILED, Status.UNSTABLE, Status.HUNG, Status.CRASHED])
def test_each_violation_of_a_must_decides(status: Status) -> None:
    assert verdict(judged({MUST: status})) == (Word.NON_CONFORMANT, ExitCode.VIOLATED)


def test_what_a_target_takes_out_of_the_verdict_by_its_own_word_stands_beside_it() -> None:
    def said(statuses: dict[str, Status]) -> str:
        return summarise(rules(), REQUIRED, judged(statuses), {}, ()).said

    assert said({}) == "conformant"
    assert said({MUST: Status.ABSENT}) == "conformant, 1 rule absent by its own word"
    assert said({MUST: Status.ABSENT, SHOULD: Status.ABSENT}) == "conformant, 2 rules absent by its own word"
    assert said({MUST: Status.ABSENT, "CALL-001": Status.FAILED}) == "non-conformant"


def test_a_violated_should_is_counted_and_does_not_decide() -> None:
    summary = summarise(rules(), REQUIRED, judged({SHOULD: Status.FAILED}), {}, ())
    assert (summary.word, summary.should.violated, summary.earns_badge) == (Word.CONFORMANT, 1, True)


@pytest.mark.parametrize(
    ("statuses", "word", "code"),
    [
        ({MUST: Status.UNVERIFIED}, Word.INCOMPLETE, ExitCode.INCOMPLETE),
        ({MUST: Status.BLOCKED}, Word.INCOMPLETE, ExitCode.INCOMPLETE),
        ({MUST: Status.ERROR}, Word.ERROR, ExitCode.SUITE),
        ({MUST: Status.ERROR, "CALL-001": Status.FAILED}, Word.ERROR, ExitCode.SUITE),
        ({MUST: Status.UNVERIFIED, "CALL-001": Status.FAILED}, Word.NON_CONFORMANT, ExitCode.VIOLATED),
    ],
)
def test_what_is_left_open(statuses: dict[str, Status], word: Word, code: ExitCode) -> None:
    assert verdict(judged(statuses)) == (word, code)


@pytest.mark.parametrize("left_out", [(MUST,), (SHOULD,)])
def test_a_part_is_never_conformant(left_out: tuple[str, ...]) -> None:
    assert verdict(judged(left_out=left_out)) == (Word.INCOMPLETE, ExitCode.INCOMPLETE)
    assert verdict({}) == (Word.INCOMPLETE, ExitCode.INCOMPLETE)


def test_what_is_known_is_not_forgiven_but_passes() -> None:
    outcomes = judged({MUST: Status.FAILED, "CALL-001": Status.BLOCKED})
    summary = summarise(rules(), REQUIRED, outcomes, known(MUST), ())
    assert (summary.word, summary.exit_code, summary.earns_badge) == (Word.KNOWN, 0, False)
    assert (summary.must.known, summary.must.violated) == (1, 0)


@pytest.mark.parametrize("status", [Status.FAILED, Status.UNVERIFIED, Status.BLOCKED])
def test_no_badge_for_a_should_that_is_open_or_merely_known(status: Status) -> None:
    summary = summarise(rules(), REQUIRED, judged({SHOULD: status}), known(SHOULD), ())
    assert (summary.word, summary.earns_badge) == (Word.CONFORMANT, False)


def test_a_baseline_is_strict_both_ways() -> None:
    assert verdict(judged(), known(MUST)) == (Word.STALE, ExitCode.STALE)
    assert verdict(judged(), stale=("X-1 is in the baseline, and there is no such rule",))[0] is Word.STALE
    assert verdict(judged({"CALL-001": Status.FAILED}), known(MUST))[0] is Word.NON_CONFORMANT
    summary = summarise(rules(), REQUIRED, judged(), known(MUST), ())
    assert summary.stale == (f"{MUST} is in the baseline as failing, and passes: take the entry out",)


def test_rules_of_a_later_set_are_counted_apart() -> None:
    smaller = {one: level for one, level in REQUIRED.items() if one != MUST}
    summary = summarise(rules(), smaller, judged({MUST: Status.FAILED}), {}, ())
    assert (summary.word, summary.provisional, summary.provisional_violated) == (Word.CONFORMANT, 1, 1)


def test_warnings_name_their_rule() -> None:
    outcomes = judged()
    outcomes[MUST] = Outcome(rule=MUST, target="t", status=Status.PASSED, warnings=("look",))
    assert summarise(rules(), REQUIRED, outcomes, {}, ()).warnings == (f"{MUST}: look",)


def test_totals_add_up() -> None:
    made = totals([None, Outcome(rule="A", target="t", status=Status.FAILED)], {"A"})
    assert (made.required, made.not_run, made.known) == (2, 1, 1)


def test_every_word_has_a_code() -> None:
    empty = totals([], ())
    for word in Word:
        assert Summary(word=word, must=empty, should=empty).exit_code in ExitCode
    assert Level.MUST.value == "MUST"
