"""Stores that are broken in their log, in their life, or where something goes wrong. Each has one defect and no other.

All stand on a shelf, a healthy store without a database. This room must not know rules.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from treaty.storage import (
    Batch,
    Entry,
    Outcome,
    Page,
    Plan,
    Position,
    plan,
)
from treaty_contracts.shelf import Shelf, ShelfStore
from treaty_contracts.zoo.shelves import broken_store

_Entries = Mapping[tuple[str, str], Entry]


@broken_store("never-says-more", kills=("STORE-013",), shows="count, more, head, lost")
class NeverSaysMore(ShelfStore):
    """No page says that there is more."""

    def changes_after(self, sequence: int, *, limit: int = 500) -> Page:
        return msgspec.structs.replace(super().changes_after(sequence, limit=limit), more=False)


@broken_store("ignores-epochs", kills=("STORE-014",), shows="lost, changes")
class IgnoresEpochs(ShelfStore):
    """Only the sequence of a position is looked at."""

    def lost(self, position: Position) -> Any:
        if position.sequence > self.shelf.head:
            return "history"
        return "pruned" if position.sequence < self.shelf.floor else None


@broken_store("never-prunes", kills=("STORE-015",), shows="changes in the log")
class NeverPrunes(ShelfStore):
    """The log grows and grows."""

    def prune(self) -> None:
        return


@broken_store("prunes-silently", kills=("STORE-015",), shows="why nobody can go on")
class PrunesSilently(ShelfStore):
    """That the log was pruned is not remembered."""

    def prune(self) -> None:
        super().prune()
        self.shelf.floor = 0


@broken_store("forgets-what-is-published", kills=("STORE-016",), shows="after a write that says nothing")
class ForgetsWhatIsPublished(ShelfStore):
    """A write that says nothing about it resets how far the log is published."""

    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        return super().write(batches, reached=(lambda _: 0) if reached is int else reached)


@broken_store("keeps-its-epoch", kills=("STORE-017",), shows="an epoch that is none of")
class KeepsItsEpoch(ShelfStore):
    """The epoch is made with the storage, once."""

    def begin(self) -> None:
        if not self.shelf.lives:
            super().begin()


@broken_store("commits-out-of-order", kills=("STORE-018",), shows="without a hole")
class CommitsOutOfOrder(ShelfStore):
    """Every fifth batch is seen by readers only when the next one has been written."""

    def changes_after(self, sequence: int, *, limit: int = 500) -> Page:
        page = super().changes_after(sequence, limit=limit)
        late = [one for one in page.changes if one.key == "shared" and one.sequence + 3 > page.head]
        return msgspec.structs.replace(page, changes=tuple(one for one in page.changes if one not in late))


@broken_store("forgets-on-reopen", kills=("STORE-019",), shows="where the log ends")
class ForgetsOnReopen(ShelfStore):
    """Whoever opens it finds nothing, though it says that it is durable."""

    def close(self) -> None:
        super().close()
        lives = self.shelf.lives
        self.shelf.__dict__.update(Shelf().__dict__, lives=lives[:0])


@broken_store("forgets-where-epochs-ended", kills=("STORE-020",), shows="lost and changes from")
class ForgetsWhereEpochsEnded(ShelfStore):
    """An epoch that is over is taken to have come as far as the log."""

    def lost(self, position: Position) -> Any:
        for epoch, start in self.shelf.lives:
            if epoch == position.epoch and start <= position.sequence <= self.shelf.head:
                return "pruned" if position.sequence < self.shelf.floor else None
        return "history"


@broken_store("counts-by-itself", kills=("STORE-021",), shows="how many changes that were")
class CountsByItself(ShelfStore):
    """The last sequence is remembered from when it was opened, and not looked up."""

    def open(self) -> None:
        super().open()
        self.counted = self.shelf.head

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        return plan(batches, entries, epoch=self.shelf.epoch, head=self.counted, at=0)

    def commit(self, planned: Plan, published: int) -> None:
        super().commit(planned, published)
        self.counted += len(planned.changes)


class _Passing(ShelfStore):
    durable = False

    def close(self) -> None:
        super().close()
        if "objects" not in self.keeps:
            self.shelf.objects.clear()
        self.shelf.log.clear()
        self.shelf.head = self.shelf.published = self.shelf.floor = 0
        self.shelf.lives.clear()

    keeps: tuple[str, ...] = ()


@broken_store("keeps-objects-only", kills=("STORE-022",), shows="of a store that was opened anew")
class KeepsObjectsOnly(_Passing):
    """It says that it forgets everything, and forgets all but the objects."""

    keeps = ("objects",)


@broken_store("shares-without-saying", kills=("STORE-023",), shows="where the first one stands")
class SharesWithoutSaying(ShelfStore):
    """It says that it is not shared, and whoever opens it as well writes into it."""

    shared = False


@broken_store("leaves-what-failed", kills=("STORE-024",), shows="as they were before")
class LeavesWhatFailed(ShelfStore):
    """Objects are written one by one, and those before the one that fails stay."""

    def commit(self, planned: Plan, published: int) -> None:
        for one, entry in planned.entries.items():
            if entry is not None:
                self.shelf.objects[one] = (entry.version, msgspec.json.encode(entry.data))
        super().commit(planned, published)


@broken_store("works-when-closed", kills=("STORE-025",), shows="StoreUnavailable")
class WorksWhenClosed(ShelfStore):
    """Nothing looks whether it is open."""

    def check(self) -> None:
        if not self.shelf.lives:
            super().check()


@broken_store("store-leaves-a-thread", kills=("STORE-026",), shows="no threads and files")
class LeavesAThread(ShelfStore):
    """A thread that was begun at open goes on."""

    def open(self) -> None:
        super().open()
        name = f"broken-store-{next(_NUMBERS)}"
        threading.Thread(target=threading.Event().wait, name=name, daemon=True).start()


_NUMBERS = count(1)
_OPEN: list[Any] = []


@broken_store("store-leaves-a-file", kills=("STORE-026",), shows="no threads and files")
class LeavesAFile(ShelfStore):
    """A file that was opened stays open."""

    def open(self) -> None:
        super().open()
        handle, name = tempfile.mkstemp()
        Path(name).unlink()
        _OPEN.append(os.fdopen(handle))


@broken_store("raises-in-its-own-words", kills=("STORE-027",), shows="or a TreatyError")
class RaisesInItsOwnWords(ShelfStore):
    """A key that the database cannot hold is refused in the words of the driver."""

    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        if any("\0" in write.key for batch in batches for write in batch):
            raise ValueError("embedded null byte")
        return super().write(batches, reached=reached)
