"""What every ``--help`` ends with: examples and the exit codes.

Printed here, as typer would fold an epilog into one paragraph or blow it up with empty lines, depending on its version.
This room must not know what the commands do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from typer.core import TyperCommand

from treaty.cli.exits import MEANINGS, ExitCode
from treaty.cli.screen import broken_pipes_raised, out
from treaty.cli.signals import raise_from_now_on


class Command(TyperCommand):
    """A command with examples in its help. From when it runs, Ctrl-C is an exception."""

    examples = ""
    meanings: Mapping[Any, str] = MEANINGS
    #: The exit code for wrong usage.
    usage: int = ExitCode.USAGE

    def invoke(self, ctx: Any) -> Any:
        raise_from_now_on()
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with broken_pipes_raised():
            super().format_help(ctx, formatter)
        show_trailer(self.examples, self.meanings)


def with_examples(lines: str, meanings: Mapping[Any, str] = MEANINGS) -> type[Command]:
    """Return the class for a command with these examples, one a line, and these exit codes."""
    return type("Command", (Command,), {"examples": lines, "meanings": meanings})


def show_trailer(examples: str, meanings: Mapping[Any, str] = MEANINGS) -> None:
    """Print examples and exit codes."""
    console = out()
    sections = {
        "Examples": examples.splitlines(),
        "Exit codes": [f"{code:>3}  {meaning}" for code, meaning in meanings.items()],
    }
    for title, lines in sections.items():
        if not lines:
            continue
        console.print(Text.assemble(" ", (title, "bold")))
        for line in lines:
            # Not wrapped: an example is there to be copied.
            console.print(Text(f"   {line}"), soft_wrap=True)
        console.print()
