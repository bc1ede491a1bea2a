"""Stacks as the author of a transport wants to read them: without the suite's own frames, which tell nothing.

It must not know rules.
"""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from treaty_contracts.expect import plain

_HERE: Final = Path(__file__).parent
_FILE: Final = re.compile(r'^\s*File "(?P<file>[^"]+)"')
_KEPT: Final = 60


def is_ours(file: str) -> bool:
    """Whether a file belongs to the suite, and not to a transport, the broken ones of the zoo included."""
    path = Path(file)
    return path.is_relative_to(_HERE) and "zoo" not in path.parts


def of_error(raised: BaseException) -> str:
    """Return the stack of an exception from where it left the suite."""
    told = traceback.TracebackException.from_exception(raised)
    one: traceback.TracebackException | None = told
    while one is not None:
        theirs = [frame for frame in one.stack if not is_ours(frame.filename)]
        one.stack = traceback.StackSummary.from_list(theirs)
        one = one.__cause__ or one.__context__
    return plain("".join(list(told.format())[-_KEPT:]))


def of_threads(text: str) -> str:
    """Return the stacks that ``faulthandler`` has written, without the suite's frames, and threads that have no other."""
    kept: list[list[str]] = []
    for part in re.split(r"\n(?=(?:Current )?[Tt]hread 0x)", text):
        lines = [line for line in part.splitlines() if not _tells_nothing(line)]
        if len(lines) > 1 or not re.match(r"(Current )?[Tt]hread 0x", part):
            kept.append(lines)
    return "\n".join("\n".join(lines).rstrip() for lines in kept).strip()


def _tells_nothing(line: str) -> bool:
    found = _FILE.match(line)
    if found is None:
        return not line.strip() or line.startswith("Extension modules:")
    return is_ours(found["file"]) or found["file"] in _PLUMBING or found["file"].startswith("<frozen")


def _files(modules: Iterable[object]) -> frozenset[str]:
    return frozenset(str(getattr(module, "__file__", "")) for module in modules)


_PLUMBING: Final = _files([threading])
