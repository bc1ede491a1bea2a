"""What a transaction does: versions, conflicts, events, all or nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from treaty.storage import Batch, Conflict, Entry, Event, NotFound, Plan, identities, plan
from treaty.storage.records import Identity

from .things import batch, drop, put, spell


def planned(*batches: Batch, existing: dict[Identity, Entry] | None = None, head: int = 0) -> Plan:
    return plan(batches, existing or {}, epoch="e", head=head, at=5)


def entry(key: str, version: int, **data: Any) -> dict[Identity, Entry]:
    return {("Host", key): Entry(model="Host", key=key, version=version, data=data)}


def test_events_and_sequences() -> None:
    found = planned(batch(put("a"), put("b"), put("a", 2), drop("b")), existing=entry("a", 3), head=7)
    assert spell(found.changes) == [
        (8, "updated", "a"),
        (9, "created", "b"),
        (10, "updated", "a"),
        (11, "deleted", "b"),
    ]
    assert found.entries[("Host", "b")] is None
    kept = found.entries[("Host", "a")]
    assert kept is not None and (kept.version, kept.data) == (10, {"value": 2})


def test_a_batch_that_fails_leaves_no_trace_and_the_others_alone() -> None:
    found = planned(batch(put("a")), batch(put("b"), drop("nothing")), batch(put("b")), batch(put("a", expected=9)))
    first, second, third, fourth = found.outcomes
    assert spell(first) == [(1, "created", "a")]
    assert isinstance(second, NotFound) and second.key == "nothing"
    assert spell(third) == [(2, "created", "b")]
    assert isinstance(fourth, Conflict) and (fourth.expected, fourth.actual) == (9, 1)
    assert len(found.changes) == 2


def test_the_version_that_is_expected() -> None:
    there = entry("a", 3)
    assert spell(planned(batch(put("a", expected=3)), existing=there).outcomes[0])
    assert spell(planned(batch(put("b", expected=0)), existing=there).outcomes[0])
    for write, actual in ((put("a", expected=0), 3), (put("b", expected=3), 0), (drop("a", expected=2), 3)):
        outcome = planned(batch(write), existing=there).outcomes[0]
        assert isinstance(outcome, Conflict) and outcome.actual == actual


def test_hidden_fields_stay_out_of_the_log_and_are_kept_when_they_are_not_given() -> None:
    found = planned(
        batch(put("a", 1, secret="s3cret")), batch(put("a", 2)), batch(put("a", 3, secret="new")), batch(drop("a"))
    )
    assert [change.data for change in found.changes] == [{"value": 1}, {"value": 2}, {"value": 3}, {"value": 3}]
    kept = planned(batch(put("a", 2)), existing=entry("a", 1, secret="s3cret")).entries[("Host", "a")]
    assert kept is not None and kept.data == {"value": 2, "secret": "s3cret"}
    assert "s3cret" not in repr(kept)


def test_each_object_is_asked_for_once() -> None:
    assert identities([batch(put("a"), put("b")), batch(drop("a"))]) == [("Host", "a"), ("Host", "b")]


writes = st.builds(
    lambda key, delete, expected: drop(key, expected=expected) if delete else put(key, expected=expected),
    st.sampled_from("abc"),
    st.booleans(),
    st.none() | st.integers(0, 6),
)
batches = st.lists(st.lists(writes, min_size=1, max_size=4).map(tuple), max_size=6)


@given(batches)
def test_many_batches_at_once_do_what_they_do_one_after_the_other(given: list[Batch]) -> None:
    together = plan(given, {}, epoch="e", head=0, at=0)
    state: dict[Identity, Entry] = {}
    head = 0
    changes = []
    for one in given:
        alone = plan([one], state, epoch="e", head=head, at=0)
        for identity, after in alone.entries.items():
            if after is None:
                state.pop(identity, None)
            else:
                state[identity] = after
        head += len(alone.changes)
        changes += alone.changes
    assert together.changes == changes
    assert {key: one for key, one in together.entries.items() if one is not None} == state
    assert [change.sequence for change in changes] == list(range(1, head + 1))


@given(batches)
def test_the_log_told_in_order_gives_the_state(given: list[Batch]) -> None:
    found = plan(given, {}, epoch="e", head=0, at=0)
    told: dict[str, int] = {}
    for change in found.changes:
        assert (change.key in told) == (change.event is not Event.CREATED)
        if change.event is Event.DELETED:
            del told[change.key]
        else:
            told[change.key] = change.version
    assert told == {key: one.version for (_, key), one in found.entries.items() if one is not None}
