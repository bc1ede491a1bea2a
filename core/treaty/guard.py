"""The memory of ids: an id that was seen before never gets through again while it could still be fresh.

It knows nothing of seals or handlers, and reads no clock: times are milliseconds since the epoch. Memory is bounded by
time (whole buckets are dropped) and by count; when it is full, new ids are turned away, and none is forgotten.
"""

from __future__ import annotations

from enum import Enum

_BUCKET_MS = 1000
#: How many ids are remembered at once by default.
CAPACITY = 262_144


class Admission(Enum):
    """What the guard says of an id."""

    NEW = "new"
    SEEN = "seen"
    FULL = "full"


class Guard:
    """Remembers each id until its own message has expired.

    Args:
        capacity: how many ids at most. With a deadline of 10 s, n ids allow n / 10 calls a second.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._ids: set[str] = set()
        self._buckets: dict[int, list[str]] = {}
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._ids)

    def admit(self, identifier: str, expires: int, now: int) -> Admission:
        """Enter an id, unless it is there or there is no room.

        Args:
            identifier: as it stands in a message whose tag held.
            expires: when the message can no longer be fresh. The id is kept for at least a second longer.
            now: the present.
        """
        if now // _BUCKET_MS >= self._oldest and self._buckets:
            self._forget(now // _BUCKET_MS)
        if identifier in self._ids:
            return Admission.SEEN
        if len(self._ids) >= self._capacity:
            return Admission.FULL
        number = expires // _BUCKET_MS + 2
        bucket = self._buckets.get(number)
        if bucket is None:
            self._oldest = min(self._oldest, number) if self._buckets else number
            bucket = self._buckets[number] = []
        bucket.append(identifier)
        self._ids.add(identifier)
        return Admission.NEW

    def _forget(self, present: int) -> None:
        for bucket in [bucket for bucket in self._buckets if bucket <= present]:
            self._ids.difference_update(self._buckets.pop(bucket))
        self._oldest = min(self._buckets, default=0)
