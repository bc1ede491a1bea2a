"""Requests that nobody takes go back to their callers: at once, or as soon as there is room on the way.

This room is bookkeeping about peers. It must not know sockets: it is told how to send, and never waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from .port import Sent

#: How many are kept for callers that do not read: a stranger must not fill the memory. Calls of whoever has more than
#: that open, and does not read, end at their deadlines.
MOST: Final = 10_000


class Refusals:
    """What is owed to callers of one endpoint. Not safe for threads: lock around it."""

    def __init__(self, send: Callable[[bytes, bytes, bytes], Sent]) -> None:
        self._send = send
        self._owed: dict[bytes, deque[tuple[bytes, bytes]]] = {}
        self._count = 0

    @property
    def owes(self) -> bool:
        """Whether some are still to be sent."""
        return bool(self._owed)

    def add(self, peer: bytes, word: bytes, head: bytes) -> None:
        """Send the beginning of a request back to its peer, with the word that says why; now or later."""
        if peer not in self._owed and self._send(peer, word, head) is not Sent.NO_ROOM:
            return
        if self._count < MOST:
            self._owed.setdefault(peer, deque()).append((word, head))
            self._count += 1

    def catch_up(self) -> None:
        """Send what there is room for by now."""
        for peer, owed in list(self._owed.items()):
            while owed and (sent := self._send(peer, *owed[0])) is not Sent.NO_ROOM:
                gone = len(owed) if sent is Sent.GONE else 1
                for _ in range(gone):
                    owed.popleft()
                self._count -= gone
            if not owed:
                del self._owed[peer]
