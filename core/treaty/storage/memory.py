"""A store in memory: the smallest correct one, the one to copy, and the double to test with.

It forgets everything when it is closed. It must not know models or services.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import ClassVar, Final

import msgspec

from treaty.storage.errors import StoreUnavailable
from treaty.storage.lineage import Life, lost
from treaty.storage.planning import Outcome, identities, plan
from treaty.storage.records import PAGE, Batch, Change, Document, Entry, Identity, Page, Position, Standing
from treaty.storage.store import Store

#: How many changes a log holds unless it is told otherwise.
RETAIN: Final = 100_000


class MemoryStore(Store):
    """Keeps objects in this process, as JSON, so that nothing is shared with anybody.

    Args:
        retain: how many changes the log holds.
    """

    durable: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    def __init__(self, *, retain: int = RETAIN) -> None:
        self._retain = retain
        self._lock = threading.Lock()
        self._opened = False

    def __repr__(self) -> str:
        return f"<MemoryStore {'open' if self._opened else 'closed'}>"

    def open(self) -> None:
        with self._lock:
            self._epoch = os.urandom(8).hex()
            self._head = self._published = self._floor = 0
            self._objects: dict[Identity, tuple[int, bytes]] = {}
            self._keys: defaultdict[str, list[str]] = defaultdict(list)
            #: By sequence, oldest first.
            self._log: dict[int, bytes] = {}
            self._opened = True

    def close(self) -> None:
        with self._lock:
            self._opened = False
            self._objects, self._log, self._keys = {}, {}, defaultdict(list)

    def standing(self) -> Standing:
        with self._lock:
            return self._standing()

    def get(self, model: str, keys: Sequence[str]) -> dict[str, Entry]:
        with self._lock:
            self._check()
            found = {key: self._entry((model, key)) for key in keys}
        return {key: entry for key, entry in found.items() if entry is not None}

    def list(self, model: str, *, after: str = "", limit: int = PAGE) -> Sequence[Entry]:
        with self._lock:
            self._check()
            keys = self._keys[model]
            start = bisect_right(keys, after)
            found = [self._entry((model, key)) for key in keys[start : start + limit]]
        return [entry for entry in found if entry is not None]

    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        with self._lock:
            self._check()
            entries = {identity: self._entry(identity) for identity in identities(batches)}
            existing = {identity: entry for identity, entry in entries.items() if entry is not None}
            at = time.time_ns() // 1_000_000
            planned = plan(batches, existing, epoch=self._epoch, head=self._head, at=at)
            # Whatever cannot be encoded is refused here, before anything is kept.
            objects = {
                identity: _encode(entry.data) for identity, entry in planned.entries.items() if entry is not None
            }
            log = {change.sequence: _encode(change) for change in planned.changes}
            for identity, entry in planned.entries.items():
                self._keep(identity, entry, objects.get(identity))
            self._log |= log
            self._head += len(log)
            self._published = reached(self._published)
            self._prune()
        return planned.outcomes

    def note_published(self, reached: Callable[[int], int]) -> Standing:
        with self._lock:
            self._check()
            self._published = reached(self._published)
            return self._standing()

    def changes_since(self, position: Position, *, limit: int = PAGE) -> Page:
        with self._lock:
            self._check()
            lives = [Life(epoch=self._epoch, start=0)]
            why = lost(position, lives, floor=self._floor, head=self._head)
            if why is not None:
                return Page(epoch=self._epoch, head=self._head, lost=why)
            return self._page(position.sequence, limit)

    def changes_after(self, sequence: int, *, limit: int = PAGE) -> Page:
        with self._lock:
            self._check()
            return self._page(max(sequence, self._floor), limit)

    def _check(self) -> None:
        if not self._opened:
            raise StoreUnavailable("memory", "the store is closed")

    def _standing(self) -> Standing:
        self._check()
        return Standing(epoch=self._epoch, sequence=self._head, published=self._published)

    def _page(self, after: int, limit: int) -> Page:
        last = min(after + limit, self._head)
        changes = tuple(_CHANGE.decode(self._log[sequence]) for sequence in range(after + 1, last + 1))
        return Page(epoch=self._epoch, head=self._head, changes=changes, more=last < self._head)

    def _entry(self, identity: Identity) -> Entry | None:
        version, data = self._objects.get(identity, (0, b""))
        if not version:
            return None
        return Entry(model=identity[0], key=identity[1], version=version, data=_DOCUMENT.decode(data))

    def _keep(self, identity: Identity, entry: Entry | None, data: bytes | None) -> None:
        model, key = identity
        keys = self._keys[model]
        if entry is not None and data is not None:
            if identity not in self._objects:
                insort(keys, key)
            self._objects[identity] = (entry.version, data)
        elif self._objects.pop(identity, None) is not None:
            del keys[bisect_right(keys, key) - 1]

    def _prune(self) -> None:
        excess = self._head - self._floor - self._retain
        for sequence in list(islice(self._log, max(excess, 0))):
            del self._log[sequence]
            self._floor = sequence


_encode: Final = msgspec.json.Encoder().encode
_CHANGE: Final = msgspec.json.Decoder(Change)
_DOCUMENT: Final = msgspec.json.Decoder(Document)
