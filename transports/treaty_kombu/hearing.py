"""A connection that was lost, and who is still to hear of it before anything is sent on the next one.

Answers may be lost with it. Whoever waits for one is told so by ``receive``; were that told after something else was
sent on another connection, it would seem to be about that as well. It must not know wires.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from treaty import ConnectionLost, Unavailable

#: How long a loss waits for whoever waits for answers: one that is between two waits is back by then.
_HEARING: Final = 0.25


class Hearing:
    """Whether a loss is still to be told. Safe to share.

    Args:
        lock: of what can be lost.
        receiving: is held while somebody is inside ``receive``.
    """

    def __init__(self, lock: threading.RLock, receiving: threading.Lock) -> None:
        self._lock = lock
        self._heard = threading.Condition(lock)
        self._receiving = receiving
        self._lost_at = 0.0
        #: What nobody was told about yet.
        self.loss: ConnectionLost | None = None
        #: About how many answers are still to come.
        self.owed = 0

    def lost(self, loss: ConnectionLost) -> None:
        """Have a loss told."""
        with self._lock:
            self.loss, self._lost_at = loss, time.monotonic()

    def take(self) -> ConnectionLost | None:
        """Return what to raise in ``receive``, once."""
        with self._lock:
            loss, self.loss = self.loss, None
            self.owed = 0
            self._heard.notify_all()
            return loss

    @contextmanager
    def owing(self) -> Iterator[None]:
        """An answer is to come for what is sent in the block, if nothing is raised there."""
        with self._lock:
            self.owed += 1
        try:
            yield
        except BaseException:
            self.came()
            raise

    def came(self) -> None:
        """An answer has come."""
        with self._lock:
            self.owed = max(0, self.owed - 1)

    def wait(self, deadline: float) -> None:
        """Wait until whoever waits for answers has heard of a loss. If nobody comes in a moment, nobody waits.

        Args:
            deadline: on the steady clock.

        Raises:
            Unavailable: not heard in time.
        """
        if self.loss is None:
            return
        with self._lock:
            while self.loss is not None and (self._receiving.locked() or self.owed):
                now = time.monotonic()
                if now >= deadline:
                    raise Unavailable(f"not sent, as who waits for answers is still to hear of it: {self.loss}")
                if now >= self._lost_at + _HEARING and not self._receiving.locked():
                    break
                self._heard.wait(min(deadline - now, _HEARING))
            if self.loss is not None:
                self.loss, self.owed = None, 0
