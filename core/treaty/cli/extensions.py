"""Commands that other packages bring: found through the entry-point group ``treaty.commands``, loaded when they are used.

An entry point leads to a module with a function of the command's name and its ``EXAMPLES``, as every command of ours has
one. The module may also say ``EXITS`` (its own exit codes and what they mean) and ``USAGE`` (the one for wrong usage).
This room must not know any of these commands: ``treaty call`` pays for none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from rich.markup import escape

from treaty.cli.exits import MEANINGS, ExitCode
from treaty.cli.help import with_examples
from treaty.errors import ConfigurationError, MissingExtra

_GROUP: Final = "treaty.commands"


def brought() -> list[str]:
    """Return the names of the commands that are installed, without loading one."""
    return [entry.name for entry in _found()]


def load(name: str) -> Any:
    """Return a command for typer, or ``None`` if nobody brings it.

    One whose libraries are missing is a command that says what to install.
    """
    entry = next((entry for entry in _found() if entry.name == name), None)
    if entry is None:
        return None
    try:
        module = entry.load()
        function, examples = getattr(module, name), module.EXAMPLES
    except ImportError as error:
        # Whoever lists the commands wants to see the others all the same.
        return _refusing(name, MissingExtra(_cure(entry, error)))
    except Exception as error:
        return _refusing(
            name, ConfigurationError(f"the command {name!r} of {_origin(entry)} cannot be loaded: {error!r}")
        )
    return _made(name, function, examples, getattr(module, "EXITS", MEANINGS), getattr(module, "USAGE", ExitCode.USAGE))


def _found() -> list[EntryPoint]:
    return list({entry.name: entry for entry in entry_points(group=_GROUP)}.values())


def _made(name: str, function: Callable[..., None], examples: str, meanings: Any, usage: int, **settings: Any) -> Any:
    # The help goes through the same trailer as that of our own commands.
    kind = with_examples(examples, meanings)
    kind.usage = int(usage)
    # Somebody else's options are read by the same rules: typer turns a function into a command only through an app.
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    alone.command(name, cls=kind, context_settings={"help_option_names": ["-h", "--help"], **settings})(function)
    return typer.main.get_command(alone)


def _refusing(name: str, error: Exception) -> Any:
    def refuse(_: typer.Context) -> None:
        raise error

    refuse.__doc__ = escape(f"Not available: {error}")
    # Whatever options it would have: what is missing is what there is to say.
    lenient = {"allow_extra_args": True, "ignore_unknown_options": True}
    return _made(name, refuse, "", MEANINGS, ExitCode.USAGE, **lenient)


def _cure(entry: EntryPoint, error: ImportError) -> str:
    package = entry.dist.name if entry.dist else "the package that brings it"
    cure = f"pip install '{package}[{','.join(entry.extras)}]'" if entry.extras else f"install what {package} needs"
    return f"the command {entry.name!r} needs {error.name or error}: {cure}"


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
