"""``treaty call``: one call from the shell. The result goes to standard output, everything else to standard error.

It must not know transports: the URL names one.
"""

from __future__ import annotations

from typing import Annotated

import typer

from treaty.cli.arguments import read_headers, read_params
from treaty.cli.exits import code_for_answer
from treaty.cli.options import SecretFile, Timeout, Url, Verbose
from treaty.cli.progress import StatusLines
from treaty.cli.screen import name_error, show_error, show_json, start_logging
from treaty.cli.secret import read_secret
from treaty.client import TIMEOUT, Client
from treaty.pending import Pending, Reply

EXAMPLES = """\
treaty call slow.echo '{"text": "hi"}' --url zmq+tcp://127.0.0.1:5555
treaty call calc.add '[1, 2]' --url kombu+redis://127.0.0.1:6379/0 --timeout 2
treaty call slow.echo @params.json --raw
echo '{"text": "bye"}' | treaty call slow.echo - --notify"""


def call(
    target: Annotated[str, typer.Argument(metavar="SERVICE.METHOD", help="What to call.", show_default=False)],
    params: Annotated[
        str,
        typer.Argument(
            metavar="PARAMS",
            help="A JSON object (by name) or array (by position); '-' reads standard input, '@file' a file.",
        ),
    ] = "{}",
    *,
    url: Url,
    timeout: Timeout = TIMEOUT,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME=VALUE", help="For the handler; repeatable.")
    ] = None,
    notify: Annotated[bool, typer.Option("--notify", help="One way: do not wait for an answer.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Text without quotes, other results as JSON on one line.")] = False,
    secret_file: SecretFile = None,
    verbose: Verbose = False,
) -> None:
    """Call a method and print its result as JSON.

    Status messages are shown on standard error while the call runs: as one live line on a terminal, else line by line.
    """
    start_logging(verbose=verbose)
    arguments, headers = read_params(params), read_headers(header or [])
    with Client(url, secret=read_secret(secret_file), timeout=timeout) as client:
        if notify:
            client.notify(target, arguments, headers=headers)
            return
        reply = _follow(client.send(target, arguments, headers=headers))
    if reply.error is not None:
        show_error(*name_error(reply.error))
        raise typer.Exit(code_for_answer(reply.error))
    show_json(reply.value, raw=raw)


def _follow(pending: Pending) -> Reply:
    """Show the status messages until the call is over; give it up on Ctrl-C, so that the service can stop as well."""
    try:
        with StatusLines(pending.target) as lines:
            for status in pending.statuses():
                lines.show(status)
            reply = pending.reply()
        if reply.ok:
            lines.end(reply)
    except KeyboardInterrupt:
        pending.cancel()
        raise
    return reply
