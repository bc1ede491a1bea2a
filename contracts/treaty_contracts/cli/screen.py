"""What the command shows while it judges: progress, and each failure as soon as it is known.

On a terminal there is one live line at the bottom; elsewhere one plain line for each rule, on standard error. Text from
a target cannot steer the terminal. This room must not know sessions or reports.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from treaty.cli.screen import err, out
from treaty_contracts.registry import find
from treaty_contracts.verdict import VIOLATIONS, Outcome, Status

#: How each end looks.
STYLES: Final = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.UNSTABLE: "bold red",
    Status.HUNG: "bold red",
    Status.CRASHED: "bold red",
    Status.BLOCKED: "yellow",
    Status.UNVERIFIED: "yellow",
    Status.ABSENT: "dim",
    Status.ERROR: "bold magenta",
}
_SECTION: Final = "  "


def clean(text: str) -> str:
    """Return text in which control characters are spelled out; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


class Screen:
    """Shows a run. Use it in a ``with`` statement: at its end the live line is gone."""

    def __init__(self) -> None:
        self.console = out()
        self._errors = err()
        self._spinner = Spinner("dots")
        self._target, self._rule, self._again = "", "", False
        self._total, self._counted = 0, Counter[Status]()
        #: The rules of this target whose outcome was shown.
        self.told: set[str] = set()
        self._since = time.monotonic()
        self._live: Live | None = None
        live = next((one for one in (self.console, self._errors) if _moves(one)), None)
        # Last, as it is asked what to show at once.
        self._live = (
            None
            if live is None
            else Live(
                get_renderable=self._line, console=live, transient=True, refresh_per_second=8, redirect_stderr=False
            )
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def begin(self, target: str, total: int, about: str) -> None:
        """Say that a target is judged now."""
        self._target, self._rule, self._total, self._counted = target, "", total, Counter()
        self.told = set()
        self.console.print(Text.assemble((clean(target), "bold"), f"  {clean(about)}"), soft_wrap=True)
        self.console.print()

    def wait(self, what: str) -> None:
        """Say what takes its time before the first rule."""
        self._target, self._rule, self._total, self._since = what, "", 0, time.monotonic()
        self._counted = Counter()
        self._plain(f"importing {clean(what)}")

    def plan(self, total: int) -> None:
        """Say how many rules are judged, now that this is certain."""
        self._total = total

    def running(self, rule: str, *, again: bool) -> None:
        """Say that a rule is run now."""
        if not self._rule:
            self._plain(f"opening {clean(self._target)}, for {rule}")
        self._rule, self._again, self._since = rule, again, time.monotonic()

    def judged(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self._counted[outcome.status] += 1
        self.told.add(outcome.rule)
        if not self._live:
            line = f"{self._counted.total():>3}/{self._total} {outcome.rule:<24} {outcome.word}"
            took = f"  {outcome.seconds:.2f} s" if outcome.seconds >= 0.005 and not outcome.ran else ""
            self._plain(line + took)

    def show(self, text: str, style: str = "") -> None:
        """Show a text of several lines: the first is its headline."""
        head, _, rest = clean(text).partition("\n")
        shown = Text(head, style or "bold")
        for line in rest.splitlines():
            title = line.startswith(_SECTION) and not line.startswith(_SECTION * 2) and line.rstrip().endswith(":")
            shown.append(f"\n{line}", "bold" if title else "")
        self.console.print(shown, soft_wrap=True)
        self.console.print()

    def _plain(self, line: str) -> None:
        """Say in a line of its own what the live line shows, where there is none."""
        if not self._live:
            self._errors.print(Text(line), soft_wrap=True)

    def _line(self) -> Table:
        row = Table.grid(padding=(0, 1))
        took = time.monotonic() - self._since
        seconds = f"{took:.0f} s" if took >= 2 else ""
        if not self._total:
            row.add_row(self._spinner, Text(f"importing {clean(self._target)}"), Text(seconds, "dim"))
            return row
        done = self._counted.total()
        what = Text(self._rule and f"{self._rule} {'again ' * self._again}", "bold")
        opening = f"opening {clean(self._target)}" if not done else ""
        sentence = Text(opening or (find(self._rule).sentence if self._rule else ""), overflow="ellipsis")
        bad = sum(self._counted[status] for status in VIOLATIONS)
        numbers = Text.assemble(f"{done}/{self._total}", (f" {bad} failed" if bad else "", "bold red"))
        width = max(self._live.console.width if self._live else 80, 60)
        sentence.truncate(max(8, width - 62), overflow="ellipsis")
        row.add_row(
            self._spinner,
            ProgressBar(total=self._total or 1, completed=done, width=16),
            numbers,
            what,
            sentence,
            Text(seconds, "dim"),
        )
        return row


def _moves(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def listed(ids: Iterable[str], most: int = 12) -> str:
    """Return ids as text, not all of very many."""
    known = list(ids)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
