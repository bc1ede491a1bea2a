"""What the drivers share: the clocks, a wake-up for one thread, and the deadline of the request being served.

With ``pending``, ``client``, ``subscription``, ``incoming`` and ``service`` this is one of the rooms that know threads
and time. It must not know messages.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from contextvars import ContextVar
from typing import Final

from treaty.engine import Instant

#: The steady time at which the request that this thread or task is serving expires: it bounds nested calls.
SERVING_UNTIL: Final[ContextVar[float | None]] = ContextVar("treaty_serving_until", default=None)


def present() -> Instant:
    """Read both clocks."""
    return Instant(time.time_ns() // 1_000_000, time.monotonic())


class WakeUp:
    """Wakes one thread that sleeps. A wake-up that comes first is kept; several count as one."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Let the sleeper go, or the next one who lies down."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # it is awake already

    def sleep(self, seconds: float) -> None:
        """Wait until woken, or until the time is over."""
        self._lock.acquire(timeout=min(max(seconds, 0.0), 3600.0))
