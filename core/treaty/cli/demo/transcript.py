"""How the demo looks: what was done, what was expected, what came back and how long it took, then a summary.

Prints as it comes, at any width, with or without a terminal. It must not know how the outcomes were got.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.text import Text

from treaty.cli.demo.acts import Event, Outcome, Scene, Shortcoming
from treaty.cli.screen import one_line

#: Where the text behind a label begins.
_INDENT: Final = 13
#: A line that is longer than this is hard to read.
_WIDEST: Final = 110


class Transcript:
    """Writes to a console and counts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        fancy = "utf" in console.encoding.lower()
        self._marks = ("✓", "✗") if fancy else ("+", "X")
        self._outcomes: list[tuple[str, Outcome]] = []

    def act(self, transport: str) -> None:
        """Begin with a transport."""
        self._console.print()
        line = "─" if self._marks[0] == "✓" else "-"
        width = min(self._console.width, _WIDEST) - len(transport) - 1
        self._console.print(Text.assemble((transport, "bold"), " ", (line * max(width, 0), "green")))

    def add(self, transport: str, event: Event) -> None:
        """Write down what happened."""
        if isinstance(event, Scene):
            if self._outcomes and self._outcomes[-1][0] == transport:
                self._console.print()
            self._console.print(Text(one_line(event.text), "dim"), soft_wrap=True)
        elif isinstance(event, Shortcoming):
            self._console.print(Text(one_line(event.text), "yellow"), soft_wrap=True)
        else:
            self._outcomes.append((transport, event))
            self._outcome(event)

    def end(self, seconds: float) -> bool:
        """Write the summary; return whether every outcome was the right one."""
        wrong = [(transport, outcome) for transport, outcome in self._outcomes if not outcome.right]
        right = bool(self._outcomes) and not wrong
        names = " and ".join(dict.fromkeys(transport for transport, _ in self._outcomes))
        count = len(self._outcomes)
        self._console.print()
        if right:
            text = f"{self._marks[0]} {count} of {count} outcomes were right, over {names}, in {seconds:.1f} s"
            self._console.print(Text(text, "bold green"))
        else:
            text = f"{self._marks[1]} {len(wrong)} of {count} outcomes were wrong, in {seconds:.1f} s"
            self._console.print(Text(text, "bold red"))
            for transport, outcome in wrong:
                self._console.print(Text(f"  {transport}: {outcome.step.title}", "red"))
        return right

    def _outcome(self, outcome: Outcome) -> None:
        mark, style = (self._marks[0], "green") if outcome.right else (self._marks[1], "bold red")
        time = _duration(outcome.seconds)
        room = min(self._console.width, _WIDEST) - len(time) - 3
        self._console.print()
        title = Text(outcome.step.title, "bold").wrap(self._console, room)
        for number, line in enumerate(title):
            line.rstrip()
            if number:
                self._console.print(Text.assemble("  ", line))
                continue
            gap = " " * (room - line.cell_len + 1)
            self._console.print(Text.assemble((mark, style), " ", line, gap, (time, "cyan")))
        self._paragraph("done", Text(outcome.step.code, "blue"))
        self._paragraph("expected", Text(outcome.step.expected))
        self._paragraph("came back", Text(one_line(outcome.came_back), style))

    def _paragraph(self, label: str, text: Text) -> None:
        # Wrapped here, as a table fills its lines with spaces, which a file or a log would keep.
        for line in text.wrap(self._console, max(min(self._console.width, _WIDEST) - _INDENT, 8)):
            line.rstrip()
            self._console.print(
                Text.assemble(f"  {label:<{_INDENT - 2}}" if label else " " * _INDENT, line), soft_wrap=True
            )
            label = ""


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
