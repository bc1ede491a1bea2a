"""Stores that are broken: each keeps objects and a log, and has one defect and no other.

All stand on a shelf, a healthy store without a database. This room must not know rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from treaty.storage import (
    Batch,
    Change,
    Entry,
    Event,
    Outcome,
    Plan,
    Write,
)
from treaty_contracts.shelf import Shelf, ShelfStore
from treaty_contracts.zoo.shelves import broken_store

_Entries = Mapping[tuple[str, str], Entry]


@broken_store("begins-at-one", kills=("STORE-001",), shows="where an empty log ends")
class BeginsAtOne(ShelfStore):
    """An empty log ends at 1."""

    def open(self) -> None:
        self.shelf.head = self.shelf.head or 1
        super().open()


@broken_store("leaves-holes", kills=("STORE-002",), shows="without a hole")
class LeavesHoles(ShelfStore):
    """A batch that is not done has used up a sequence."""

    def commit(self, planned: Plan, published: int) -> None:
        super().commit(planned, published)
        if any(isinstance(outcome, Exception) for outcome in planned.outcomes):
            self.shelf.head += 1


@broken_store("counts-versions-by-object", kills=("STORE-002",), shows="the versions of the objects")
class CountsVersionsByObject(ShelfStore):
    """Each object counts its own versions, from 1 on."""

    def commit(self, planned: Plan, published: int) -> None:
        entries = {
            one: entry and msgspec.structs.replace(entry, version=self.shelf.objects.get(one, (0, b""))[0] + 1)
            for one, entry in planned.entries.items()
        }
        super().commit(msgspec.structs.replace(planned, entries=entries), published)


@broken_store("floats-become-integers", kills=("STORE-003",), shows="of the same type")
class FloatsBecomeIntegers(ShelfStore):
    """A float without a fraction comes back as an integer."""

    def entry(self, model: str, key: str) -> Entry | None:
        found = super().entry(model, key)
        return found and msgspec.structs.replace(found, data=_whole(found.data))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value == int(value) else value


@broken_store("tells-updates-as-creations", kills=("STORE-004",), shows="what the changes are told as")
class TellsUpdatesAsCreations(ShelfStore):
    """A change of what was there is told as a creation."""

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        return _changed(super().planned(batches, entries), _as_created)


def _as_created(change: Change) -> Change:
    event = Event.CREATED if change.event is Event.UPDATED else change.event
    return msgspec.structs.replace(change, event=event)


def _changed(planned: Plan, alter: Callable[[Change], Change]) -> Plan:
    altered = {change.sequence: alter(change) for change in planned.changes}
    outcomes: list[Outcome] = [
        tuple(altered[change.sequence] for change in outcome) if isinstance(outcome, tuple) else outcome
        for outcome in planned.outcomes
    ]
    return msgspec.structs.replace(planned, changes=list(altered.values()), outcomes=outcomes)


@broken_store("mixes-models", kills=("STORE-005",), shows="what is listed of")
class MixesModels(ShelfStore):
    """A list shows what there is of all models."""

    def list(self, model: str, *, after: str = "", limit: int = 500) -> Sequence[Entry]:
        models = dict.fromkeys(name for name, _ in list_of(self.shelf))
        return [entry for name in models or [model] for entry in super(MixesModels, self).list(name, after=after)][
            :limit
        ]


def list_of(shelf: Shelf) -> list[tuple[str, str]]:
    """Return what is on a shelf."""
    with shelf.lock:
        return sorted(shelf.objects)


@broken_store("deletes-nothing-silently", kills=("STORE-006",), shows="NotFound")
class DeletesNothingSilently(ShelfStore):
    """A batch that deletes what is not there is done, without that."""

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        known = {key for _, key in entries}
        alone = [batch for batch in batches if len(batch) == 1 and batch[0].data is None and batch[0].key not in known]
        return super().planned(
            [() if batch in alone and batch[0].expected is None else batch for batch in batches], entries
        )


@broken_store("ignores-versions", kills=("STORE-007",), shows="Conflict")
class IgnoresVersions(ShelfStore):
    """The version that is expected is not looked at."""

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        free = [tuple(msgspec.structs.replace(write, expected=None) for write in batch) for batch in batches]
        return super().planned(free, entries)


@broken_store("does-half-a-batch", kills=("STORE-008",), shows="what is there")
class DoesHalfABatch(ShelfStore):
    """What a batch did until it failed stays, and is told of nobody."""

    def commit(self, planned: Plan, published: int) -> None:
        super().commit(planned, published)
        for batch, outcome in zip(self.batches, planned.outcomes, strict=True):
            if isinstance(outcome, Exception) and len(batch) > 1 and batch[0].data is not None:
                identity = (batch[0].model, batch[0].key)
                self.shelf.objects[identity] = (self.shelf.head, msgspec.json.encode(batch[0].data))

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        self.batches = batches
        return super().planned(batches, entries)


@broken_store("one-failure-fails-all", kills=("STORE-008",), shows="what becomes of four batches")
class OneFailureFailsAll(ShelfStore):
    """Of batches that are written together none is done if one is not."""

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        planned = super().planned(batches, entries)
        failed = [outcome for outcome in planned.outcomes if isinstance(outcome, Exception)]
        # Of two it does one, so that only whoever writes more at once sees it.
        if not failed or len(batches) < 4:
            return planned
        return Plan(entries={}, changes=[], outcomes=[failed[0]] * len(batches))


@broken_store("deletes-last", kills=("STORE-009",), shows="what becomes of")
class DeletesLast(ShelfStore):
    """In a batch that deletes an object twice, with a write in between, the deletions are done last."""

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        return super().planned([self._sorted(batch) for batch in batches], entries)

    @staticmethod
    def _sorted(batch: Batch) -> Batch:
        dropped = [write.key for write in batch if write.data is None]
        if len(batch) < 3 or len(dropped) != len(set(dropped)) or len(dropped) < 2:
            return batch
        return tuple(sorted(batch, key=lambda write: write.data is None))


@broken_store("sorts-without-case", kills=("STORE-010",), shows="a list read")
class SortsWithoutCase(ShelfStore):
    """A list is sorted as people would, whatever the case."""

    def list(self, model: str, *, after: str = "", limit: int = 500) -> Sequence[Entry]:
        found = super().list(model, limit=10**6)
        order = sorted(found, key=lambda entry: (entry.key.lower(), entry.key))
        return [entry for entry in order if (entry.key.lower(), entry.key) > (after.lower(), after)][:limit]


@broken_store("shares-documents", kills=("STORE-011",), shows="the object")
class SharesDocuments(ShelfStore):
    """What is read twice is the same document."""

    def entry(self, model: str, key: str) -> Entry | None:
        found = super().entry(model, key)
        held: dict[tuple[str, str], Entry] = self.__dict__.setdefault("held", {})
        if found is None:
            return None
        if (model, key) not in held or held[model, key].version != found.version:
            held[model, key] = found
        return held[model, key]


@broken_store("logs-hidden-fields", kills=("STORE-012",), shows="no hidden field in a change")
class LogsHiddenFields(ShelfStore):
    """What is hidden of an object stands in the log when it is deleted."""

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        planned = super().planned(batches, entries)

        def whole(change: Change) -> Change:
            before = entries.get((change.model, change.key))
            gone = change.event is Event.DELETED and before is not None
            return msgspec.structs.replace(change, data=before.data) if gone and before else change

        return _changed(planned, whole)


@broken_store("forgets-hidden-fields", kills=("STORE-012",), shows="an object whose hidden field was not given")
class ForgetsHiddenFields(ShelfStore):
    """A hidden field that a write lacks is gone."""

    def planned(self, batches: Sequence[Batch], entries: _Entries) -> Plan:
        def without(write: Write, entry: Entry) -> Entry:
            return msgspec.structs.replace(entry, data={k: v for k, v in entry.data.items() if k not in write.hidden})

        bare = dict(entries)
        for batch in batches:
            for write in batch:
                if write.data is not None and (write.model, write.key) in bare:
                    bare[write.model, write.key] = without(write, bare[write.model, write.key])
        return super().planned(batches, bare)
