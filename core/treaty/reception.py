"""One inbox, and the threads that take turns at it: one receives, through broken connections, the others wait. What a
transport raises, also where it may not, ends none of them.

It must not know what a frame says or what is done about it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Final

from treaty.errors import ClosedError, TreatyError
from treaty.logs import logger, tell
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
        except BaseException as error:
            # Whatever it is, also what a transport may not raise: it must not end the service.
            if not self._broken:
                tell(_LOG, logging.WARNING, "the connection of a service was lost, and is tried again: %r", error)
            self._broken = True
            self._closing.wait(_PAUSE)
            return None
        finally:
            if self._counts:
                self._count(-1)
        if self._broken:
            self._broken = False
            tell(_LOG, logging.WARNING, "the connection of a service is back")
        if delivery is not None:
            self.received += 1
        return delivery

    def rest(self) -> Iterator[Delivery]:
        """Yield what is there already; from now on nobody else receives."""
        self._leaving = True
        with self._turn:
            while (delivery := self._receive_at_once()) is not None:
                yield delivery

    def _receive_at_once(self) -> Delivery | None:
        try:
            return self._inbox.receive(0)
        except BaseException as error:
            if not isinstance(error, TreatyError):
                tell(_LOG, logging.ERROR, "what was left at a service could not be received", error=error)
            return None

    def close(self) -> None:
        """Close the inbox; whoever receives leaves."""
        self._closing.set()
        try:
            self._inbox.close()
        except Exception as error:
            tell(_LOG, logging.ERROR, "the inbox of a service could not be closed", error=error)

    def _count(self, step: int) -> None:
        with self._counting:
            self.waiting += step


def reply(delivery: Delivery, frame: bytes | None) -> bool:
    """Send a frame back, if there is one, and return whether it was sent: whatever the transport raises, the calling
    thread lives on.
    """
    if frame is None:
        return False
    try:
        delivery.reply(frame)
    except ClosedError:
        return False
    except TreatyError as error:
        tell(_LOG, logging.WARNING, "an answer could not be sent: %s", error)
        return False
    except BaseException as error:
        tell(_LOG, logging.ERROR, "an answer could not be sent, by a fault of the transport's", error=error)
        return False
    return True


def settle(delivery: Delivery, accepted: bool = True) -> None:
    """Give the place of a delivery free: whatever the transport raises, the calling thread lives on."""
    try:
        delivery.settle(accepted)
    except BaseException as error:
        tell(_LOG, logging.ERROR, "a request could not be settled, by a fault of the transport's", error=error)
