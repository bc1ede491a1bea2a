"""What a signal's handler may do at every line that it interrupts, tried out one line after the other: raise, or come back
to what it interrupted.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from treaty_contracts.midway import Midway


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


def visited(number: int, use: Callable[[], object], visit: Callable[[], object], limit: float) -> str:
    """Do something in a thread that comes back into the middle of it, and return where; empty if it was over by then.

    Raises:
        AssertionError: it is not over after ``limit`` seconds, with the place.
    """
    one = Midway(number, visit)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            one.during(use)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    assert not thread.is_alive(), f"it hangs since it was visited at {one.where}"
    if raised:
        raise AssertionError(f"visited at {one.where}: {raised[0]!r}") from raised[0]
    return one.where
