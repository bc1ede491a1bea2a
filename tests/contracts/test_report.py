"""Reports: written line by line, read strictly, and what is not whole is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from treaty_contracts import Status, rules
from treaty_contracts.baseline import Known
from treaty_contracts.report import SCHEMA, Report, ReportError, Writer, counts, read, schema, schema_text

MakeReport = Callable[..., Report]
PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"


def lines_of(report: Report) -> list[bytes]:
    file = io.BytesIO()
    writer = Writer(file)
    writer.write(report.header)
    for record in report.records:
        writer.write(record)
    writer.write(report.footer)
    return file.getvalue().splitlines(keepends=True)


def stored(folder: Path, lines: list[bytes]) -> Path:
    path = folder / "report.json"
    path.write_bytes(b"".join(lines))
    return path


def changed(line: bytes, **members: Any) -> bytes:
    return json.dumps({**json.loads(line), **members}).encode() + b"\n"


def test_what_is_written_is_read(report: MakeReport, tmp_path: Path) -> None:
    made = report({"CALL-003": Status.FAILED, "CALL-004": Status.BLOCKED})
    assert read(stored(tmp_path, lines_of(made))) == (made,)
    assert len(made.records) == len(rules())
    assert made.footer.counts["failed"] == 1


def test_a_file_holds_several(report: MakeReport, tmp_path: Path) -> None:
    first, second = report(target="a"), report(target="b", refused="the process ended")
    assert read(stored(tmp_path, [*lines_of(first), *lines_of(second)])) == (first, second)


def test_a_run_that_was_killed_is_refused(report: MakeReport, tmp_path: Path) -> None:
    lines = lines_of(report())
    for broken in (lines[:-1], lines[:1], [], [*lines[:-1], lines[-1][:30]], [*lines[:5], *lines]):
        with pytest.raises(ReportError, match="the run was not finished"):
            read(stored(tmp_path, broken))


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("schema", SCHEMA - 1, f"it has format {SCHEMA - 1}, here it is {SCHEMA}"),
        ("suite", "9.9", "it is of treaty '9.9'"),
        ("catalogue", 3, f"it has 3 rules, here there are {len(rules())}"),
    ],
)
def test_another_version_is_called_that_whatever_else_it_lacks(
    report: MakeReport, tmp_path: Path, member: str, value: object, said: str
) -> None:
    lines = lines_of(report())
    header = {**json.loads(lines[0]), member: value, "surprise": True}
    del header["promises"]
    lines[0] = json.dumps(header).encode() + b"\n"
    with pytest.raises(ReportError) as raised:
        read(stored(tmp_path, lines))
    assert "written by another version of the suite: run it again" in str(raised.value)
    assert said in str(raised.value)


RECORDS: dict[str, dict[str, Any]] = {
    "another level": {"level": "SHOULD"},
    "provisional": {"provisional": True},
    "another sentence": {"sentence": "Anything goes."},
    "nothing seen": {"outcome": {"observations": 0}},
    "with a violation": {"outcome": {"violation": {"expected": "this", "observed": "that"}}},
    "as another": {"outcome": {"ran": "REFUSE-POEMS"}},
    "the entry of another": {"known": {"rule": "CALL-003", "reason": "r", "link": "l", "expires": "2999-01-01"}},
    "no such rule": {"outcome": {"rule": "POEM-001"}},
}


def changed_record(line: bytes, how: str) -> bytes:
    change = RECORDS[how]
    outcome = {**json.loads(line)["outcome"], **change.get("outcome", {})}
    return changed(line, **{**change, "outcome": outcome})


def broken(lines: list[bytes], how: str) -> list[bytes]:
    footer = json.loads(lines[-1])
    if how == "a record is missing":
        return [*lines[:3], *lines[4:]]
    if how == "a record twice":
        return [*lines[:3], *lines[2:]]
    if how == "no header":
        return lines[1:]
    if how == "an unknown member":
        return [*lines[:-1], changed(lines[-1], extra=1)]
    if how == "an unknown line":
        return [lines[0], b'{"line": "poem"}\n', *lines[1:]]
    if how == "no JSON":
        return [lines[0], b"hello\n", *lines[1:]]
    if how == "no end of brackets":
        return [lines[0], b"[" * 100_000 + b"\n", *lines[1:]]
    if how == "another count":
        return [*lines[:-1], changed(lines[-1], counts={**footer["counts"], "passed": 1})]
    if how == "another total":
        footer["summary"]["must"]["passed"] += 1
        return [*lines[:-1], changed(lines[-1], summary=footer["summary"])]
    if how == "another code":
        return [*lines[:-1], changed(lines[-1], exit_code=1)]
    if how == "another word":
        return [*lines[:-1], changed(lines[-1], exit_code=1, summary={**footer["summary"], "word": "non-conformant"})]
    if how == "a word for an error":
        return [*lines[:-1], changed(lines[-1], error="it died")]
    if how == "a part":
        return [changed(lines[0], only=["SETUP-001"]), *lines[1:]]
    if how == "another review":
        return [*lines[:-1], changed(lines[-1], summary={**footer["summary"], "review_only": []})]
    if how == "another time":
        return [*lines[:-1], changed(lines[-1], summary={**footer["summary"], "quiet": 7.5})]
    if how in RECORDS:
        return [lines[0], changed_record(lines[1], how), *lines[2:]]
    return [changed(lines[0], requirements="contract/9.9"), *lines[1:]]


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("a record is missing", "does not add up: it counts"),
        ("a record twice", "recorded more than once"),
        ("no header", "line 1: a report begins with its header"),
        ("an unknown member", "no line of a report.*extra"),
        ("an unknown line", "line 2 is no line of a report"),
        ("no JSON", "line 2 is no JSON"),
        ("no end of brackets", "line 2 is no JSON: .*recursion"),
        ("another count", "does not add up: it counts"),
        ("another total", "the totals of MUST are not those of its records"),
        ("another code", "'conformant' and the exit code 1 do not go together"),
        ("another set", "there is no requirement set 'contract/9.9' here"),
        ("another word", "it says 'non-conformant', and its records give 'conformant'"),
        ("a word for an error", "it says 'conformant', and its error gives 'no verdict"),
        ("a part", "only SETUP-001 was asked for, and it has ASYNC-001 as well"),
        ("another review", r"it says review_only \(\), and its records give \('AUTH-006',\)"),
        ("another time", "it says 7.5 for quiet"),
        ("another level", "SETUP-001 has the level SHOULD, and is a MUST"),
        ("provisional", "SETUP-001 is part of the requirement set"),
        ("another sentence", "the sentence of SETUP-001 is another one"),
        ("nothing seen", "SETUP-001 passed without an observation"),
        ("with a violation", "SETUP-001 passed with a violation"),
        ("as another", "SETUP-001 passed as REFUSE-POEMS, which did not pass"),
        ("the entry of another", "SETUP-001 has the entry of CALL-003"),
        ("no such rule", "there is no rule 'POEM-001'"),
    ],
)
def test_what_does_not_add_up_is_refused(report: MakeReport, tmp_path: Path, how: str, complaint: str) -> None:
    with pytest.raises(ReportError, match=complaint):
        read(stored(tmp_path, broken(lines_of(report()), how)))


def test_what_is_known_stale_or_refused_adds_up(report: MakeReport, tmp_path: Path) -> None:
    known = {one: Known(rule=one, reason="r", link="l", expires=date(2999, 1, 1)) for one in ("CALL-001", "CALL-002")}
    made = [
        report({"CALL-001": Status.FAILED, "CALL-002": Status.UNSTABLE}, known=known),
        report({"CALL-001": Status.FAILED}, known=known, stale=("X-1 is in the baseline, and there is no such rule",)),
        report(only=("SETUP-001",)),
        report(only=("SETUP-001",), refused="it died"),
        report({"CALL-003": Status.ERROR}),
    ]
    assert read(stored(tmp_path, [line for one in made for line in lines_of(one)])) == tuple(made)


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be read: No such file"):
        read(tmp_path / "none.json")


def test_the_counts_add_up_to_the_catalogue(report: MakeReport) -> None:
    assert sum(report(only=("SETUP-001",)).footer.counts.values()) == len(rules())
    assert counts([], 5)["not run"] == 5


def test_the_published_schema_is_that_of_the_source() -> None:
    assert PUBLISHED.read_text() == schema_text(), "run: python -m treaty_contracts.report > docs/report.schema.json"


def test_no_description_is_indented_as_its_source_is() -> None:
    described = [one["description"] for one in schema()["$defs"].values() if "description" in one]
    assert described
    assert not [one for one in described if "\n " in one]
