"""What somebody's code changes in the program around it, such as a module while it is imported: named, and put back.

Where nothing could be judged afterwards, as without clocks, it is a set-up error. This room must not know what the code
is, nor any rule.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from treaty_contracts.target import SetupError

#: By which every time is measured.
CLOCKS: Final = ("time", "monotonic", "perf_counter")

#: A name for something, what it is now, and what puts an earlier value back.
_Part: TypeAlias = "tuple[str, Any, Callable[[Any], object]]"


class Aftermath:
    """Notes what the program is like when it is made; :meth:`mended` says what has changed since, and puts it back.

    Args:
        what: whose doing the changes will be, such as ``"the import of 'mine'"``.

    Raises:
        SetupError: there is no directory for temporary files to begin with.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid = os.getpid()
        self._clocks = {name: getattr(time, name) for name in CLOCKS}
        self._path = list(sys.path)
        try:
            # It is looked up only once, so that nobody takes another directory for it when this one is gone.
            self._temporary = tempfile.gettempdir()
        except OSError as error:
            raise SetupError(f"there is no directory for temporary files: {error.strerror}") from None
        self._before = _parts()

    def mended(self) -> tuple[str, ...]:
        """Put back what has changed, and say what it was. In a process that a fork has left behind, end it.

        Raises:
            SetupError: what has changed leaves nothing to judge by.
        """
        if os.getpid() != self._pid:
            text = f"{self._what} forked, and the child went on as if it were the program: it was ended\n"
            os.write(2, text.encode("utf-8", "backslashreplace"))
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # whatever has been put in their places
                stream.flush()
        changed = []
        for (name, before, put_back), (_, now, _) in zip(self._before, _parts(), strict=True):
            if now is not before and now != before:
                changed.append(f"{self._what} changed {name}")
                put_back(before)
        lost = [one for one in self._path if one not in sys.path]
        if lost:
            changed.append(f"{self._what} took entries out of sys.path")
            sys.path.extend(lost)
        if not Path(self._temporary).is_dir():
            raise SetupError(f"{self._what} removed the directory for temporary files, {self._temporary}")
        replaced = [name for name, clock in self._clocks.items() if getattr(time, name) is not clock]
        for name in replaced:
            setattr(time, name, self._clocks[name])
        if replaced:
            raise SetupError(f"{self._what} replaced time.{replaced[0]}, by which everything here is measured")
        return tuple(changed)


def _parts() -> list[_Part]:
    def handler(number: int) -> _Part:
        return f"what {_name(number)} does", signal.getsignal(number), lambda value: _handle(number, value)

    def attribute(module: Any, name: str) -> _Part:
        return f"{module.__name__}.{name}", getattr(module, name), lambda value: setattr(module, name, value)

    filters = list(warnings.filters)
    return [
        ("how deep calls may nest", sys.getrecursionlimit(), sys.setrecursionlimit),
        *map(handler, sorted(signal.valid_signals())),
        *(attribute(sys, name) for name in ("stdout", "stderr", "excepthook", "unraisablehook")),
        attribute(threading, "excepthook"),
        ("the default timeout of sockets", socket.getdefaulttimeout(), socket.setdefaulttimeout),
        ("what is logged at all", logging.root.manager.disable, logging.disable),
        ("the working directory", str(Path.cwd()), os.chdir),
        ("which warnings are errors", _filters(_is_error), lambda _: _leave(filters)),
        ("which warnings are shown", _filters(_is_broad), lambda _: _leave(filters)),
    ]


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # of those for real time only the first and the last one have names
        return f"signal {number}"


def _handle(number: int, handler: Any) -> None:
    # None is one that was not set by Python, and Python cannot set it again.
    signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _is_error(one: Any) -> bool:
    return bool(one[0] == "error")


def _is_broad(one: Any) -> bool:
    """Whether a filter is about a whole class of Python's own warnings, wherever they come from: about everybody's.

    Others, which libraries add for their own or for a certain one, are nobody's trouble.
    """
    _, message, category, module, line = one
    return not (_is_error(one) or message or module or line) and category.__module__ == "builtins"


def _filters(wanted: Callable[[Any], bool]) -> list[Any]:
    return [one for one in warnings.filters if wanted(one)]


def _leave(wanted: list[Any]) -> None:
    """Have the filters be what they were, but for those that came and are nobody's trouble."""
    filters = cast("list[Any]", warnings.filters)
    harmless = [one for one in filters if not (one in wanted or _is_error(one) or _is_broad(one))]
    filters[:] = [*harmless, *wanted]
    with warnings.catch_warnings():
        pass  # which makes Python look at the filters anew
