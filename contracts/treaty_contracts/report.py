"""A report: a file of JSON lines in which a run tells what it was, what came of each rule, and how it ended.

One header, one record for each rule that was judged, one footer. It is written while the run goes on, so a run that was
killed leaves a report without its footer, and nobody takes it for the whole. A file holds the reports of several targets
one after the other. This room must not run rules. ``python -m treaty_contracts.report`` prints the schema.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from inspect import cleandoc
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeAlias

import msgspec

import treaty
from treaty import Guarantees
from treaty_contracts.baseline import Known
from treaty_contracts.kinds import before
from treaty_contracts.registry import (
    REQUIREMENT_SETS,
    Level,
    Rule,
    counterpart,
    find,
    refusal,
    required,
    rules,
)
from treaty_contracts.store_target import Promises
from treaty_contracts.summary import Summary, Word, summarise
from treaty_contracts.verdict import Outcome, Status

#: The version of the format. What reads one version refuses the others.
SCHEMA: Final = 2
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NOT_RUN: Final = "not run"


class ReportError(ValueError):
    """A file that is no report, or not a whole one. The text says what is wrong with it, and where."""


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="line"):
    pass


class Header(_Line, frozen=True, kw_only=True, tag="header"):
    """What was run."""

    #: The version of this format.
    schema: int
    #: The version of the suite, which is that of ``treaty``.
    suite: str
    #: The requirement set that the verdict is about.
    requirements: str
    #: How many rules the suite has, those of later sets included.
    catalogue: int
    target: str
    #: Where the target was found, as ``package.module:target``.
    source: str
    #: What the target declares; ``None`` where that could not be read.
    guarantees: Guarantees | None
    #: What a store declares; ``None`` for transports, and where it could not be read.
    promises: Promises | None
    #: The hooks that the target hands over.
    hooks: tuple[str, ...]
    python: str
    platform: str
    profile: str
    #: How many cases were drawn for one property.
    examples: int
    seed: int
    time_scale: float
    #: The rules that were asked for; empty for all. What they require was run as well.
    only: tuple[str, ...]
    started: datetime


class Record(_Line, frozen=True, kw_only=True, tag="rule"):
    """What came of one rule."""

    outcome: Outcome
    level: Level
    #: What the rule demands.
    sentence: str
    #: Whether it came after the requirement set, and does not decide.
    provisional: bool
    #: The entry of the baseline, if the rule is known to fail.
    known: Known | None


class Footer(_Line, frozen=True, kw_only=True, tag="footer"):
    """How the run ended."""

    summary: Summary
    exit_code: int
    #: From the beginning to the end, by the clock on the wall.
    seconds: float
    #: How many rules came to which status; ``"not run"`` for the others. They add up to the catalogue.
    counts: dict[str, int]
    #: Why the target could not be judged; empty if it could.
    error: str


class Report(NamedTuple):
    """A whole report of one target."""

    header: Header
    records: tuple[Record, ...]
    footer: Footer


_Any: TypeAlias = Header | Record | Footer


class Writer:
    """Writes a report line by line.

    Args:
        file: is flushed after each line.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, line: _Any) -> None:
        """Write one line."""
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()


def counts(outcomes: Iterable[Outcome], catalogue: int) -> dict[str, int]:
    """Count how many rules came to what, and how many to nothing."""
    counted = Counter(outcome.status.value for outcome in outcomes)
    names = {status.value: counted[status.value] for status in Status}
    return {**names, _NOT_RUN: catalogue - counted.total()}


