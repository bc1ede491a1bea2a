"""``treaty ping``: is a service there, and how long is the way to it and back?

It asks ``$ping``, which every service answers, also while its handlers are busy. It must not know transports.
"""

from __future__ import annotations

from statistics import median
from typing import Annotated

import typer

from treaty.cli.options import SecretFile, ServiceName, Timeout, Url, Verbose
from treaty.cli.screen import one_line, start_logging
from treaty.cli.secret import read_secret
from treaty.client import TIMEOUT, Client

EXAMPLES = """\
treaty ping slow --url zmq+tcp://127.0.0.1:5555
treaty ping slow --url kombu+amqp://127.0.0.1/ --count 10 --timeout 2"""


def ping(
    service: ServiceName,
    *,
    url: Url,
    count: Annotated[int, typer.Option("--count", "-c", metavar="N", min=1, help="How often to ask.")] = 4,
    timeout: Timeout = TIMEOUT,
    secret_file: SecretFile = None,
    verbose: Verbose = False,
) -> None:
    """Ask a service whether it is there, and print the round-trip times."""
    start_logging(verbose=verbose)
    times: list[float] = []
    with Client(url, secret=read_secret(secret_file), timeout=timeout) as client:
        for number in range(1, count + 1):
            reply = client.request(f"{service}.$ping")
            answer = reply.result
            times.append(reply.elapsed * 1000)
            instance, uptime = one_line(str(answer.get("instance"))), answer.get("uptime", 0.0)
            # The first one makes the connection as well.
            note = " (with connecting)" if number == 1 else ""
            typer.echo(f"{service} {number}: {times[-1]:.2f} ms  instance {instance}, up {uptime:.1f} s{note}")
    rest = times[1:]
    if rest:
        typer.echo(
            f"best {min(rest):.2f} ms, median {median(rest):.2f} ms, worst {max(rest):.2f} ms, without the first"
        )
