"""The application: the list of the commands, and the one place where errors become a line and an exit code.

Each command is a module of its own with a function and its ``EXAMPLES``; to add one, write it into ``_COMMANDS``.
Other packages bring theirs through entry points, which are loaded when they are used.
This room must not know what a command does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

import treaty
from treaty.cli import call, describe, extensions, keygen, ping, serve, watch
from treaty.cli.demo import command as demo
from treaty.cli.exits import ExitCode, code_for
from treaty.cli.help import show_trailer, with_examples
from treaty.cli.screen import broken_pipes_raised, let_go_of_output, name_error, one_line, show_error
from treaty.cli.streams import CannotWriteError, check_output

_LOG: Final = logging.getLogger("treaty.cli")
#: The root of typer's complaints about the command line. Where it lives depends on the version.
_COMPLAINT: Final[Any] = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")


_START: Final = """\
treaty demo
treaty keygen --out secret.key
treaty serve examples.slow:Slow --url zmq+tcp://127.0.0.1:5555 --secret-file secret.key
treaty call slow.echo '{"text": "hi"}' --url zmq+tcp://127.0.0.1:5555 --secret-file secret.key"""


class Commands(TyperGroup):
    """Runs a command; whatever it raises becomes one line on standard error and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *(name for name in extensions.brought() if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or extensions.load(cmd_name)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        # Help and version are printed while the command line is read.
        with _output_lost():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _output_lost():
            try:
                return self._invoke(ctx)
            finally:
                check_output()

    def _invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError, CannotWriteError):
            raise
        except _COMPLAINT as complaint:
            name = ctx.invoked_subcommand
            command = self.get_command(ctx, name) if name else None
            where = f"treaty {name}" if command else "treaty"
            show_error("usage", one_line(f"{complaint.format_message().rstrip('.')} (see '{where} --help')"))
            raise typer.Exit(getattr(command, "usage", ExitCode.USAGE)) from None
        except KeyboardInterrupt:
            show_error("interrupted", "")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except Exception as error:
            _LOG.debug("the command failed", exc_info=True)
            show_error(*name_error(error))
            raise typer.Exit(code_for(error)) from None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with broken_pipes_raised():
            super().format_help(ctx, formatter)
        show_trailer(_START)


@contextmanager
def _output_lost() -> Iterator[None]:
    """Where output cannot be written, end with the exit code that says so, and without complaints at the very end."""
    try:
        yield
    except BrokenPipeError:
        let_go_of_output(errors=True)
        raise typer.Exit(ExitCode.UNREAD) from None
    except CannotWriteError as error:
        let_go_of_output(errors=False)
        show_error("cannot write", f"standard output: {error.strerror}")
        raise typer.Exit(ExitCode.UNWRITTEN) from None


_COMMANDS: Final[tuple[tuple[str, Callable[..., None], str], ...]] = (
    ("serve", serve.serve, serve.EXAMPLES),
    ("call", call.call, call.EXAMPLES),
    ("ping", ping.ping, ping.EXAMPLES),
    ("describe", describe.describe, describe.EXAMPLES),
    ("watch", watch.watch, watch.EXAMPLES),
    ("keygen", keygen.keygen, keygen.EXAMPLES),
    ("demo", demo.demo, demo.EXAMPLES),
)
app: Final = typer.Typer(
    name="treaty",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _command, _examples in _COMMANDS:
    app.command(_name, cls=with_examples(_examples))(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"treaty {treaty.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Python services that call each other over any transport."""


def run() -> None:
    """Run the command line on ``sys.argv``; ends with ``SystemExit``."""
    app(prog_name="treaty")
