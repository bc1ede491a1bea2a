"""``treaty describe``: which methods a service has, asked of the service itself through ``$describe``.

It must not know transports, nor the service's code.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from treaty.cli.options import SecretFile, ServiceName, Timeout, Url, Verbose
from treaty.cli.screen import one_line, out, show_json, start_logging
from treaty.cli.secret import read_secret
from treaty.client import TIMEOUT, Client

EXAMPLES = """\
treaty describe slow --url zmq+tcp://127.0.0.1:5555
treaty describe slow --json"""


def describe(
    service: ServiceName,
    *,
    url: Url,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the service said, as JSON.")] = False,
    timeout: Timeout = TIMEOUT,
    secret_file: SecretFile = None,
    verbose: Verbose = False,
) -> None:
    """List the methods of a service, with their parameters."""
    start_logging(verbose=verbose)
    with Client(url, secret=read_secret(secret_file), timeout=timeout) as client:
        methods = client.call(f"{service}.$describe")
    if as_json:
        show_json(methods)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("method", "parameters", "what it does"):
        table.add_column(column, overflow="fold")
    for method in methods:
        parameters = ", ".join(_spelled(parameter) for parameter in method["parameters"])
        # Text, not markup: a type such as list[int] would be taken for a tag.
        row = (f"{service}.{method['name']}", parameters or "-", method["doc"])
        table.add_row(*(Text(one_line(cell)) for cell in row))
    out().print(table)


def _spelled(parameter: dict[str, Any]) -> str:
    optional = not parameter["required"] and not parameter["name"].startswith("*")
    return f"{parameter['name']}: {parameter['type']}{' = …' if optional else ''}"
