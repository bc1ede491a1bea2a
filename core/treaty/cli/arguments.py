"""What a person writes on the command line, turned into what a call takes: parameters and headers.

It must not know calls. The secret is no argument: see ``secret``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import typer

from treaty.messages import Params
from treaty.sealing import MAX_FRAME
from treaty.values import repeated


def read_params(given: str) -> Params:
    """Read the parameters from an argument, ``-`` (standard input) or ``@file``.

    Raises:
        typer.BadParameter: unreadable, larger than a frame may be, no JSON, or neither an object nor an array.
    """
    where, text = _named(given), _text(given)
    if len(text) > MAX_FRAME:
        raise typer.BadParameter(
            f"{where} has more than {MAX_FRAME} bytes, which is what a frame may have", param_hint="PARAMS"
        )
    if isinstance(text, str):
        _check_text(where, text, "PARAMS")
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_all_of)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{where} is no JSON: {error}", param_hint="PARAMS") from None
    if not isinstance(value, dict | list):
        raise typer.BadParameter(
            f"{where} is neither a JSON object (parameters by name) nor an array (by position)", param_hint="PARAMS"
        )
    return value


def read_headers(given: list[str]) -> dict[str, str]:
    """Read ``name=value`` pairs.

    Raises:
        typer.BadParameter: one has no name or no ``=``.
    """
    headers: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{pair!r} is not of the form name=value", param_hint="--header")
        _check_text(f"the header {name!r}", pair, "--header")
        headers[name] = value
    return headers


def _check_text(where: str, text: str, hint: str) -> None:
    """See that a shell's bytes were text: Python keeps those that are not as half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter(f"{where} is not valid UTF-8", param_hint=hint) from None


def _text(given: str) -> str | bytes:
    # No more than is needed to see that it is too much: a device or a pipe may have no end.
    try:
        if given == "-":
            return sys.stdin.buffer.read(MAX_FRAME + 1)
        if given.startswith("@"):
            with Path(given[1:]).open("rb") as file:
                return file.read(MAX_FRAME + 1)
        return given
    except OSError as error:
        raise typer.BadParameter(f"{_named(given)} cannot be read: {error.strerror}", param_hint="PARAMS") from error


def _named(given: str) -> str:
    if given == "-":
        return "standard input"
    return repr(given[1:]) if given.startswith("@") else "the argument"


def _all_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (name := repeated(pairs)) is not None:
        raise ValueError(f"{name!r} stands there twice, and one value would be lost")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
