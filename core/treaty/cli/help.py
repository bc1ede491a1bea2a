"""What every ``--help`` ends with: examples and the exit codes.

Printed here, as typer would fold an epilog into one paragraph or blow it up with empty lines, depending on its version.
This room must not know what the commands do.
"""

from __future__ import annotations

from typing import Any

from rich.text import Text
from typer.core import TyperCommand

from treaty.cli.exits import MEANINGS
from treaty.cli.screen import out


class Command(TyperCommand):
    """A command with examples in its help."""

    examples = ""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        show_trailer(self.examples)


def with_examples(lines: str) -> type[Command]:
    """Return the class for a command with these examples, one a line."""
    return type("Command", (Command,), {"examples": lines})


def show_trailer(examples: str) -> None:
    """Print examples and exit codes."""
    console = out()
    sections = {
        "Examples": examples.splitlines(),
        "Exit codes": [f"{code:>3}  {meaning}" for code, meaning in MEANINGS.items()],
    }
    for title, lines in sections.items():
        console.print(Text.assemble(" ", (title, "bold")))
        for line in lines:
            # Not wrapped: an example is there to be copied.
            console.print(Text(f"   {line}"), soft_wrap=True)
        console.print()
