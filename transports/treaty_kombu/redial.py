"""Connects again in a thread of its own, so that whoever receives in short slices need not have the time that it takes.

A far broker answers a greeting later than a slice is long, and a busy one, too: in slices nobody would ever get there.
This room must not know what a connection is.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

from treaty import TransportError

from .link import LONGEST, log

#: How long to wait after an attempt that failed, at least and at most: many may have lost the same broker.
_PAUSE: Final = (0.1, 0.5)
#: How long an end that closes waits for an attempt. One that takes longer finds it closed, and cleans up by itself.
_GOODBYE: Final = 1.0


class Redial:
    """Attempts to connect, one at a time, for as long as somebody asks for them.

    Args:
        connect: connects or raises, and takes as long as it likes. In a thread of its own.
        ended: is called when an attempt has ended, however it did.
    """

    def __init__(self, connect: Callable[[], object], ended: Callable[[], None]) -> None:
        self._connect = connect
        self._ended = ended
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._due = 0.0
        self._stopped = False

    @property
    def trying(self) -> bool:
        """Whether an attempt is under way."""
        return self._thread is not None

    def later(self) -> None:
        """Make no attempt for a moment."""
        self._due = time.monotonic() + random.uniform(*_PAUSE)

    def begin(self) -> float:
        """Make an attempt, unless one is under way or it is too early. Return how many seconds to wait for news at most."""
        with self._lock:
            pause = self._due - time.monotonic()
            if self._thread is None and not self._stopped:
                if pause > 0:
                    return pause
                thread = threading.Thread(target=self._try, name="treaty-kombu-redial", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the system has no thread for it now
                    log.debug("no attempt to connect: %s", error)
                    self.later()
                    return _PAUSE[1]
                self._thread = thread
        return LONGEST

    def _try(self) -> None:
        try:
            self._connect()
        except TransportError as error:  # failing again is no news: the loss was reported
            log.debug("%s", error)
            self.later()
        except Exception:
            log.debug("an attempt to connect failed", exc_info=True)
            self.later()
        with self._lock:
            self._thread = None
        self._ended()

    def stop(self) -> None:
        """Make no more attempts, and wait a moment for one that is under way."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        if thread is not None:
            thread.join(_GOODBYE)
