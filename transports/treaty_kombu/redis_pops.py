"""Redis: what an end takes out of its list, on a connection of its own, where one pop at most is under way.

What was popped is in our hands only, so a pop is never left under way without somebody to take its answer. This room
must not know what is popped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from treaty import ConnectionLost

from .hearing import Hearing
from .link import Whole
from .redis_wire import SOON, Wire, pass_on
from .settings import Settings

#: The longest that one blocking pop lasts at the server: a dead connection shows when its answer is overdue.
POP: Final = 1.0
#: And the shortest: one that rounds to nothing lasts for ever. With less time than this a pop does not wait.
_SHORTEST: Final = 0.001
#: How often a reader looks up from the socket, in case nothing else tells it that the end was closed.
_LOOK: Final = 0.25


class Pops:
    """The pops of one end. Who is inside ``receive`` owns them; ``stands`` is for anybody.

    Args:
        settings: where the server is.
        wire: their connection.
        keys: the list, and another one, in which anything ends a pop.
        lock: held by who looks at the connection while no pop is under way, and until there is one.
        hearing: where a loss is told that shows while nobody is inside ``receive``, if it is to be told.
        closing: whether the end is being closed.
        nudge: lets the pop that is under way end now; without it its answer may wait in our socket for the next reader.
    """

    def __init__(
        self,
        settings: Settings,
        wire: Wire,
        keys: tuple[str, str],
        lock: threading.RLock,
        hearing: Hearing | None,
        closing: Callable[[], bool],
        nudge: Callable[[], None] | None,
    ) -> None:
        self.wire: Final = wire
        self._settings = settings
        self._source, self._wake = keys
        self._lock = lock
        self._hearing = hearing
        self._closing = closing
        self._nudge = nudge
        self._sent_at: float | None = None  # when the pop that is under way was sent
        self._patient_until = 0.0  # and how long its answer is waited for at least
        self._early: deque[bytes] = deque()  # what was popped while nobody was inside receive

    @property
    def under_way(self) -> bool:
        """Whether one was sent whose answer was not read yet."""
        return self._sent_at is not None

    @property
    def busy(self) -> bool:
        """Whether something was popped, or may be."""
        return bool(self._early) or self.under_way

    def stands(self) -> bool:
        """Look what became of the connection while nobody was inside ``receive``. Whether it stands."""
        with self._lock:
            try:
                if self.under_way and self.wire.arrives(0):
                    item = self._read()
                    if item is not None:
                        self._early.append(item)
                if self.wire.live and not self.under_way:
                    self.wire.check_idle()
                    if not self.wire.live:
                        self._owe_a_loss()
            except Exception as error:  # the end of the connection was read, which is told
                pass_on(error)
            return self.wire.live

    def take(self, deadline: float) -> bytes | None:
        """What was popped. ``None``: nothing, or nothing yet and the time is up. Raises whatever the driver raises."""
        if self._early:
            return self._early.popleft()
        if not self.under_way:
            self._begin(max(0.0, deadline - time.monotonic()))
        return self._answer(deadline)

    def _begin(self, timeout: float) -> None:
        now = time.monotonic()
        # A pop that does not wait is answered at once.
        self._patient_until = now + (SOON if timeout < _SHORTEST else 0.0)
        with self._lock, Whole(self._spoil):
            if timeout < _SHORTEST:
                self.wire.write(("RPOP", self._source))
            else:
                self.wire.write(("BRPOP", self._source, self._wake, f"{min(timeout, POP):.3f}"))
            self._sent_at = now

    def _answer(self, deadline: float) -> bytes | None:
        sent = self._sent_at or 0.0
        until, nudged = max(deadline, self._patient_until), False
        while not self.wire.arrives(max(0.0, min(until - time.monotonic(), _LOOK))):
            now = time.monotonic()
            if self._closing():
                return None  # who closes takes the answer
            if now > sent + POP + self._settings.io_timeout:
                raise TimeoutError("no answer to a pop")
            if now >= until:
                if nudged or self._nudge is None:
                    return None
                nudged = True
                self._nudge()
                until = time.monotonic() + SOON
        return self._read()

    def rest(self) -> bytes | None:
        """What a pop took that is under way still, for who closes. Raises whatever the driver raises."""
        return self._read() if self.under_way and self.wire.arrives(SOON) else None

    def lost(self, error: Exception) -> ConnectionLost:
        """Drop the connection and return what to raise in ``receive``."""
        with self._lock:
            self._sent_at = None
            if self._hearing is not None:
                self._hearing.take()  # with this it is told
            return self.wire.lost(error)

    def _read(self) -> bytes | None:
        with self._lock:
            if not self.under_way:
                return None  # who sends has read it just now
            with Whole(self._spoil):
                answer = self.wire.read()
                self._sent_at = None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, list):
            key, answer = answer
            if key == self._wake.encode():
                return None
        return answer if isinstance(answer, bytes) else None

    def _spoil(self, _: BaseException) -> None:
        with self._lock:
            self._sent_at = None
            self.wire.drop()
            self._owe_a_loss()

    def _owe_a_loss(self) -> None:
        # Answers wait at the server, so they are lost only if it is, or if one was being read: but who knows?
        if self._hearing is not None:
            self._hearing.lost(ConnectionLost(f"the connection to {self._settings.shown} broke"))
