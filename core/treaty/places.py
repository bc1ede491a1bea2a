"""How many handlers run at once, and what waits for a place: the bookkeeping of a running service.

It must not know what the handlers are or how requests arrive. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Places(Generic[_T]):
    """A number of places, and a bounded queue of those who wait for one.

    Args:
        count: how many.
        backlog: how many may wait.
    """

    def __init__(self, count: int, backlog: int) -> None:
        self._count = count
        self._most = backlog
        self._taken = 0
        self._queue: deque[_T] = deque()
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)
        self._sleeping = 0
        self._ended = False

    def take(self, timeout: float) -> bool:
        """Take a place, and wait for one up to ``timeout`` seconds. Return whether one was taken."""
        with self._lock:
            if self._taken >= self._count and not self._ended:
                self._sleeping += 1
                self._free.wait(timeout)
                self._sleeping -= 1
            if self._taken >= self._count or self._ended:
                return False
            self._taken += 1
            return True

    def take_or_queue(self, who: _T) -> bool | None:
        """Take a place (``True``), or queue for one (``False``), unless the queue is full or at its end (``None``)."""
        with self._lock:
            if self._ended:
                return None
            if self._taken < self._count:
                self._taken += 1
                return True
            if len(self._queue) >= self._most:
                return None
            self._queue.append(who)
            return False

    def next_or_leave(self) -> _T | None:
        """Hand the place on to the next in the queue and return it, or give the place free."""
        with self._lock:
            if self._queue:
                return self._queue.popleft()
            self._taken -= 1
            if self._sleeping:
                self._free.notify()
            return None

    def end(self) -> list[_T]:
        """Give no more places, and return who was waiting."""
        with self._lock:
            self._ended = True
            waiting, self._queue = list(self._queue), deque()
            self._free.notify_all()
            return waiting
