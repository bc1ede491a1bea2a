"""Ctrl-C at every line: what a signal's handler may raise in the main thread, tried out one line after the other."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Strike:
    """Raises ``KeyboardInterrupt`` before the ``number``-th line that this thread runs in some packages.

    Args:
        number: from 1 on.
        packages: parts of the paths of files, such as ``"treaty_zmq"``.
    """

    def __init__(self, number: int, *packages: str) -> None:
        self._left = number
        self._packages = packages

    @property
    def struck(self) -> bool:
        """Whether it came to that."""
        return self._left <= 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        return self._line if any(f"/{package}/" in name for package in self._packages) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        # The line of a with statement comes once more before it is left, where no signal strikes.
        if event == "line" and "with " not in linecache.getline(frame.f_code.co_filename, frame.f_lineno):
            self._left -= 1
            if self._left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return self._line


def strike(number: int, packages: tuple[str, ...], use: Callable[[], object]) -> str:
    """Do something, and return where it was interrupted; empty if it had come to its end by then."""
    one, before = Strike(number, *packages), sys.gettrace()
    sys.settrace(one)
    try:
        use()
    except KeyboardInterrupt as error:
        return str(error)
    finally:
        sys.settrace(before)
    assert not one.struck, "the interruption was swallowed"
    return ""
