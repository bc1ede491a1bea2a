"""``treaty serve``: one service in this process, until SIGTERM or Ctrl-C.

It must not know transports: the URL names one. Draining is the service's own business.
"""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer

from treaty.cli.loading import load_service
from treaty.cli.options import SecretFile, Url, Verbose
from treaty.cli.screen import one_line, start_logging
from treaty.cli.secret import read_secret
from treaty.cli.signals import raising
from treaty.service import DRAIN, Service
from treaty.transport import Transport, connect

EXAMPLES = """\
treaty serve examples.slow:Slow --url zmq+tcp://127.0.0.1:5555
treaty serve shop.stock:Stock --url kombu+redis://127.0.0.1:6379/0 --concurrency 8 --drain 5 -v"""


def serve(
    service: Annotated[
        str, typer.Argument(metavar="MODULE:CLASS", help="The service, importable from here.", show_default=False)
    ],
    *,
    url: Url,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", "-c", metavar="N", min=1, help="How many handlers run at once; else the service decides."
        ),
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option(
            "--drain",
            metavar="SECONDS",
            min=0,
            help=f"What running handlers have to finish at the end; else the service decides, mostly {DRAIN:g}.",
        ),
    ] = None,
    secret_file: SecretFile = None,
    verbose: Verbose = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain: finish what runs, take nothing new.

    A second Ctrl-C ends the drain at once.
    """
    start_logging(verbose=verbose)
    cls = load_service(service)
    secret = read_secret(secret_file)
    # Who says nothing leaves it to the class: a storage service shares transactions among what runs at once.
    given: dict[str, Any] = {"concurrency": concurrency, "drain": drain}
    chosen = {name: value for name, value in given.items() if value is not None}
    with connect(url) as transport:
        _run(cls(transport, secret=secret, **chosen), transport, url)


def _run(service: Service, transport: Transport, url: str) -> None:
    # A signal before ``run`` listens to signals itself must drain as well, not kill.
    with raising(lambda _: KeyboardInterrupt(), signal.SIGTERM, signal.SIGINT):
        try:
            service.start()
            where = one_line(str(getattr(transport, "url", url)))
            typer.echo(f"{service.name}: serving on {where} (Ctrl-C stops)")
            service.run()
        except KeyboardInterrupt:
            service.stop()
    typer.echo(f"{service.name}: stopped")
