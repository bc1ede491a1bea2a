"""What somebody's code changes in the program around it, such as a module while it is imported: named, and put back.

Where nothing could be judged afterwards, as without clocks, it is a set-up error. This room must not know what the code
is, nor any rule.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from treaty_contracts.target import SetupError

#: The signals whose handlers belong to whoever runs the program.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)
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
    def handler(number: signal.Signals) -> _Part:
        return f"what {number.name} does", signal.getsignal(number), lambda value: signal.signal(number, value)

    def stream(name: str) -> _Part:
        return f"sys.{name}", getattr(sys, name), lambda value: setattr(sys, name, value)

    return [
        ("how deep calls may nest", sys.getrecursionlimit(), sys.setrecursionlimit),
        *map(handler, _SIGNALS),
        *map(stream, ("stdout", "stderr", "excepthook")),
        ("the working directory", str(Path.cwd()), os.chdir),
        ("which warnings are errors", _errors(), _leave_errors),
    ]


def _errors() -> list[Any]:
    """Return the filters that make errors of warnings. Others, which libraries add, are nobody's trouble."""
    return [one for one in warnings.filters if one[0] == "error"]


def _leave_errors(wanted: list[Any]) -> None:
    for one in _errors():
        if one not in wanted:
            cast("list[Any]", warnings.filters).remove(one)
    with warnings.catch_warnings():
        pass  # which makes Python look at the filters anew
