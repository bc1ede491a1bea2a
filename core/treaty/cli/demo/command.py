"""``treaty demo``, the command: which transports, overall limits, and the exit code.

It must not know what is done over them.
"""

from __future__ import annotations

import signal
import time
from contextlib import closing
from enum import StrEnum
from typing import Annotated, Final

import typer

from treaty.cli.demo.acts import perform
from treaty.cli.demo.bounds import last_resort
from treaty.cli.demo.transcript import Transcript
from treaty.cli.exits import ExitCode
from treaty.cli.options import Verbose
from treaty.cli.screen import out, start_logging
from treaty.cli.signals import raising

EXAMPLES = """\
treaty demo
treaty demo --only zmq"""

#: Seconds for all of it.
_LIMIT: Final = 90.0


class Choice(StrEnum):
    """The transports that the demo knows."""

    ZMQ = "zmq"
    KOMBU = "kombu"


def demo(
    *,
    only: Annotated[Choice | None, typer.Option("--only", help="Over this transport only.")] = None,
    verbose: Verbose = False,
) -> None:
    """Start services in other processes, over ZeroMQ and over kombu with a broker of its own; call one every way, and
    share state through another.

    Needs no broker and no settings, and leaves nothing behind. Exits with 0 only if every outcome was the right one.
    """
    start_logging(verbose=verbose)
    console = out()
    transcript = Transcript(console)
    started = time.monotonic()
    with last_resort(_LIMIT), raising(lambda number: SystemExit(128 + number), signal.SIGTERM, signal.SIGHUP):
        for choice in Choice if only is None else (only,):
            transcript.act(choice.value)
            with closing(perform(choice.value)) as events:
                for event in events:
                    transcript.add(choice.value, event)
    if not transcript.end(time.monotonic() - started):
        raise typer.Exit(ExitCode.ANSWERED)
