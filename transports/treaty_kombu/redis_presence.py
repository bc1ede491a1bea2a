"""Redis: an inbox says that it is there, for as long as it is. Redis makes a list for any name, so no list can tell a
misspelt service from an idle one. This room must not know who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from .link import Pulse
from .redis_wire import Wire
from .settings import Settings

#: An inbox says so often that it is there, and is forgotten so long after it stopped saying so.
_EVERY: Final = 0.75
PRESENT_FOR: Final = 3.0
#: Requests vanish so long after the last push and the last sign of life: when each line had its chance to look.
KEPT_FOR: Final = 6.0


def presence(settings: Settings, service: str) -> str:
    """The key that is there as long as somebody serves."""
    return settings.own_name("alive", service)


class Presence:
    """The presence of one inbox.

    Args:
        key: see :func:`presence`.
        queue: what it takes from, and keeps alive.
        token: of the inbox: several may serve.
        turn: gives the connection for commands, for so many seconds at most, to one thread at a time.
    """

    def __init__(self, key: str, queue: str, token: str, turn: Callable[[float], AbstractContextManager[Wire]]) -> None:
        self._words: Final = (
            ("SADD", key, token),
            ("PEXPIRE", key, int(PRESENT_FOR * 1000)),
            ("PEXPIRE", queue, int(KEPT_FOR * 1000)),
        )
        #: What takes it back.
        self.farewell: Final = ("SREM", key, token)
        self._turn = turn
        self._pulse: Pulse | None = None
        self._over = False

    def begin(self, timeout: float) -> None:
        """Say it once, within ``timeout`` seconds, and then every so often. Raises ``Unavailable``."""
        self._say(timeout)
        self._pulse = Pulse("presence", _EVERY, self._beat)

    def _beat(self) -> None:
        # No longer than until the next one: others may want the connection, and one who closes waits for this.
        self._say(_EVERY)

    def _say(self, timeout: float) -> None:
        with self._turn(timeout) as asking:
            if not self._over:
                asking.ask(timeout, *self._words)

    def end(self) -> None:
        """Say it no more: from the next turn on."""
        self._over = True

    def stop(self) -> None:
        """Wait until the thread is gone."""
        if self._pulse is not None:
            self._pulse.stop()
