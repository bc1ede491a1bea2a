"""The end of a run on the screen: the table with the denominator, what was left open and why, and the verdict.

It must not know how rules are run, nor write files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Console
from rich.text import Text

from treaty_contracts.cli.screen import clean, listed
from treaty_contracts.report import Report
from treaty_contracts.summary import ExitCode, Totals, Word
from treaty_contracts.verdict import VIOLATIONS, Outcome, Status

#: What the exit codes say.
MEANINGS: Final[dict[int, str]] = {
    ExitCode.CONFORMANT: "conformant, or non-conformant in known points only",
    ExitCode.VIOLATED: "a rule that is required was violated",
    ExitCode.STALE: (
        "the baseline is stale: an unknown rule, one that passes, or an expired entry (1, if it is of a MUST that is "
        "still violated)"
    ),
    ExitCode.SUITE: "the contract suite itself is at fault",
    ExitCode.INCOMPLETE: "incomplete: not everything that is required could be, or was to be, judged",
    ExitCode.SETUP: "set-up: the target cannot be judged as it stands, or the command line is wrong",
    74: "standard output could not be written, such as to a full disk: no verdict",
    129: "ended by SIGHUP: no verdict",
    130: "interrupted by Ctrl-C: no verdict",
    141: "whoever read the output has left, as with any program that SIGPIPE ends: no verdict",
    143: "ended by SIGTERM: no verdict",
}
#: Which code the command ends with when several targets end differently: the first of these. What tells least about
#: a target weighs most.
WORST: Final = (
    ExitCode.SUITE,
    ExitCode.SETUP,
    ExitCode.VIOLATED,
    ExitCode.STALE,
    ExitCode.INCOMPLETE,
    ExitCode.CONFORMANT,
)
_STYLES: Final = {
    Word.CONFORMANT: "bold green",
    Word.KNOWN: "bold yellow",
    Word.STALE: "bold yellow",
    Word.INCOMPLETE: "bold yellow",
}
_COLUMNS: Final = {
    "required": "",
    "passed": "green",
    "violated": "bold red",
    "known": "yellow",
    "blocked": "yellow",
    "unverified": "yellow",
    "absent": "",
    "error": "bold magenta",
    "not_run": "yellow",
}


def worst(codes: Iterable[int]) -> ExitCode:
    """Return the code that decides."""
    return min(map(ExitCode, codes), key=WORST.index)


def show_verdict(console: Console, report: Report) -> None:
    """Show how the run on one target ended."""
    summary = report.footer.summary
    if not report.footer.error or report.records:
        for line in _table(report):
            console.print(line, soft_wrap=True)
        console.print()
    for title, text in _facts(report):
        console.print(Text.assemble((f"{title:<12}", "bold"), clean(text)), soft_wrap=True)
    code = summary.exit_code
    word = (summary.word.value.upper(), _STYLES.get(summary.word, "bold red"))
    # It does not decide, and is not to be overlooked.
    hint = f", {summary.should.violated} SHOULD violated" if code == 0 and summary.should.violated else ""
    console.print(
        Text.assemble(
            (f"{'verdict':<12}", "bold"),
            word,
            summary.by_own_word,
            (hint, "yellow"),
            f"  (exit code {int(code)}: {MEANINGS[code]})",
        ),
        soft_wrap=True,
    )
    console.print()


def _table(report: Report) -> Iterator[Text]:
    yield Text("".join([" " * 12, *(f"{name.replace('_', ' '):<12}" for name in _COLUMNS)]).rstrip(), "dim")
    for level, totals in (("MUST", report.footer.summary.must), ("SHOULD", report.footer.summary.should)):
        line = Text.assemble((f"{level:<12}", "bold"), *_numbers(totals))
        line.rstrip()
        yield line


def _numbers(totals: Totals) -> Iterator[Text]:
    for name, style in _COLUMNS.items():
        number = getattr(totals, name)
        yield Text(f"{number:<12}", style if number else "dim")


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    header, records, footer = report
    summary = footer.summary
    outcomes = [record.outcome for record in records if not record.provisional]
    if footer.error:
        yield "set-up" if summary.word is Word.SETUP else "error", footer.error
    if not records:
        return
    known = {record.outcome.rule: record.known for record in records if record.known is not None}
    violated = [one.rule for one in outcomes if one.status in VIOLATIONS and one.rule not in known]
    if violated:
        yield "violated", listed(_at_fault(outcomes, violated), 100)
    if unstable := [one.rule for one in outcomes if one.status is Status.UNSTABLE and one.rule in violated]:
        yield "unstable", f"{listed(unstable)}: failed, and passed when run again, which is a violation as well"
    for one in outcomes:
        entry = known.get(one.rule)
        if entry is not None and one.status in VIOLATIONS:
            yield "known", f"{one.rule} until {entry.expires}: {entry.reason} ({entry.link})"
    for status, title in ((Status.BLOCKED, "blocked"), (Status.UNVERIFIED, "unverified"), (Status.ABSENT, "absent")):
        for reason, ids in _grouped(one for one in outcomes if one.status is status):
            if ids != list(summary.review_only):
                yield title, f"{len(ids)} {reason}: {listed(ids)}"
    if summary.review_only:
        yield "review only", f"{listed(summary.review_only)}: no test can tell, somebody has to read the code"
    if summary.provisional:
        late = [record.outcome for record in records if record.provisional]
        bad = [one.rule for one in late if one.status in VIOLATIONS]
        text = f"{summary.provisional} newer than {header.requirements}, which do not decide"
        yield "provisional", f"{text}; violated: {listed(bad)}" if bad else text
    if header.only:
        yield "partial", f"only {listed(header.only)} and what they require were run: this is no verdict on the whole"
    for text in summary.stale:
        yield "baseline", text
    for text, ids in _folded(summary.warnings):
        yield "warning", f"{listed(ids)}: {text}" if ids else text
    share = summary.quiet / summary.seconds if summary.seconds else 0.0
    yield "took", f"{footer.seconds:.1f} s; {share:.0%} of the rules' time was waiting to see that nothing comes"


def _at_fault(outcomes: Iterable[Outcome], violated: list[str]) -> list[str]:
    """Name each rule that was violated once: those for which another one ran stand behind that one."""
    behind: dict[str, list[str]] = defaultdict(list)
    for one in outcomes:
        if one.rule in violated and one.ran in violated:
            behind[one.ran].append(one.rule)
    folded = {rule for rules in behind.values() for rule in rules}
    return [
        f"{rule} (and {listed(behind[rule])}, for which it ran)" if rule in behind else rule
        for rule in violated
        if rule not in folded
    ]


def _grouped(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for one in outcomes:
        groups[f"by {one.blocker}" if one.status is Status.BLOCKED else f"as {one.reason}"].append(one.rule)
    yield from groups.items()


def _folded(warnings: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Say what several rules warn of once."""
    groups: dict[str, list[str]] = defaultdict(list)
    for warning in warnings:
        rule, colon, text = warning.partition(": ")
        if colon and rule.isupper() and " " not in rule:
            groups[text].append(rule)
        else:
            groups.setdefault(warning, [])
    yield from groups.items()
