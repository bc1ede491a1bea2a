"""What goes to the screen, and how: errors and warnings in one line, results as JSON, consoles for the rest.

Text from other processes passes :func:`one_line`, so that it cannot steer the terminal. This room must not know
commands, services or exit codes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text

from treaty.errors import RemoteError

_PASSWORD: Final = re.compile(r"(://[^\s/@:]*):[^\s/@]*@")


def without_password(text: str) -> str:
    """Return text in which no URL shows its password."""
    return _PASSWORD.sub(r"\1:***@", text)


def one_line(text: str) -> str:
    """Return text on one line, without passwords, control characters spelled out."""
    plain = " ".join(without_password(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)


def name_error(error: BaseException) -> tuple[str, str]:
    """Return type and text of an error, as a person wants to read them."""
    if isinstance(error, RemoteError) and error.type:
        trailer = f" (error id {error.error_id})" if error.error_id else ""
        return one_line(error.type), one_line(error.text + trailer)
    return type(error).__name__, one_line(str(error))


@contextmanager
def broken_pipes_raised() -> Iterator[None]:
    """Raise ``BrokenPipeError`` where a console that is not one of ours would end the program."""
    try:
        yield
    except SystemExit:
        raise BrokenPipeError from None


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would end the program by itself, with a code of its own.
        raise BrokenPipeError


def out() -> Console:
    """Return a console for standard output, as it is now."""
    return _Console(highlight=False)


def err() -> Console:
    """Return a console for standard error, as it is now."""
    return _Console(stderr=True, highlight=False)


def let_go_of_output(*, errors: bool) -> None:
    """Send what is still to be printed nowhere: nobody reads it, and the end of the program would complain of it.

    Args:
        errors: also what goes to standard error.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr) if errors else (sys.stdout,):
        with suppress(OSError):  # not a real one, so nothing is left in it
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def show_error(kind: str, text: str) -> None:
    """Print ``type: text`` on one line of standard error."""
    line = Text.assemble((kind, "bold red"), f": {text}" if text else "")
    err().print(line, soft_wrap=True)


def show_warning(text: str) -> None:
    """Print a warning on one line of standard error."""
    err().print(Text.assemble(("warning", "bold yellow"), f": {one_line(text)}"), soft_wrap=True)


def show_note(text: str) -> None:
    """Print what is good to know on one line of standard error."""
    err().print(Text(one_line(text), "dim"), soft_wrap=True)


def show_json(value: Any, *, raw: bool = False) -> None:
    """Print a value as JSON: indented for a person at a terminal, else on one line for a program.

    Args:
        value: what was decoded from JSON.
        raw: print text without quotes and escapes, and everything else on one line.
    """
    if raw and isinstance(value, str):
        # As it is for a program, colours included; a terminal is not to be steered by it.
        typer.echo(_harmless(value) if sys.stdout.isatty() else value, color=True)
        return
    terminal = sys.stdout.isatty() and not raw
    text = _dumped(value, indent=2 if terminal else None)
    typer.echo(_harmless(text) if terminal else text)


def as_line(value: Any) -> str:
    """Return a value as JSON on one line that no terminal can be steered by, and that is the same JSON still."""
    return _harmless(_dumped(value))


def _dumped(value: Any, indent: int | None = None) -> str:
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent)


def _harmless(text: str) -> str:
    # JSON escapes the control characters below U+0020 itself; those above it could still steer a terminal.
    return "".join(c if c.isprintable() or c in "\n\t" else json.dumps(c)[1:-1] for c in text)


def start_logging(*, verbose: bool) -> None:
    """Log to standard error: warnings and worse, or with ``verbose`` everything that Treaty has to say."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("treaty").setLevel(logging.DEBUG if verbose else logging.NOTSET)
