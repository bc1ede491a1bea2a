"""The memory of ids: an id that was seen before never gets through again while it could still be fresh.

It knows nothing of seals or handlers, and reads no clock: times are milliseconds since the epoch, and ``steady`` is
seconds on a clock that nobody sets. A wall clock that jumps ahead and is set right would otherwise bring back what was
forgotten meanwhile. Memory is bounded by time and by count. When it is full, the ids that came first make room, and from then on whatever is as old as they were
is turned away: nobody could tell any more whether it was seen.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from math import inf

#: How many ids are remembered at once by default.
CAPACITY = 262_144
#: Ids are forgotten by the page, of which a full memory has so many.
_PAGES = 64
#: For how long an id is kept beyond its time, at least.
_LONGER_MS = 1000


class Admission(Enum):
    """What the guard says of an id."""

    NEW = "new"
    SEEN = "seen"
    FULL = "full"


class _Page:
    """Ids that came one after the other, and are forgotten together."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.created = 0  # the latest of their messages
        self.expires = 0
        self.over = -inf  # the same on the steady clock


class Guard:
    """Remembers each id until its own message has expired, on both clocks, or until so many came after it that there is no more room.

    Args:
        capacity: how many ids at most. n ids at c calls a second reach back for n / c seconds: what is under way for
            longer than that, and has not expired, is turned away.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._size = max(1, capacity // _PAGES)
        self._ids: set[str] = set()
        self._pages: deque[_Page] = deque()
        #: Up to here, ids may have been forgotten that are still fresh.
        self._reach = -1

    def __len__(self) -> int:
        return len(self._ids)

    def admit(self, identifier: str, created: int, expires: int, now: int, steady: float) -> Admission:
        """Enter an id, unless it is there, or is so old that it may have been.

        Args:
            identifier: as it stands in a message whose tag held.
            created: when the message was made, by the clock of whoever made it.
            expires: when the message can no longer be fresh. The id is kept for at least a second longer, as long as
                there is room.
            now: the present, by the wall clock.
            steady: the present, by the steady one. What is left of the message's time passes on both before the id is
                forgotten.
        """
        while (
            self._pages
            and self._pages[0].expires + _LONGER_MS < now
            and self._pages[0].over + _LONGER_MS / 1000 < steady
        ):
            self._ids.difference_update(self._pages.popleft().ids)
        if identifier in self._ids:
            return Admission.SEEN
        full = len(self._ids) >= self._capacity
        reach = max(self._reach, self._pages[0].created) if full else self._reach
        if created <= reach:
            return Admission.FULL
        if full:
            self._reach = reach
            self._ids.difference_update(self._pages.popleft().ids)
        if not self._pages or len(self._pages[-1].ids) >= self._size:
            self._pages.append(_Page())
        page = self._pages[-1]
        page.ids.append(identifier)
        page.created = max(page.created, created)
        page.expires = max(page.expires, expires)
        page.over = max(page.over, steady + (expires - now) / 1000)
        self._ids.add(identifier)
        return Admission.NEW
