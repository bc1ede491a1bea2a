"""The options that several commands share, each spelled and explained once.

This room must not know what the commands do with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from treaty.engine import MAX_TTL

Url: TypeAlias = Annotated[
    str,
    typer.Option(
        "--url",
        "-u",
        envvar="TREATY_URL",
        metavar="URL",
        help="Where: zmq+tcp://host:port, zmq+ipc:///path, kombu+redis://host:6379/0, kombu+amqp://host/vhost, … "
        "A password in it is safer in TREATY_URL.",
    ),
]
SecretFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--secret-file",
        metavar="FILE",
        help="Holds the shared secret. Without it, TREATY_SECRET (the secret) or TREATY_SECRET_FILE (a file) counts.",
    ),
]
Timeout: TypeAlias = Annotated[
    float,
    typer.Option("--timeout", "-t", metavar="SECONDS", min=0.001, max=MAX_TTL, help="How long a call may take."),
]
Verbose: TypeAlias = Annotated[bool, typer.Option("--verbose", "-v", help="Log to standard error, with tracebacks.")]
ServiceName: TypeAlias = Annotated[
    str, typer.Argument(metavar="SERVICE", help="The name of a service.", show_default=False)
]
