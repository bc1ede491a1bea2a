"""The judges of stores: what was written is held against what is there, and what the log says against both.

Pure functions over records; the model is a plain dict, written from the words of the interface alone. This room must
not know stores, threads or clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from treaty.storage import Batch, Change, Conflict, NotFound, Write
from treaty_contracts.expect import shown
from treaty_contracts.judging import Verdict, alike

#: Objects by key: the version and the fields of each.
Objects: TypeAlias = Mapping[str, tuple[int, Mapping[str, Any]]]


class Expected(NamedTuple):
    """What must come of some batches."""

    objects: dict[str, tuple[int, dict[str, Any]]]
    #: For each batch the events and keys of its changes, or the class of the error.
    outcomes: list[list[tuple[str, str]] | type[Exception]]


def expected(batches: Sequence[Batch], objects: Objects, head: int) -> Expected:
    """Say what must come of batches, one after the other, on these objects, when the log ends at ``head``."""
    state = {key: (version, dict(data)) for key, (version, data) in objects.items()}
    outcomes: list[list[tuple[str, str]] | type[Exception]] = []
    for batch in batches:
        tried, events, failed = dict(state), list[tuple[str, str]](), None
        for number, write in enumerate(batch, head + 1):
            event = _done(write, tried, number)
            if isinstance(event, type):
                failed = event
                break
            events.append((event, write.key))
        if failed is not None:
            outcomes.append(failed)
            continue
        state = tried
        head += len(batch)
        outcomes.append(events)
    return Expected(state, outcomes)


def _done(write: Write, objects: dict[str, tuple[int, dict[str, Any]]], number: int) -> str | type[Exception]:
    before = objects.get(write.key)
    if write.expected is not None and write.expected != (before[0] if before else 0):
        return Conflict
    if write.data is None:
        if before is None:
            return NotFound
        del objects[write.key]
        return "deleted"
    kept = {name: before[1][name] for name in write.hidden if before and name in before[1] and name not in write.data}
    objects[write.key] = (number, {**write.data, **kept})
    return "updated" if before else "created"


def numbered(changes: Sequence[Change], after: int, what: str) -> Verdict:
    """Changes are numbered one by one from behind ``after`` on, and none is of an earlier one than the one before."""
    found = [change.sequence for change in changes]
    wanted = list(range(after + 1, after + 1 + len(found)))
    place = next((number for number, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other), None)
    observed = "" if place is None else f"{shown(found[max(0, place - 2) : place + 3])} from place {place + 1} on"
    return Verdict(f"{what}: one after the other from {after + 1} on, without a hole", observed, len(found))


def retold(changes: Iterable[Change], before: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the versions that somebody knows who heard nothing but these changes."""
    known = dict(before or {})
    for change in changes:
        if change.event == "deleted":
            known.pop(change.key, None)
        else:
            known[change.key] = change.sequence
    return known


def same_objects(found: Objects, wanted: Objects, what: str) -> Verdict:
    """Two sets of objects are equal, and their values are of the same types."""
    faults = [f"{key!r} is missing" for key in wanted if key not in found]
    faults += [f"{key!r} is there" for key in found if key not in wanted]
    for key in [key for key in wanted if key in found]:
        if found[key][0] != wanted[key][0]:
            faults.append(f"{key!r} has version {found[key][0]}, not {wanted[key][0]}")
        elif not alike(dict(found[key][1]), dict(wanted[key][1])):
            faults.append(f"{key!r} is {shown(dict(found[key][1]))}")
    return Verdict(f"{what}: {shown(dict(wanted))}", "; ".join(faults[:4]), max(1, len(wanted)))
