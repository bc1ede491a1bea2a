"""What a transaction does, worked out before anything is written: versions, conflicts, events, the log.

This room must not know databases, threads or clocks. Every store uses it, so that all of them agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from treaty.storage.errors import Conflict, NotFound, StorageError
from treaty.storage.records import Batch, Change, Document, Entry, Event, Identity, Write

#: What became of a batch: its changes, or why it was not done.
Outcome: TypeAlias = tuple[Change, ...] | StorageError


class Plan(Struct, frozen=True, kw_only=True):
    """What to write. ``entries`` holds the objects that become different, ``None`` for those that go."""

    entries: dict[Identity, Entry | None]
    changes: list[Change]
    #: One for each batch.
    outcomes: list[Outcome]


def identities(batches: Sequence[Batch]) -> list[Identity]:
    """Return which objects the batches are about: what :func:`plan` has to be told of. Each once, in order."""
    return list(dict.fromkeys((write.model, write.key) for batch in batches for write in batch))


def plan(batches: Sequence[Batch], existing: Mapping[Identity, Entry], *, epoch: str, head: int, at: int) -> Plan:
    """Work out what several batches do, one after the other; each is done wholly, or leaves no trace.

    Args:
        batches: what is asked for.
        existing: the objects that are there now.
        epoch: the present epoch.
        head: the last sequence in the log.
        at: the present, in milliseconds since the Unix epoch.
    """
    entries: dict[Identity, Entry | None] = {}
    changes: list[Change] = []
    outcomes: list[Outcome] = []
    for batch in batches:
        tried: dict[Identity, Entry | None] = {}
        made: list[Change] = []
        try:
            for write in batch:
                identity = (write.model, write.key)
                known = tried if identity in tried else entries if identity in entries else existing
                before = known.get(identity)
                sequence = head + len(changes) + len(made) + 1
                after, change = _apply(write, before, epoch=epoch, sequence=sequence, at=at)
                tried[identity] = after
                made.append(change)
        except StorageError as error:
            outcomes.append(error)
        else:
            entries |= tried
            changes += made
            outcomes.append(tuple(made))
    return Plan(entries=entries, changes=changes, outcomes=outcomes)


def _apply(write: Write, before: Entry | None, *, epoch: str, sequence: int, at: int) -> tuple[Entry | None, Change]:
    actual = before.version if before else 0
    if write.expected is not None and write.expected != actual:
        raise Conflict(write.model, write.key, write.expected, actual)
    after: Entry | None
    if write.data is None:
        if before is None:
            raise NotFound(write.model, write.key)
        after, event, shown = None, Event.DELETED, before.data
    else:
        data = _with_kept(write, before)
        after = Entry(model=write.model, key=write.key, version=sequence, data=data)
        event, shown = Event.UPDATED if before else Event.CREATED, data
    change = Change(
        epoch=epoch,
        sequence=sequence,
        event=event,
        model=write.model,
        key=write.key,
        data=_without(shown, write.hidden),
        at=at,
    )
    return after, change


def _with_kept(write: Write, before: Entry | None) -> Document:
    assert write.data is not None
    if before is None or not write.hidden:
        return write.data
    kept = {name: before.data[name] for name in write.hidden if name not in write.data and name in before.data}
    return {**write.data, **kept} if kept else write.data


def _without(document: Document, hidden: tuple[str, ...]) -> Document:
    if not hidden:
        return document
    return {name: value for name, value in document.items() if name not in hidden}
