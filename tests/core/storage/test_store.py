"""The law of the store interface, on every store that we have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treaty.storage import Batch, Change, Conflict, Entry, Event, NotFound, Position, Store, StoreUnavailable

from .things import LIMIT, batch, drop, put, spell

Make = Callable[..., Store]
HARD = "Grüße \u2028 \U0001f600 \"quoted\" \\ 'single' \x01 %s :name ?"


def state(store: Store, model: str = "Host") -> dict[str, int]:
    return {entry.key: entry.version for entry in store.list(model, limit=10_000)}


def log(store: Store) -> list[tuple[int, str, str]]:
    return spell(store.changes_after(0, limit=10_000).changes)


def test_an_empty_store_is_empty(store: Store) -> None:
    standing = store.standing()
    assert (standing.sequence, standing.published) == (0, 0) and standing.epoch
    assert (store.get("Host", ["a"]), list(store.list("Host"))) == ({}, [])
    page = store.changes_since(standing.position)
    assert (page.changes, page.more, page.lost, page.head) == ((), False, None, 0)


def test_what_was_written_is_read(store: Store) -> None:
    made = store.write(
        [batch(put("a", HARD, secret=HARD), put(HARD, [1, {"x": None}, 2.5])), batch(put("b", model="Cluster"))]
    )
    assert [spell(one) for one in made] == [[(1, "created", "a"), (2, "created", HARD)], [(3, "created", "b")]]
    found = store.get("Host", ["a", HARD, "b"])
    assert {key: (one.version, one.data) for key, one in found.items()} == {
        "a": (1, {"value": HARD, "secret": HARD}),
        HARD: (2, {"value": [1, {"x": None}, 2.5]}),
    }
    changes = store.changes_after(0).changes
    assert [change.data for change in changes] == [{"value": HARD}, {"value": [1, {"x": None}, 2.5]}, {"value": 1}]
    assert {change.epoch for change in changes} == {store.standing().epoch}
    assert store.standing().sequence == 3


def test_a_batch_is_done_wholly_or_not_at_all(store: Store) -> None:
    store.write([batch(put("a"))])
    outcomes = store.write(
        [batch(put("b"), drop("x")), batch(put("c"), put("a", 2, expected=1)), batch(put("d", expected=3))]
    )
    assert isinstance(outcomes[0], NotFound) and isinstance(outcomes[2], Conflict)
    assert spell(outcomes[1]) == [(2, "created", "c"), (3, "updated", "a")]
    assert state(store) == {"a": 3, "c": 2}
    assert log(store) == [(1, "created", "a"), (2, "created", "c"), (3, "updated", "a")]


def test_an_object_may_come_go_and_come_again(store: Store) -> None:
    store.write([batch(put("a"), drop("a"), put("a", 2))])
    store.write([batch(put("b"), drop("b"))])
    store.write([batch(drop("a")), batch(put("a", 3)), batch(put("c"))])
    assert state(store) == {"a": 7, "c": 8}


def test_nobody_alters_the_store_by_altering_a_document(store: Store) -> None:
    write = put("a", [1])
    assert write.data is not None
    store.write([batch(write)])
    write.data["value"].append(2)
    store.get("Host", ["a"])["a"].data["value"].append(3)
    store.changes_after(0).changes[0].data["value"].append(4)  # type: ignore[index]
    assert store.get("Host", ["a"])["a"].data == {"value": [1]}
    assert store.changes_after(0).changes[0].data == {"value": [1]}


def test_a_list_is_in_the_order_of_code_points_and_read_in_parts(store: Store) -> None:
    keys = ["B", "a", "Z", "10", "9", "ä", "\U0001f600", "\uffee", "a b", "a-b", "a_b", ""]
    store.write([batch(*(put(key or "_") for key in keys), put("other", model="Cluster"))])
    expected = sorted(key or "_" for key in keys)
    found: list[Entry] = []
    while part := store.list("Host", after=found[-1].key if found else "", limit=5):
        found += part
    assert [entry.key for entry in found] == expected


def test_changes_are_read_in_parts(store: Store) -> None:
    start = store.standing().position
    store.write([batch(*(put(str(number)) for number in range(7)))])
    page = store.changes_since(start, limit=3)
    assert [change.sequence for change in page.changes] == [1, 2, 3] and page.more and page.head == 7
    page = store.changes_since(page.changes[-1].position, limit=4)
    assert [change.sequence for change in page.changes] == [4, 5, 6, 7] and not page.more


def test_where_nobody_can_go_on_from(store: Store) -> None:
    store.write([batch(put("a"))])
    here = store.standing()
    for epoch, sequence in (("never", 0), (here.epoch, 2)):
        page = store.changes_since(Position(epoch=epoch, sequence=sequence))
        assert (page.lost, page.changes, page.epoch, page.head) == ("history", (), here.epoch, 1)


def test_the_log_is_bounded(make_store: Make) -> None:
    store = make_store(retain=50)
    store.open()
    start = store.standing().position
    for number in range(40):
        store.write([batch(*(put(f"{number}-{k}") for k in range(5)))])
    assert store.changes_since(start).lost == "pruned"
    kept = log(store)
    assert 50 <= len(kept) <= 60 and kept[-1][0] == 200
    last = Position(epoch=start.epoch, sequence=kept[0][0] - 1)
    assert store.changes_since(last).lost is None
    assert len(state(store)) == 200


def test_how_far_the_log_is_published_is_kept(store: Store) -> None:
    store.write([batch(put("a"), put("b"))], reached=lambda before: before + 1)
    assert store.standing().published == 1
    assert store.note_published(lambda before: before + 1).published == 2
    store.write([batch(drop("nothing"))])
    assert (store.standing().published, store.standing().sequence) == (2, 2)


def test_a_durable_store_has_everything_again_in_a_new_epoch(make_store: Make) -> None:
    store = make_store()
    store.open()
    store.write([batch(put("a", secret="s"), put("b"), drop("b"))], reached=lambda _: 2)
    before, objects, changes = store.standing(), store.get("Host", ["a"]), log(store)
    store.close()
    store.close()
    again = make_store() if store.durable else store
    again.open()
    after = again.standing()
    assert after.epoch != before.epoch
    if not store.durable:
        assert after.sequence == 0 and not log(again)
        assert again.changes_since(before.position).lost == "history"
        return
    assert (after.sequence, after.published) == (3, 2)
    assert (again.get("Host", ["a"]), log(again)) == (objects, changes)
    assert again.changes_since(before.position).lost is None
    again.write([batch(put("c"))])
    page = again.changes_since(before.position)
    assert spell(page.changes) == [(4, "created", "c")] and page.epoch == after.epoch == page.changes[0].epoch


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    attempts: list[Callable[[], Any]] = [
        store.standing,
        lambda: store.get("Host", ["a"]),
        lambda: store.list("Host"),
        lambda: store.write([batch(put("a"))]),
        lambda: store.changes_since(Position(epoch="e", sequence=0)),
    ]
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match="closed"):
            attempt()


def test_sequences_have_no_holes_whoever_writes_and_readers_see_none(make_store: Make) -> None:
    """Several stores on one database, or several threads on one store, write at once, and one reads along."""
    first = make_store()
    first.open()
    stores = [first]
    if first.shared:
        stores.append(make_store())
        stores[1].open()
    failures: list[BaseException] = []
    start = first.standing().position

    def write(number: int) -> None:
        try:
            for turn in range(15):
                store = stores[number % len(stores)]
                store.write([batch(put(f"{number}-{turn}"), put("shared", turn)), batch(put("x"), drop("never"))])
        except BaseException as raised:
            failures.append(raised)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    seen: list[Change] = []
    while len(seen) < 120 and not failures:
        page = stores[-1].changes_since(seen[-1].position if seen else start, limit=50)
        assert page.lost is None
        seen += page.changes
    for thread in threads:
        thread.join(LIMIT)
    assert not failures
    assert [change.sequence for change in seen] == list(range(1, 121))
    for number in range(4):
        own = [change.key for change in seen if change.key.startswith(f"{number}-")]
        assert own == [f"{number}-{turn}" for turn in range(15)]
    assert state(first)["shared"] == max(change.sequence for change in seen if change.key == "shared")


writes = st.builds(
    lambda key, delete, expected: drop(key, expected=expected) if delete else put(key, expected=expected),
    st.sampled_from("abc"),
    st.booleans(),
    st.none() | st.integers(0, 9),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_batches=st.lists(st.lists(writes, min_size=1, max_size=3).map(tuple), max_size=8))
def test_the_log_told_in_order_gives_the_objects(store: Store, given_batches: list[Batch]) -> None:
    start = store.standing().position
    told = state(store)
    store.write(given_batches)
    for change in store.changes_since(start, limit=1000).changes:
        if change.event is Event.DELETED:
            del told[change.key]
        else:
            told[change.key] = change.version
    assert told == state(store)
