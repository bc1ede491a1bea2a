"""Connects in a thread of its own, so that whoever sends or receives need not have the time that it takes.

A far broker answers a greeting later than a slice of ``receive`` is long, and a busy one, too: in slices nobody would
ever get there. And a connection takes so many answers that a limit on each of them is none on all.
This room must not know what a connection is.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from treaty import ClosedError, TransportError, Unavailable

from .link import LONGEST, log, text

#: How long to wait after an attempt that failed, at least and at most: many may have lost the same broker.
_PAUSE: Final = (0.1, 0.5)
#: How long an end that closes waits for an attempt. One that takes longer finds it closed, and cleans up by itself.
_GOODBYE: Final = 1.0


class _Attempt:
    """What somebody may wait for. Not an event: one whose wait is interrupted may never be set again, nor waited for."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._over = False
        #: Why it failed.
        self.error: Exception | None = None

    def end(self) -> None:
        """Let everybody go who waits, one after the other."""
        self._over = True
        with suppress(RuntimeError):  # it is open
            self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Wait until it is over. Whether it is, in time."""
        if not self._over and self._gate.acquire(timeout=min(seconds, LONGEST)):
            self.end()
        return self._over


class Redial:
    """Attempts to connect, one at a time, for as long as somebody asks for them.

    Args:
        shown: what is connected to, for the texts of errors.
        connect: connects or raises, and takes as long as it likes. In a thread of its own.
        ended: is called when an attempt has ended, however it did.
    """

    def __init__(self, shown: str, connect: Callable[[], object], ended: Callable[[], None]) -> None:
        self._shown = shown
        self._connect = connect
        self._ended = ended
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._attempt = _Attempt()
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
                if not self._start():
                    self.later()
                    return _PAUSE[1]
        return LONGEST

    def reach(self, deadline: float) -> None:
        """Wait for the attempt that is under way, or for one that begins now: this one asks once, and not in a loop.

        Args:
            deadline: on the steady clock.

        Raises:
            Unavailable: it failed, or was not over in time; it goes on then.
            ClosedError: no more attempts are made.
        """
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unavailable(f"not connected to {self._shown}, and there is no time to connect")
        with self._lock:
            if not self._stopped and self._thread is None and not self._start():
                raise Unavailable(f"not connected to {self._shown}, and the system has no thread for it")
            attempt = self._attempt
        ended = self._stopped or attempt.wait(left)
        if self._stopped:
            raise ClosedError("closed while connecting")
        if not ended:
            raise Unavailable(f"cannot connect to {self._shown} in {left:.3g} seconds")
        if isinstance(attempt.error, Unavailable):
            raise Unavailable(str(attempt.error)) from attempt.error
        if attempt.error is not None:
            raise Unavailable(f"cannot connect to {self._shown}: {text(attempt.error)}") from attempt.error

    def _start(self) -> bool:
        """Start an attempt, with the lock held. Whether the system has a thread for it."""
        attempt = _Attempt()
        thread = threading.Thread(target=self._try, args=(attempt,), name="treaty-kombu-redial", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.debug("no attempt to connect: %s", error)
            return False
        self._thread, self._attempt = thread, attempt
        return True

    def _try(self, attempt: _Attempt) -> None:
        try:
            self._connect()
        except TransportError as error:  # failing again is no news: the loss was reported
            log.debug("%s", error)
            attempt.error = error
            self.later()
        except Exception as error:
            log.debug("an attempt to connect failed", exc_info=True)
            attempt.error = error
            self.later()
        with self._lock:
            self._thread = None
        attempt.end()
        self._ended()

    def stop(self, patience: float = _GOODBYE) -> None:
        """Make no more attempts, and wait a moment for one that is under way. Who waits for it is let go.

        Args:
            patience: how long to wait, in seconds.
        """
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._attempt.end()
        if thread is not None:
            thread.join(patience)
