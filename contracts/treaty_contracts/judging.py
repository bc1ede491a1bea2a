"""The judges: what was sent is held against what came, and what was before against what is after.

Pure functions over what rules have written down. This room must not know transports, threads or clocks: each judge is
tested on observations that were made by hand, good ones and bad ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from treaty import TreatyError
from treaty_contracts.expect import shown, type_name

#: How many of many faults are told.
_TOLD: Final = 4


class NothingToJudge(Exception):
    """A judge was given nothing: the suite itself is at fault, as a rule that judges nothing cannot hold."""


class Verdict(NamedTuple):
    """What a judge says."""

    expected: str
    #: What is wrong; empty if nothing is.
    observed: str
    #: How many things were judged.
    judged: int


def exactly_once(sent: Iterable[bytes], got: Iterable[bytes], what: str) -> Verdict:
    """Each thing that was sent comes once, whatever the order, and nothing else does."""
    wanted, came = Counter(sent), Counter(got)
    faults = _told("lost", (wanted - came).elements())
    faults += _told("too often", ((came - wanted) & _only(came, wanted)).elements())
    faults += _told("never sent", (frame for frame in came if frame not in wanted))
    return _verdict(f"{what}: each of {wanted.total()} once", faults, wanted.total())


def at_most_once(got: Iterable[bytes], what: str) -> Verdict:
    """Nothing comes twice. What is lost is for another judge."""
    came = Counter(got)
    faults = _told("too often", (frame for frame, times in came.items() if times > 1))
    return _verdict(f"{what}: once at most", faults, len(came))


def complete(sent: Iterable[bytes], got: Iterable[bytes], what: str) -> Verdict:
    """Each thing that was sent comes, and nothing else does. What comes too often is for another judge."""
    wanted, came = Counter(sent), Counter(got)
    faults = _told("lost", (wanted - came).elements())
    faults += _told("never sent", (frame for frame in came if frame not in wanted))
    return _verdict(f"{what}: all {wanted.total()}", faults, wanted.total())


def in_order(sent: Sequence[bytes], got: Iterable[bytes], what: str) -> Verdict:
    """What comes of what was sent comes in the order of sending. What is lost or repeated is for another judge."""
    place = {frame: number for number, frame in enumerate(sent)}
    came = [frame for frame in dict.fromkeys(got) if frame in place]
    late = [(before, after) for before, after in pairwise(came) if place[before] > place[after]]
    faults = _told("out of order", (f"{shown(after)} after {shown(before)}" for before, after in late))
    return _verdict(f"{what}: as they were sent", faults, len(came) if len(sent) > 1 else 0)


def faithful(pairs: Iterable[tuple[Any, Any]], what: str) -> Verdict:
    """In each pair of what was sent and what came, both are equal and of one type, all the way down."""
    looked_at = list(pairs)
    faults = _told("changed", (_became(one, other) for one, other in looked_at if not alike(one, other)))
    return _verdict(f"{what}: what was sent, of the same type", faults, len(looked_at))


def own(expected: Mapping[str, Any], got: Mapping[str, Any], what: str) -> Verdict:
    """Everybody gets what is theirs: where somebody gets another one's, it says whose."""
    faults = []
    for who, mine in expected.items():
        came = got.get(who)
        if alike(came, mine):
            continue
        whose = [other for other, theirs in expected.items() if other != who and alike(came, theirs)]
        faults.append(f"{who} gets {shown(came)}" + (f", which is for {whose[0]}" if whose else ""))
    strangers = _told("for nobody", (f"{who}: {shown(came)}" for who, came in got.items() if who not in expected))
    return _verdict(f"{what}: each one its own", [*faults[:_TOLD], *strangers], len(expected))


def never_back(numbers: Sequence[int], what: str) -> Verdict:
    """Each number is higher than the one before it."""
    faults = _told("gone back", (f"{after} after {before}" for before, after in pairwise(numbers) if after <= before))
    return _verdict(f"{what}: none comes after a later one", faults, len(numbers))


def isolated(published: Mapping[str, Iterable[bytes]], heard: Mapping[str, Iterable[bytes]], what: str) -> Verdict:
    """Nothing is heard on a channel that was published on another one."""
    home = {frame: channel for channel, frames in published.items() for frame in frames}
    faults, judged = [], 0
    for channel, frames in heard.items():
        for frame in frames:
            judged += 1
            if home.get(frame) != channel:
                faults.append(f"{channel!r} hears {shown(frame)} of {home.get(frame, 'nobody')!r}")
    return _verdict(f"{what}: nothing of another channel", faults[:_TOLD], judged)


