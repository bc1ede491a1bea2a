"""One inbox, and the threads that take turns at it: one receives, through broken connections, the others wait.

It must not know what a frame says or what is done about it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from treaty.errors import ClosedError, TransportError
from treaty.logs import logger
from treaty.transport import Delivery, Inbox

_LOG: Final = logger("treaty.service")
#: How long to wait before a broken connection is tried again.
_PAUSE: Final = 0.2


class Reception:
    """Takes deliveries from an inbox.

    Args:
        inbox: where they come from.
        counts: whether :attr:`waiting` is kept.
    """

    def __init__(self, inbox: Inbox, *, counts: bool = True) -> None:
        self._inbox = inbox
        self._counts = counts
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._broken = False
        self._leaving = False
        self._closing = threading.Event()
        #: How many threads receive or wait to.
        self.waiting = 0
        #: How many deliveries there were so far.
        self.received = 0

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child, to which the inbox does not belong."""
        return self._inbox.foreign

    @property
    def busy(self) -> bool:
        """Whether a thread receives just now."""
        return self._turn.locked()

    def receive(self, timeout: float) -> Delivery | None:
        """Wait for the turn of this thread, then up to ``timeout`` seconds for a delivery.

        Raises:
            ClosedError: the inbox was closed.
        """
        if self._counts:
            self._count(+1)
        try:
            with self._turn:
                # Whoever stops the service waits for the turn as well, behind those who came before.
                delivery = None if self._leaving else self._inbox.receive(timeout)
        except ClosedError:
            raise
        except Exception as error:
            # Whatever it is, also what a transport may not raise: it must not end the service.
            if not self._broken:
                _LOG.warning("the connection of a service was lost, and is tried again: %r", error)
            self._broken = True
            self._closing.wait(_PAUSE)
            return None
        finally:
            if self._counts:
                self._count(-1)
        if self._broken:
            self._broken = False
            _LOG.warning("the connection of a service is back")
        if delivery is not None:
            self.received += 1
        return delivery

    def rest(self) -> Iterator[Delivery]:
        """Yield what is there already; from now on nobody else receives."""
        self._leaving = True
        with self._turn:
            try:
                while (delivery := self._inbox.receive(0)) is not None:
                    yield delivery
            except (ClosedError, TransportError):
                return

    def close(self) -> None:
        """Close the inbox; whoever receives leaves."""
        self._closing.set()
        self._inbox.close()

    def _count(self, step: int) -> None:
        with self._counting:
            self.waiting += step
