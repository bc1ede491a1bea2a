"""A connection that was lost, and who is still to hear of it before anything is sent on the next one.

Answers may be lost with it. Whoever waits for one is told so by ``receive``; were that told after something else was
sent on another connection, it would seem to be about that as well. It must not know wires.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from treaty import ConnectionLost, Unavailable

#: How long who has sent something, or has just been inside ``receive``, has to come (again): then nobody waits there.
_COMING: Final = 0.5


class Hearing:
    """Whether a loss is still to be told. Safe to share.

    Every loss is told to whoever is inside ``receive``, or comes before the next ``send``. How long that one waits for
    somebody to come is a guess: requests and frames are counted, but not every request is answered once.

    Args:
        lock: of what can be lost.
        receiving: is held while somebody is inside ``receive``.
    """

    def __init__(self, lock: threading.RLock, receiving: threading.Lock) -> None:
        self._lock = lock
        self._heard = threading.Condition(lock)
        self._receiving = receiving
        self._expected_until = 0.0
        self._owed = 0
        #: What nobody was told about yet.
        self.loss: ConnectionLost | None = None

    def sent(self) -> None:
        """Somebody sends something, and may come to wait for an answer."""
        with self._lock:
            self._owed += 1
        self.left()

    def came(self) -> None:
        """A frame has come."""
        self._owed = max(0, self._owed - 1)

    def left(self) -> None:
        """Somebody leaves ``receive``, and may come again."""
        self._expected_until = time.monotonic() + _COMING

    def lost(self, loss: ConnectionLost) -> None:
        """Have a loss told."""
        with self._lock:
            self.loss = loss

    def take(self) -> ConnectionLost | None:
        """Return what is still to be told, and have it told."""
        with self._lock:
            loss, self.loss = self.loss, None
            self._owed = 0
            self._heard.notify_all()
            return loss

    def tell(self) -> None:
        """Raise a loss that nobody was told about yet. Once."""
        loss = None if self.loss is None else self.take()
        if loss is not None:
            raise loss

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
            while self.loss is not None:
                now = time.monotonic()
                coming = self._expected_until - now if self._owed else 0.0
                if coming <= 0 and not self._receiving.locked():
                    self.loss, self._owed = None, 0
                    return
                if now >= deadline:
                    raise Unavailable(f"not sent, as who waits for answers is still to hear of it: {self.loss}")
                self._heard.wait(min(deadline - now, coming if coming > 0 else _COMING))
