"""Finds the targets that ``package.module:attribute`` names, importing as ``python -m`` does: from here first.

The attribute is a target, a list of them, or a function that returns either. Whatever the import does, even ending the
program, becomes one set-up error. This room must not know how targets are judged.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.requirements import Requirement

from treaty_contracts.aftermath import Aftermath
from treaty_contracts.expect import plain, said
from treaty_contracts.kinds import TARGETS, AnyTarget
from treaty_contracts.target import SetupError, unanswered
from treaty_contracts.world import Seeding

#: Where installed packages name their targets.
GROUP: Final = "treaty.contracts"


class Found(NamedTuple):
    """A target, and how a program of its own gets hold of it."""

    target: AnyTarget
    #: The lines that import it under the name ``target``.
    lines: tuple[str, ...]


class Loaded(NamedTuple):
    """What a spec led to."""

    found: tuple[Found, ...]
    #: What the import did besides, and should not have.
    warnings: tuple[str, ...]


def installed() -> tuple[list[str], list[str]]:
    """Return the specs of the targets that installed packages name, and which are left out, and why: those whose
    extra, as the entry point names it, is not installed.
    """
    specs, left_out = dict[str, None](), []
    for entry in entry_points(group=GROUP):
        spec = f"{entry.module}:{entry.attr}"
        package = entry.dist.name if entry.dist else ""
        missing = [extra for extra in entry.extras if entry.dist and not _complete(entry.dist, extra)]
        if missing:
            left_out.append(f"{spec}, as it needs: pip install '{package}[{','.join(missing)}]'")
        else:
            specs[spec] = None
    return list(specs), left_out


def _complete(package: Distribution, extra: str) -> bool:
    """Whether what an extra of a package names is there."""
    for text in package.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        try:
            distribution(requirement.name)
        except PackageNotFoundError:
            return False
    return True


def check_spec(spec: str) -> tuple[str, str]:
    """Return module and attribute of a spec.

    Raises:
        SetupError: it is no spec.
    """
    module, colon, attribute = spec.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    if not (colon and all(part.isidentifier() for part in parts)):
        raise SetupError(f"{spec!r} names no target: write 'package.module:target'")
    return module, attribute


def load(spec: str) -> Loaded:
    """Import a module and return the targets that the attribute holds.

    Raises:
        SetupError: malformed, not there, does not import, or no target. The text says what to write instead.
    """
    module, attribute = check_spec(spec)
    # What runs the rules has to go on as if nothing had happened, whatever the import does to the program.
    aftermath = Aftermath(f"the import of {module!r}")
    lines = (f"from {module} import {attribute.partition('.')[0]}",)
    reached = attribute
    with Seeding() as seeding:
        value = _attribute(_tried(f"the import of {module!r}", lambda: _imported(module)), module, attribute)
        if callable(value) and not isinstance(value, TARGETS):
            value, reached = _tried(f"{spec}()", value), f"{attribute}()"
    warnings = aftermath.mended()
    if seeding.seen:
        warnings += (f"the import of {module!r} seeded the random numbers of the program",)
    return Loaded(_found(value, spec, lines, reached), warnings)


def _imported(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise SetupError(f"there is no module {name!r}, looked for in {here} and on sys.path") from None
        raise


def _tried(what: str, action: Callable[[], Any]) -> Any:
    """Run somebody else's code."""
    try:
        return action()
    except SetupError:
        raise
    except BaseException as raised:  # also what would end the program
        where = _where(raised)
        lacking = unanswered(raised)
        raise SetupError(
            f"{what}{plain(where)}: {lacking}" if lacking else f"{what} raised {said(raised)}{plain(where)}"
        ) from None


def _where(raised: BaseException) -> str:
    """Return the line of the target's own code in which an exception began, or nothing."""
    place, trace = "", raised.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and Path(file).parent not in (_HERE, _IMPORTLIB):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


_WANTED: Final = (
    "it must be a treaty_contracts.Target or StoreTarget, a list of them, or a function that returns either"
)
_HERE: Final = Path(__file__).parent
_IMPORTLIB: Final = Path(importlib.__file__).parent


def _attribute(module: Any, name: str, attribute: str) -> Any:
    value = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            offered = [key for key, one in vars(module).items() if isinstance(one, TARGETS)]
            raise SetupError(
                f"the module {name!r} has no {attribute!r}; targets in it: {', '.join(offered) or 'none'}"
            ) from None
    return value


def _found(value: Any, spec: str, lines: tuple[str, ...], reached: str) -> tuple[Found, ...]:
    if isinstance(value, TARGETS):
        return (Found(value, lines if reached == "target" else _lines(lines, reached)),)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise SetupError(f"{spec} is {type(value).__name__}; {_WANTED}")
    for number, one in enumerate(value):
        if not isinstance(one, TARGETS):
            raise SetupError(f"{spec}[{number}] is {type(one).__name__}; {_WANTED}")
    if not value:
        raise SetupError(f"{spec} holds no target: the list is empty")
    names = [one.name for one in value]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SetupError(f"{spec} holds more than one target of the name {', '.join(map(repr, twice))}")
    return tuple(
        Found(one, _lines(lines, f"next(one for one in {reached} if one.name == {one.name!r})")) for one in value
    )


def _lines(lines: tuple[str, ...], expression: str) -> tuple[str, ...]:
    return (*lines, "", f"target = {expression}")
