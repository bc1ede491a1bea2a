"""A store that outlives its objects, without a database: for rules that restart a service, and for the zoo.

It is written for this purpose and shares nothing with any store of Treaty but the plan of a batch. This room must not
know rules.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from treaty.storage import (
    Batch,
    Change,
    Entry,
    Outcome,
    Page,
    Plan,
    Position,
    Standing,
    Store,
    StoreUnavailable,
    identities,
    plan,
)


class Shelf:
    """The storage: what is there whoever has it open."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        #: The version and the document of each object, by model and key.
        self.objects: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.log: dict[int, bytes] = {}
        self.head = self.published = self.floor = 0
        #: Each epoch with the end of the log at its beginning.
        self.lives: list[tuple[str, int]] = []

    @property
    def epoch(self) -> str:
        """The present epoch."""
        return self.lives[-1][0]


class ShelfStore(Store):
    """A store on a shelf.

    Args:
        shelf: the storage.
        retain: how many changes its log holds.
    """

    durable: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def __init__(self, shelf: Shelf, *, retain: int = 2_000) -> None:
        self.shelf = shelf
        self.retain = retain
        self.opened = False

    def open(self) -> None:
        with self.shelf.lock:
            self.begin()
            self.opened = True

    def begin(self) -> None:
        """Begin an epoch."""
        self.shelf.lives.append((os.urandom(8).hex(), self.shelf.head))

    def close(self) -> None:
        self.opened = False

    def standing(self) -> Standing:
        with self.shelf.lock:
            self.check()
            return Standing(epoch=self.shelf.epoch, sequence=self.shelf.head, published=self.shelf.published)

    def get(self, model: str, keys: Sequence[str]) -> dict[str, Entry]:
        with self.shelf.lock:
            self.check()
            return {key: entry for key in keys if (entry := self.entry(model, key)) is not None}

    def list(self, model: str, *, after: str = "", limit: int = 500) -> Sequence[Entry]:
        with self.shelf.lock:
            self.check()
            keys = sorted(key for name, key in self.shelf.objects if name == model and key > after)
            return [entry for key in keys[:limit] if (entry := self.entry(model, key)) is not None]

    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        with self.shelf.lock:
            self.check()
            wanted = identities(batches)
            entries = {one: entry for one in wanted if (entry := self.entry(*one)) is not None}
            planned = self.planned(batches, entries)
            self.commit(planned, reached(self.shelf.published))
            return planned.outcomes

    def planned(self, batches: Sequence[Batch], entries: Mapping[tuple[str, str], Entry]) -> Plan:
        """Say what batches do."""
        return plan(batches, entries, epoch=self.shelf.epoch, head=self.shelf.head, at=0)

    def commit(self, planned: Plan, published: int) -> None:
        """Write a plan, all of it or nothing."""
        encode, shelf = msgspec.json.encode, self.shelf
        objects = {
            one: None if entry is None else (entry.version, encode(entry.data))
            for one, entry in planned.entries.items()
        }
        log = {change.sequence: encode(change) for change in planned.changes}
        for one, kept in objects.items():
            if kept is None:
                shelf.objects.pop(one, None)
            else:
                shelf.objects[one] = kept
        shelf.log |= log
        shelf.head += len(log)
        shelf.published = published
        self.prune()

    def prune(self) -> None:
        """Let go of what is more than the log holds."""
        for sequence in sorted(self.shelf.log)[: max(0, len(self.shelf.log) - self.retain)]:
            del self.shelf.log[sequence]
            self.shelf.floor = sequence

    def note_published(self, reached: Callable[[int], int]) -> Standing:
        with self.shelf.lock:
            self.check()
            self.shelf.published = reached(self.shelf.published)
            return self.standing()

    def changes_since(self, position: Position, *, limit: int = 500) -> Page:
        with self.shelf.lock:
            self.check()
            why = self.lost(position)
            if why:
                return Page(epoch=self.shelf.epoch, head=self.shelf.head, lost=why)
            return self.changes_after(position.sequence, limit=limit)

    def lost(self, position: Position) -> Any:
        """Say why nobody can go on from a position, or nothing."""
        lives, ends = self.shelf.lives, [start for _, start in self.shelf.lives[1:]]
        for (epoch, start), end in zip(lives, [*ends, self.shelf.head], strict=True):
            if epoch == position.epoch and start <= position.sequence <= end:
                return "pruned" if position.sequence < self.shelf.floor else None
        return "history"

    def changes_after(self, sequence: int, *, limit: int = 500) -> Page:
        with self.shelf.lock:
            self.check()
            chosen = [one for one in sorted(self.shelf.log) if one > sequence][:limit]
            changes = tuple(msgspec.json.decode(self.shelf.log[one], type=Change) for one in chosen)
            last = chosen[-1] if chosen else self.shelf.head
            return Page(epoch=self.shelf.epoch, head=self.shelf.head, changes=changes, more=last < self.shelf.head)

    def entry(self, model: str, key: str) -> Entry | None:
        """Return an object."""
        found = self.shelf.objects.get((model, key))
        if found is None:
            return None
        return Entry(model=model, key=key, version=found[0], data=msgspec.json.decode(found[1]))

    def check(self) -> None:
        """Refuse to work while closed."""
        if not self.opened:
            raise StoreUnavailable("shelf", "the store is closed")
