"""``treaty watch``: notifications as they come, a line each, on standard output; everything else on standard error.

It must not know transports, nor what the notifications are about: no model is needed to look at them.
"""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from typing import Annotated, Final

import typer
from rich.text import Text

from treaty.cli.options import SecretFile, Url, Verbose
from treaty.cli.screen import as_line, one_line, out, show_note, show_warning, start_logging
from treaty.cli.secret import read_secret
from treaty.cli.signals import raising
from treaty.client import Client
from treaty.engine import MAX_TTL
from treaty.errors import DeadlineExceeded
from treaty.messages import Notification
from treaty.subscription import Subscription

EXAMPLES = """\
treaty watch storage.Host.created --url zmq+tcp://127.0.0.1:5555
treaty watch 'storage.#' --json --count 10 --timeout 60
treaty watch 'storage.*.deleted' --url kombu+redis://127.0.0.1:6379/0"""

#: How many wait for a slow terminal; what comes then is let go, and counted.
_ROOM: Final = 10_000
#: Seconds between two looks at what was not shown: nothing announces it.
_LOOK: Final = 1.0
#: What begins like this is between a service and its clients, such as the beat of a storage feed.
_INTERNAL: Final = "$"
#: The first is logged where it happens, with its reason; of the second, nothing was lost.
_TOLD_ELSEWHERE: Final = ("connection lost", "not remembered")


def watch(
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL.PATTERN",
            help="What to listen to: tokens between dots, '*' for any one, '#' for any number of them.",
            show_default=False,
        ),
    ],
    *,
    url: Url,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line: time (UTC), topic and data.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-c", metavar="N", min=1, help="End after so many notifications.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            "-t",
            metavar="SECONDS",
            min=0.001,
            max=MAX_TTL,
            help="End after so long; with exit code 4 if --count was not reached.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also topics that begin with '$', such as the beat of a storage feed.")
    ] = False,
    secret_file: SecretFile = None,
    verbose: Verbose = False,
) -> None:
    """Print notifications as they come, until Ctrl-C.

    Standard error says when it listens, when notifications may be missing, and when some could not be read.
    """
    start_logging(verbose=verbose)
    ends = raising(lambda number: SystemExit(128 + number), signal.SIGTERM, signal.SIGHUP)
    with ends, Client(url, secret=read_secret(secret_file)) as client:
        desk = _Desk(shows_internal=everything or _INTERNAL in pattern)
        with client.subscribe(pattern, desk.take) as subscription:
            show_note(f"listening to {pattern} (Ctrl-C stops)")
            shown = desk.show_all(subscription, as_json=as_json, count=count, timeout=timeout)
    if count is not None and shown < count:
        raise DeadlineExceeded(f"{shown} of {count} notifications came within {timeout:g} s")


class _Desk:
    """Where notifications wait to be printed, and losses are counted."""

    def __init__(self, *, shows_internal: bool) -> None:
        self._shows_internal = shows_internal
        self._news: Queue[Notification] = Queue(_ROOM)
        self._let_go = 0
        self._told: Counter[str] = Counter()
        self._console = out()

    def take(self, notification: Notification) -> None:
        """Take one from the subscription's thread, which must not wait for a terminal."""
        if not self._shows_internal and notification.topic.partition(".")[2].startswith(_INTERNAL):
            return
        try:
            self._news.put_nowait(notification)
        except Full:
            self._let_go += 1

    def show_all(self, subscription: Subscription, *, as_json: bool, count: int | None, timeout: float | None) -> int:
        """Print what comes, until there were ``count`` or the time is up. Return how many were printed."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        shown = 0
        while shown != count and (left := until - time.monotonic()) > 0:
            try:
                notification = self._news.get(timeout=min(left, _LOOK))
            except Empty:
                self._tell_losses(subscription)
                continue
            self._show(notification, as_json=as_json)
            shown += 1
        self._tell_losses(subscription)
        return shown

    def _show(self, notification: Notification, *, as_json: bool) -> None:
        at = datetime.fromtimestamp(notification.created / 1000, UTC)
        if as_json:
            spelled = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            typer.echo(as_line({"time": spelled, "topic": notification.topic, "data": notification.data}))
            return
        spelled = at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        topic, data = one_line(notification.topic), as_line(notification.data)
        self._console.print(Text.assemble((spelled, "dim"), " ", (topic, "bold"), " ", data), soft_wrap=True)

    def _tell_losses(self, subscription: Subscription) -> None:
        found = Counter(subscription.counters) + Counter({"the terminal is too slow": self._let_go})
        for reason, number in (found - self._told).items():
            if reason not in _TOLD_ELSEWHERE:
                show_warning(f"{number} not shown: {reason}")
        self._told = found