def within_capacity(steps: Sequence[tuple[str, bytes]], capacity: int, what: str) -> Verdict:
    """Of what is ``taken`` never more than ``capacity`` is not yet ``settled``; a second settling makes no room."""
    held: set[bytes] = set()
    faults = []
    for number, (verb, frame) in enumerate(steps):
        if verb == "settled":
            held.discard(frame)
            continue
        held.add(frame)
        if len(held) > capacity:
            faults.append(f"step {number}: {shown(frame)} is taken while {len(held) - 1} are unsettled")
    return _verdict(
        f"{what}: at most {capacity} unsettled at once", faults[:_TOLD], sum(v == "taken" for v, _ in steps)
    )


def certain(sent: Iterable[bytes], refused: Iterable[bytes], arrived: Iterable[bytes], what: str) -> Verdict:
    """What came back as undeliverable never arrives; all the rest does, and once."""
    back, came, wanted = set(refused), Counter(arrived), list(sent)
    faults = _told("refused, and arrived", (frame for frame in wanted if frame in back and frame in came))
    faults += _told(
        "neither refused nor arrived", (frame for frame in wanted if frame not in back and frame not in came)
    )
    faults += _told("too often", (frame for frame, times in came.items() if times > 1))
    return _verdict(f"{what}: each arrives or comes back, and never both", faults, len(wanted))


def typed(raised: Mapping[str, BaseException | None], what: str) -> Verdict:
    """Whatever was raised is one of treaty's errors, and one that stems from another error says so with ``from``."""
    faults = []
    for use, error in raised.items():
        if error is None:
            continue
        origin = error.__context__
        if not isinstance(error, TreatyError):
            faults.append(f"{use}: {type(error).__module__}.{type(error).__qualname__}: {error}")
        elif _foreign(origin) and error.__cause__ is None and not error.__suppress_context__:
            faults.append(
                f"{use}: {type(error).__name__} is not raised from the {type(origin).__name__} that it stems from"
            )
    return _verdict(f"{what}: treaty's own errors, and none of a library below", faults[:_TOLD], len(raised))


def same_world(before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> Verdict:
    """What belongs to the whole program is as it was: what was changed is named."""
    faults = [
        f"{name}: {shown(before.get(name))} became {shown(after.get(name))}"
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    more = [f"and {len(faults) - _TOLD} more"] if len(faults) > _TOLD else []
    return _verdict(f"{what}: unchanged", [*faults[:_TOLD], *more], len(before))


def nothing_new(before: Counter[str], after: Counter[str], what: str) -> Verdict:
    """Nothing is there that was not there before."""
    new = after - before
    faults = [f"{name} ({times})" if times > 1 else name for name, times in sorted(new.items())]
    return _verdict(f"{what}: nothing beyond what was there", faults, 1)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type, all the way down: ``1``, ``1.0`` and ``True`` are three things."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def _only(came: Counter[bytes], wanted: Counter[bytes]) -> Counter[bytes]:
    return Counter({frame: times for frame, times in came.items() if frame in wanted})


def _foreign(error: BaseException | None) -> bool:
    return isinstance(error, Exception) and not isinstance(error, TreatyError)


def _became(one: Any, other: Any) -> str:
    before, after = shown(one), shown(other)
    if before == after and type(one) is not type(other):
        before, after = f"{before}, of type {type_name(one)},", f"{after}, of type {type_name(other)}"
    return f"{before} became {after}"


def _told(kind: str, faults: Iterable[object]) -> list[str]:
    """Say how many faults of a kind there are, and which the first ones are."""
    found = [fault if isinstance(fault, str) else shown(fault) for fault in faults]
    if not found:
        return []
    more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return [f"{len(found)} {kind}: {', '.join(found[:_TOLD])}{more}"]


def _verdict(expected: str, faults: Sequence[str], judged: int) -> Verdict:
    if judged == 0:
        raise NothingToJudge(f"there is nothing to judge where this is expected: {expected}")
    return Verdict(expected, "; ".join(faults), judged)
