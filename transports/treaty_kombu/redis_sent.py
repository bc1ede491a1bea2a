"""What a line on Redis has sent lately, and what it takes back from services that have gone.

Redis makes a list for any name, so a request can wait where nobody serves any more. It must not know who reads replies.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from treaty import TransportError

from .envelope import unpack
from .link import log, text
from .redis_presence import presence
from .redis_wire import Wire, pass_on
from .settings import Settings

#: A line looks so often whether the services that it sent to are still there, for so long after it last sent to one.
ASK_EVERY: Final = 1.0
_ASK_FOR: Final = 60.0
#: How long to wait at least for what is taken back: without the answer nobody knows what that was.
_REMOVED: Final = 1.0
#: How many waiting requests a line looks at in one go, and about how many bytes: they come here, and go back to say which.
_SOME: Final = 100
_BYTES: Final = 1_000_000


class Sent:
    """The services that a line sent to, and the requests that came back from them.

    Args:
        settings: where its queues are.
        address: of the line: what carries it is ours.
        turn: gives the connection for commands, for so many seconds at most, to one thread at a time.
    """

    def __init__(self, settings: Settings, address: str, turn: Callable[[float], AbstractContextManager[Wire]]) -> None:
        self._settings = settings
        self._address = address
        self._turn = turn
        self._services: dict[str, float] = {}  # when we last sent to each; changed by who has the turn
        self._ask_at = 0.0
        #: Frames that nobody took.
        self.returned: deque[bytes] = deque()

    def note(self, service: str) -> None:
        """Something goes to a service. Called by who has the turn."""
        now = time.monotonic()
        if not self._services:
            self._ask_at = now + ASK_EVERY  # most are answered by then
        self._services[service] = now

    def look(self, timeout: float) -> None:
        """Take back what waits for services that have gone since we sent it, if it is time to look.

        When it is time depends on the last look alone: a reader may wait in slices, however short.

        Args:
            timeout: seconds to wait for the connection.
        """
        now = time.monotonic()
        if now < self._ask_at:
            return
        self._ask_at = now + ASK_EVERY
        if not self._services:
            return
        try:
            with self._turn(timeout) as asking:
                self._services = {service: at for service, at in self._services.items() if at > now - _ASK_FOR}
                services = list(self._services)
                look = (("EXISTS", presence(self._settings, service)) for service in services)
                there = asking.ask(timeout, *look)
                for service, present in zip(services, there, strict=True):
                    if not present:
                        self._take_back(asking, self._settings.service_queue(service), timeout)
        except TransportError as error:  # whoever sends or receives next reports it, if it lasts
            pass_on(error)
            log.debug("looking after what was sent: %s", text(error))

    def _take_back(self, asking: Wire, queue: str, timeout: float) -> None:
        """Remove what is ours from a list. With the turn, so that all of it was sent before we looked."""
        start, some, until = 0, 1, time.monotonic() + timeout
        while items := asking.ask(timeout, ("LRANGE", queue, start, start + some - 1), least=_REMOVED)[0]:
            found = [(item, unpack(item, self._settings.max_frame)) for item in items]
            ours = [(item, arrived.frame) for item, arrived in found if arrived and arrived.reply_to == self._address]
            removed = asking.ask(timeout, *(("LREM", queue, 1, item) for item, _ in ours), least=_REMOVED)
            # What is no longer there was taken by an inbox that has come just now.
            self.returned.extend(frame for (_, frame), count in zip(ours, removed, strict=True) if count)
            start += len(items) - sum(removed)
            if time.monotonic() > until:
                self._ask_at = 0.0  # whoever looks next goes on
                return
            some = max(1, min(_SOME, _BYTES * len(items) // sum(map(len, items))))