def read(path: str | Path) -> tuple[Report, ...]:
    """Read the reports in a file.

    Raises:
        ReportError: it is none, has no end, is of another version, or its numbers do not add up.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    if not text.strip():
        raise ReportError(f"{path} is empty: the run was not finished")
    return tuple(_reports(text.splitlines(), str(path)))


def _reports(lines: list[bytes], path: str) -> Iterator[Report]:
    header: Header | None = None
    records: list[Record] = []
    for number, raw in enumerate(lines, 1):
        line = _decoded(raw, f"{path}, line {number}", last=number == len(lines))
        if isinstance(line, Header):
            if header is not None:
                raise ReportError(_unfinished(path, header))
            header, records = line, []
        elif header is None:
            raise ReportError(f"{path}, line {number}: a report begins with its header")
        elif isinstance(line, Record):
            records.append(line)
        else:
            report = Report(header, tuple(records), line)
            for problem in _problems(report):
                raise ReportError(f"{path}: the report of {header.target!r} does not add up: {problem}")
            yield report
            header = None
    if header is not None:
        raise ReportError(_unfinished(path, header))


def _unfinished(path: str, header: Header) -> str:
    return f"{path}: the run was not finished: the report of {header.target!r} has no footer"


def _decoded(raw: bytes, where: str, *, last: bool) -> _Any:
    try:
        plain = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        # The last line of a run that was killed may be half a line.
        hint = ": the run was not finished" if last else f": {error}"
        raise ReportError(f"{where} is no JSON{hint}") from error
    if isinstance(plain, dict) and plain.get("line") == "header":
        for difference in _other_version(plain):
            raise ReportError(f"{where}: this was written by another version of the suite: run it again ({difference})")
    try:
        line: _Any = msgspec.convert(plain, _Any)
    except msgspec.ValidationError as error:
        raise ReportError(f"{where} is no line of a report: {error}") from error
    return line


def _other_version(header: dict[str, Any]) -> Iterator[str]:
    """Say in what a header, as plain data, differs from what this version of the suite writes."""
    if header.get("schema") != SCHEMA:
        yield f"it has format {header.get('schema')!r}, here it is {SCHEMA}"
    if header.get("suite") != treaty.__version__:
        yield f"it is of treaty {header.get('suite')!r}, here it is {treaty.__version__!r}"
    number = next(
        (len(rules(kind)) for kind, one in REQUIREMENT_SETS.items() if one == header.get("requirements")), None
    )
    if number is not None and header.get("catalogue") != number:
        yield f"it has {header.get('catalogue')!r} rules, here there are {number}"


def _problems(report: Report) -> Iterator[str]:
    """Say what in a report is not what its header and its records give."""
    header, records, footer = report
    outcomes = {record.outcome.rule: record.outcome for record in records}
    if len(outcomes) != len(records):
        yield "a rule is recorded more than once"
    if footer.counts != counts(outcomes.values(), header.catalogue) or footer.counts[_NOT_RUN] < 0:
        yield f"it counts {footer.counts} for {len(records)} records and {header.catalogue} rules"
    kind = next((kind for kind, one in REQUIREMENT_SETS.items() if one == header.requirements), None)
    if kind is None:
        yield f"there is no requirement set {header.requirements!r} here"
        return
    catalogue, demanded = {rule.id: rule for rule in rules(kind)}, required(header.requirements)
    for record in records:
        rule = catalogue.get(record.outcome.rule)
        if rule is None:
            yield f"there is no rule {record.outcome.rule!r} among those of {header.requirements}"
            return
        yield from _wrong(record, rule, demanded, outcomes)
    beside = outcomes.keys() - _reached(header.only)
    if header.only and beside:
        yield f"only {', '.join(header.only)} was asked for, and it has {min(beside)} as well"
    yield from _wrong_summary(report, list(catalogue.values()), demanded, outcomes)
    if footer.exit_code != footer.summary.exit_code:
        yield f"{footer.summary.word.value!r} and the exit code {footer.exit_code} do not go together"


def _wrong(record: Record, rule: Rule, demanded: dict[str, Level], outcomes: dict[str, Outcome]) -> Iterator[str]:
    """Say what in one record cannot be so."""
    outcome, level = record.outcome, demanded.get(rule.id, rule.level)
    if record.level is not level:
        yield f"{rule.id} has the level {record.level.value}, and is a {level.value}"
    if record.provisional is (rule.id in demanded):
        yield f"{rule.id} is {'' if rule.id in demanded else 'not '}part of the requirement set"
    if record.sentence != rule.sentence:
        yield f"the sentence of {rule.id} is another one"
    if record.known is not None and record.known.rule != rule.id:
        yield f"{rule.id} has the entry of {record.known.rule} in the baseline"
    passed = outcome.status is Status.PASSED
    if passed and not outcome.ran and outcome.observations < 1:
        yield f"{rule.id} passed without an observation"
    if passed and outcome.violation is not None:
        yield f"{rule.id} passed with a violation"
    if passed and outcome.ran and (outcome.ran not in outcomes or outcomes[outcome.ran].status is not Status.PASSED):
        yield f"{rule.id} passed as {outcome.ran}, which did not pass"


def _reached(only: Iterable[str]) -> set[str]:
    """Return all rules that a run of some rules may come to: what they require, and what runs in their place."""
    reached, todo = set[str](), list(only)
    while todo:
        identifier = todo.pop()
        if identifier in reached:
            continue
        reached.add(identifier)
        try:
            rule = find(identifier)
        except KeyError:
            continue
        todo += [*before(rule), *(refusal(name).id for name in rule.needs)]
        if rule.refuses:
            todo.append(counterpart(rule.refuses).id)
    return reached


def _wrong_summary(
    report: Report, catalogue: Sequence[Rule], demanded: dict[str, Level], outcomes: dict[str, Outcome]
) -> Iterator[str]:
    """Say in what the summary is not that of the records. What was stale and noted is known from the summary alone."""
    _, records, footer = report
    stated = footer.summary
    known = {record.outcome.rule: record.known for record in records if record.known is not None}
    stale = Counter(stated.stale) - Counter(summarise(catalogue, demanded, outcomes, known).stale)
    made = summarise(catalogue, demanded, outcomes, known, list(stale.elements()))
    for level, numbers in ((Level.MUST, made.must), (Level.SHOULD, made.should)):
        if getattr(stated, level.name.lower()) != numbers:
            yield f"the totals of {level.value} are not those of its records"
    words = (Word.SETUP, Word.ERROR) if footer.error else (made.word,)
    if stated.word not in words:
        given = " or ".join(repr(word.value) for word in words)
        yield f"it says {stated.word.value!r}, and its {'error' if footer.error else 'records'} {'gives' if footer.error else 'give'} {given}"
    for name in ("provisional", "provisional_violated", "review_only"):
        if getattr(stated, name) != getattr(made, name):
            yield f"it says {name} {getattr(stated, name)}, and its records give {getattr(made, name)}"
    for name in ("seconds", "quiet"):
        if not math.isclose(getattr(stated, name), getattr(made, name), rel_tol=1e-6, abs_tol=1e-6):
            yield f"it says {getattr(stated, name)} for {name}, and its records give {getattr(made, name)}"
    for name in ("stale", "warnings"):
        lacking = Counter(getattr(made, name)) - Counter(getattr(stated, name))
        if lacking:
            yield f"its {name} lack {next(iter(lacking))!r}"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of a report."""
    (line,), definitions = msgspec.json.schema_components([_Any], ref_template="#/$defs/{name}")
    for definition in definitions.values():
        if "description" in definition:
            # It is a docstring, which some versions of Python keep as it is indented in the source.
            definition["description"] = cleandoc(definition["description"])
    return {
        "$schema": _DIALECT,
        "title": f"One line of a report of the Treaty contract suite, version {SCHEMA}",
        **line,
        "$defs": definitions,
    }


def schema_text() -> str:
    """Return the schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
