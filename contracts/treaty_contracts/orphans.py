"""Processes that outlive what started them: found and ended, where the system tells of them.

On Linux a process may ask to become the parent of whatever its descendants leave behind (prctl(2),
PR_SET_CHILD_SUBREAPER): then a daemon cannot hide from whoever judges its parent. Elsewhere nothing is found. This room
must not know rules.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

_SET_CHILD_SUBREAPER: Final = 36
_TASKS: Final = Path("/proc/self/task")
#: The process that adopts, if it is this one: in any other, a new child may be anybody's.
_ADOPTING: Final[set[int]] = set()


def adopt() -> None:
    """Have this process become the parent of what its descendants leave behind, from now on."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            _ADOPTING.add(os.getpid())


def children() -> set[int]:
    """Return the processes whose parent is this one, if it adopts."""
    found: set[int] = set()
    if os.getpid() not in _ADOPTING:
        return found
    for file in _TASKS.glob("*/children"):
        with suppress(OSError):
            found.update(map(int, file.read_text().split()))
    return found


def end_new(before: Collection[int]) -> None:
    """End the children that were not there before, and what these leave in turn."""
    while new := children() - set(before):
        for pid in new:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(pid, 0)
