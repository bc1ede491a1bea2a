"""Group commit: those who write at once share a transaction; the first of them does the work for all.

This room knows threads and nothing else: what is written, and where, is none of its business.
"""

from __future__ import annotations

import threading
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from treaty.storage.planning import Outcome
from treaty.storage.records import Batch, Change

#: How many objects are written in one transaction, unless one batch alone has more.
_MOST: Final = 1_000
#: Seconds that a transaction waits for those who were there a moment ago and will soon be back.
_GATHER: Final = 0.001


class _Ticket:
    __slots__ = ("batch", "outcome", "wake")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.outcome: Outcome | BaseException | None = None
        self.wake = allocate_lock()
        self.wake.acquire()


class Commits:
    """Writes batches, those that come at the same time together, and hands on what was written, in order.

    Args:
        write: writes several batches in one transaction.
        then: is called with the changes right after, by one thread at a time, before anybody hears of the outcome.
    """

    def __init__(
        self, write: Callable[[Sequence[Batch]], Sequence[Outcome]], then: Callable[[list[Change]], None]
    ) -> None:
        self._write = write
        self._then = then
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._led = False
        #: How many make it worth while to begin: half of those who were here last time. The other half comes meanwhile.
        self._enough = 0
        #: Open once enough are here; ``None`` while nobody waits for that.
        self._gate: LockType | None = None

    def commit(self, batch: Batch) -> tuple[Change, ...]:
        """Write a batch and return its changes.

        Raises:
            StorageError: it was not done.
        """
        ticket = _Ticket(batch)
        with self._lock:
            self._waiting.append(ticket)
            leads, self._led = not self._led, True
            if self._gate is not None and len(self._waiting) >= self._enough:
                self._gate.release()
                self._gate = None
        if not leads:
            ticket.wake.acquire()
        if ticket.outcome is None:
            self._lead()
        outcome = ticket.outcome
        assert outcome is not None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _lead(self) -> None:
        """Write what waits, the calling thread's own batch first, and let the next in line lead."""
        self._gather()
        group = self._take()
        try:
            outcomes: Sequence[Outcome | BaseException] = self._write([ticket.batch for ticket in group])
            self._then([change for outcome in outcomes if isinstance(outcome, tuple) for change in outcome])
        except BaseException as error:
            # Whatever it is: each of them has a caller that waits.
            outcomes = [error] * len(group)
        for ticket, outcome in zip(group, outcomes, strict=True):
            ticket.outcome = outcome
        with self._lock:
            self._enough = (len(group) + len(self._waiting)) // 2
            heir = self._waiting[0] if self._waiting else None
            self._led = heir is not None
        if heir is not None:
            heir.wake.release()
        for ticket in group[1:]:
            ticket.wake.release()

    def _gather(self) -> None:
        with self._lock:
            if len(self._waiting) >= self._enough:
                return
            self._gate = gate = allocate_lock()
            gate.acquire()
        if not gate.acquire(timeout=_GATHER):
            with self._lock:
                self._gate = None

    def _take(self) -> list[_Ticket]:
        with self._lock:
            group = [self._waiting.popleft()]
            size = len(group[0].batch)
            while self._waiting and size + len(self._waiting[0].batch) <= _MOST:
                group.append(self._waiting.popleft())
                size += len(group[-1].batch)
        return group
