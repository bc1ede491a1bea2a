"""Several reports side by side: which target came to what with which rule, and how that is called.

This room must not know HTML or Markdown, nor run rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Final

from treaty_contracts.registry import FAMILIES, REQUIREMENT_SETS, TRANSPORT, Rule, rules
from treaty_contracts.report import Record, Report, read
from treaty_contracts.verdict import VIOLATIONS, Status, explain


class Mark(Enum):
    """How a cell looks. The value is what it says."""

    PASSED = "passed"
    VIOLATED = "violated"
    KNOWN = "known"
    BLOCKED = "blocked"
    UNVERIFIED = "unverified"
    ABSENT = "absent"
    ERROR = "suite error"
    NOT_RUN = "not run"


#: One character for each mark: nobody has to tell colours apart.
SIGNS: Final = {
    Mark.PASSED: "✓",
    Mark.VIOLATED: "✗",
    Mark.KNOWN: "k",
    Mark.BLOCKED: "⊘",
    Mark.UNVERIFIED: "?",
    Mark.ABSENT: "∅",
    Mark.ERROR: "!",
    Mark.NOT_RUN: "–",
}
#: What the marks mean.
LEGEND: Final = {
    Mark.PASSED: "the rule holds, or the rule that proves the declared opposite does",
    Mark.VIOLATED: "the transport violates the rule: it failed, hung, crashed, or was not the same each time",
    Mark.KNOWN: "violated, as the baseline of the target says",
    Mark.BLOCKED: "not judged, as a rule that comes first did not hold",
    Mark.UNVERIFIED: "nobody could tell: a hook is missing, or it takes a reviewer",
    Mark.ABSENT: "there is nothing of the kind in this transport, as its target says",
    Mark.ERROR: "the suite itself is at fault",
    Mark.NOT_RUN: "left out, or never reached",
}


@dataclass(frozen=True)
class Cell:
    """What one target came to with one rule."""

    mark: Mark
    #: In a few words.
    short: str
    #: The whole story; empty where there is none.
    story: str = ""


@dataclass(frozen=True)
class Row:
    """One rule."""

    id: str
    level: str
    sentence: str
    provisional: bool
    #: The entry of the catalogue; ``None`` for a rule of another version.
    rule: Rule | None
    cells: tuple[Cell, ...]

    @property
    def family(self) -> str:
        """The part of the id before the first dash."""
        return self.id.partition("-")[0]


@dataclass(frozen=True)
class Matrix:
    """Rules by targets."""

    reports: tuple[Report, ...]
    rows: tuple[Row, ...]

    @property
    def families(self) -> list[tuple[str, list[Row]]]:
        """The rows by family, in order."""
        return [(name, list(rows)) for name, rows in groupby(self.rows, key=lambda row: row.family)]


def harmless(text: str) -> str:
    """Return text in which whatever cannot be printed is spelled out; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def gather(paths: Iterable[str]) -> tuple[Report, ...]:
    """Read the reports in several files, ordered by target.

    Raises:
        ReportError: one of them is none, or not a whole one.
    """
    reports = [report for path in paths for report in read(path)]
    return tuple(sorted(reports, key=lambda report: (report.header.target, report.header.started)))


def matrix(reports: Sequence[Report]) -> Matrix:
    """Put reports side by side."""
    sets = {report.header.requirements for report in reports}
    kinds = [kind for kind, name in REQUIREMENT_SETS.items() if name in sets] or [TRANSPORT]
    catalogue = {rule.id: rule for kind in kinds for rule in rules(kind)}
    by_report = [{record.outcome.rule: record for record in report.records} for report in reports]
    others = {one: record for records in by_report for one, record in records.items() if one not in catalogue}
    ids = sorted([*catalogue, *others], key=_place)
    rows = []
    for identifier in ids:
        records = [known.get(identifier) for known in by_report]
        some = next((record for record in records if record is not None), None)
        rule = catalogue.get(identifier)
        if some is None and rule is None:
            continue
        rows.append(
            Row(
                identifier,
                some.level.value if some else rule.level.value if rule else "",
                some.sentence if some else rule.sentence if rule else "",
                bool(some and some.provisional),
                rule,
                tuple(map(_cell, records)),
            )
        )
    return Matrix(tuple(reports), tuple(rows))


def declared(report: Report) -> list[tuple[str, str]]:
    """Return what a target declares, as text."""
    guarantees = report.header.guarantees or report.header.promises
    if guarantees is None:
        return []
    shown = []
    for name in guarantees.__struct_fields__:
        value = getattr(guarantees, name)
        if isinstance(value, bool) or value is None:
            text = "yes" if value else "no"
        elif name == "max_frame":
            text = f"{value:,} bytes"
        else:
            text = f"within {value:g} s"
        shown.append((name, text))
    return shown


def about(report: Report) -> list[tuple[str, str]]:
    """Return what is worth knowing about a run, as text."""
    header = report.header
    partial = [("partial", f"only {', '.join(header.only)} and what they require")] if header.only else []
    return [
        ("source", header.source),
        ("suite", f"treaty {header.suite}, {header.requirements}"),
        ("python", header.python),
        ("platform", header.platform),
        ("profile", f"{header.profile}, {header.examples} examples, seed {header.seed}, times × {header.time_scale:g}"),
        ("hooks", ", ".join(header.hooks) or "none"),
        ("started", header.started.strftime("%Y-%m-%d %H:%M UTC")),
        ("took", f"{report.footer.seconds:.1f} s"),
        *partial,
    ]


def _place(identifier: str) -> tuple[int, str]:
    family = identifier.partition("-")[0]
    return (FAMILIES.index(family) if family in FAMILIES else len(FAMILIES), identifier)


def _cell(record: Record | None) -> Cell:
    if record is None:
        return Cell(Mark.NOT_RUN, "not run")
    outcome = record.outcome
    through = f", as {outcome.ran}" if outcome.ran else ""
    if outcome.status is Status.PASSED:
        return Cell(Mark.PASSED, f"passed{through}", "\n".join(outcome.warnings))
    if outcome.status is Status.BLOCKED:
        return Cell(Mark.BLOCKED, f"blocked by {outcome.blocker}")
    if outcome.status is Status.UNVERIFIED:
        return Cell(Mark.UNVERIFIED, outcome.word, outcome.reason)
    if outcome.status is Status.ABSENT:
        return Cell(Mark.ABSENT, "absent", outcome.reason)
    short = f"{outcome.status.value}{through}"
    if outcome.status in VIOLATIONS and record.known is not None:
        known = f"known until {record.known.expires}: {record.known.reason} ({record.known.link})"
        return Cell(Mark.KNOWN, short, f"{known}\n\n{_story(record)}")
    return Cell(Mark.VIOLATED if outcome.status in VIOLATIONS else Mark.ERROR, short, _story(record))


def _story(record: Record) -> str:
    try:
        text = explain(record.outcome)
    except KeyError:
        violation = record.outcome.violation
        text = f"{record.outcome.headline}\n  {record.sentence}"
        if violation is not None:
            text += f"\n  expected: {violation.expected}\n  observed: {violation.observed}"
    script = record.outcome.violation.script if record.outcome.violation else ""
    return f"{text}\n\n{script}".rstrip()
