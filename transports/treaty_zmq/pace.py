"""How eagerly the threads of libzmq take the processor from those that use them: at once, or not while much is under way.

A message wakes libzmq's thread, which takes the processor from the very thread that sends or reads the messages, for each
of them anew; most of the time then goes into changing between the two. While many messages come one after the other
without a wait, the scheduler is asked to let it wait for its turn (SCHED_BATCH, see sched(7)), so that it finds several.
Where that cannot be asked, nothing changes. This room knows threads and the scheduler of Linux, and no messages.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import zmq

#: Messages between two waits from which on much is under way.
MANY: Final = 4
_POLICIES: Final = hasattr(os, "SCHED_BATCH")
_THREADS: Final = Path("/proc/self/task")
_numbers: Final = itertools.count(1)


class Pace:
    """The pace of one context's threads. Not locked: a count that is lost now and then does no harm."""

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._threads: list[int] = []
        self._row = 0
        #: Whether libzmq's threads wait for their turn.
        self.yields = False

    def mark(self, context: zmq.Context[Any]) -> None:
        """Mark the threads of a new context, before it has its first socket and with that its threads."""
        context.set(zmq.THREAD_NAME_PREFIX, self._number)
        self._threads, self.yields = [], False

    def took(self) -> None:
        """A message came."""
        self._row += 1
        if self._row == MANY and not self.yields:
            self._ask(yields=True)

    def waits(self) -> None:
        """Nothing is there, and a thread is about to wait. To wait again after nothing came says nothing new."""
        if self.yields and 0 < self._row < MANY:
            self._ask(yields=False)
        self._row = 0

    def _ask(self, *, yields: bool) -> None:
        self.yields = yields
        if not _POLICIES:
            return
        self._threads = self._threads or self._find()
        for thread in self._threads:
            with suppress(OSError):  # it may be forbidden, and is no more than a wish
                os.sched_setscheduler(thread, os.SCHED_BATCH if yields else os.SCHED_OTHER, os.sched_param(0))

    def _find(self) -> list[int]:
        found = []
        with suppress(OSError):
            for thread in _THREADS.iterdir():
                with suppress(OSError):  # it ended meanwhile
                    if (thread / "comm").read_text().startswith(f"{self._number}/ZMQbg/IO"):
                        found.append(int(thread.name))
        return found
