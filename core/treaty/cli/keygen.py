"""``treaty keygen``: a new secret, to standard output or into a file that only its owner can read.

It must not know what secrets are used for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from treaty.errors import ConfigurationError
from treaty.sealing import Key

EXAMPLES = """\
treaty keygen --out secret.key
export TREATY_SECRET="$(treaty keygen)\""""


def keygen(
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write it here, readable by you alone. Never overwrites."),
    ] = None,
) -> None:
    """Make a secret for services and their clients to share."""
    text = Key.generate(os.urandom).text()
    if out is None:
        typer.echo(text)
        return
    try:
        # The mode belongs to the creation: at no moment can anybody else read it.
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise ConfigurationError(f"{str(out)!r} exists already, and a secret is never overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    typer.echo(f"a new secret is in {out}: hand it to services and clients, e.g. TREATY_SECRET_FILE={out}", err=True)
