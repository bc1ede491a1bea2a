"""Where other threads' news reach an event loop: what comes while the loop is busy arrives together.

Each entry from another thread writes to the pipe that wakes the loop; one is enough for all that came until it is awake.
This room must not know calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary


class Landing:
    """Runs functions in one event loop, in the order given. Any thread may give them."""

    def __init__(self) -> None:
        self._given: deque[Callable[[], object]] = deque()
        self._called = False

    def give(self, loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
        """Have a function called in the loop, soon. Where the loop was closed, nobody waits there any more."""
        self._given.append(function)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._land)

    def _land(self) -> None:
        # Before the first look: what is given after the last one must call again.
        self._called = False
        while self._given:
            self._given.popleft()()


_landings: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Landing]] = WeakKeyDictionary()


def landing_of(loop: asyncio.AbstractEventLoop) -> Landing:
    """Return the landing of a loop. To be called in the loop itself."""
    found = _landings.get(loop)
    if found is None:
        found = _landings[loop] = Landing()
    return found
