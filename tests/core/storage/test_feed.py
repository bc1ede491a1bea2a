"""A store at work: what was committed is published in its order, also by who comes after a worker that has died."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from treaty import FrameTooLarge, TransportError
from treaty.storage import MemoryStore, StoreUnavailable
from treaty.storage.feed import Feed
from treaty.storage.sql import SqlStore

from .things import batch, put, spell


class Air:
    """What was published, and a way to keep it from being so."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None

    def __call__(self, topic: str, data: Any) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((topic, data))

    @property
    def sequences(self) -> list[int]:
        return [data["sequence"] for topic, data in self.sent if topic != "$beat"]

    @property
    def beats(self) -> list[int]:
        return [data["sequence"] for topic, data in self.sent if topic == "$beat"]


@pytest.fixture
def air() -> Air:
    return Air()


@pytest.fixture
def feed(air: Air) -> Iterator[Feed]:
    store = MemoryStore()
    store.open()
    yield Feed("main", store, ["Host"], air)
    store.close()


def test_a_change_is_published_with_its_place_and_without_what_is_hidden(feed: Feed, air: Air) -> None:
    changes = feed.commit(batch(put("a", 5, secret="s3cret")))
    assert spell(changes) == [(1, "created", "a")]
    [(topic, data)] = air.sent
    assert topic == "Host.created"
    epoch = feed.store.standing().epoch
    expected = {"feed": "main", "epoch": epoch, "sequence": 1, "model": "Host", "key": "a", "data": {"value": 5}}
    assert expected.items() <= data.items() and "s3cret" not in repr(data)


def test_a_feed_beats_only_while_it_is_idle(feed: Feed, air: Air) -> None:
    feed.begin()
    feed.commit(batch(put("a")))
    feed.beat()
    feed.beat()
    assert air.beats == [0, 1]
    assert feed.store.standing().published == 1


def test_what_could_not_be_published_is_saved_and_published_later(
    feed: Feed, air: Air, caplog: pytest.LogCaptureFixture
) -> None:
    air.error = TransportError("the broker is gone")
    for key in "abc":
        feed.commit(batch(put(key)))
    assert caplog.text.count("the broker is gone") == 1
    feed.beat()
    air.error = None
    feed.beat()
    feed.beat()
    assert air.sequences == [1, 2, 3]
    feed.commit(batch(put("d")))
    feed.beat()
    assert air.sequences == [1, 2, 3, 4] and feed.store.standing().published == 4


def test_a_change_that_no_frame_can_hold_keeps_nothing_else_back(feed: Feed, air: Air) -> None:
    air.error = FrameTooLarge("too large")
    feed.commit(batch(put("a")))
    air.error = None
    feed.commit(batch(put("b")))
    feed.beat()
    feed.beat()
    assert (air.sequences, air.beats, feed.store.standing().published) == ([2], [2], 2)


def test_a_fault_of_the_publisher_does_not_undo_a_save(feed: Feed, air: Air, caplog: pytest.LogCaptureFixture) -> None:
    air.error = RuntimeError("a fault")
    assert spell(feed.commit(batch(put("a"))))
    assert "a fault" in caplog.text


def test_what_a_dead_worker_left_is_published_when_the_service_is_back(sqlite: str, air: Air) -> None:
    dead = SqlStore(sqlite)
    dead.open()
    dead.write([batch(put("a"), put("b"))], reached=lambda _: 1)
    dead.close()
    feed = Feed("main", SqlStore(sqlite), ["Host"], air)
    feed.store.open()
    feed.begin()
    assert (air.sequences, air.beats) == ([2], [])
    feed.beat()
    feed.beat()
    assert (air.sequences, air.beats) == ([2], [2, 2])
    assert feed.store.standing().published == 2
    feed.store.close()


def test_what_a_dead_worker_left_is_published_by_one_that_lives(sqlite: str, air: Air) -> None:
    dead, alive = SqlStore(sqlite), Feed("main", SqlStore(sqlite), ["Host"], air)
    dead.open()
    alive.store.open()
    alive.begin()
    alive.commit(batch(put("a")))
    dead.write([batch(put("b"))])
    alive.commit(batch(put("c")))
    alive.beat()
    assert air.sequences == [1, 3]
    alive.beat()
    assert air.sequences == [1, 3, 2, 3]
    alive.beat()
    assert alive.store.standing().published == 3
    dead.close()
    alive.store.close()


def test_what_is_pruned_before_it_could_be_published_is_not_waited_for(air: Air) -> None:
    store = MemoryStore(retain=2)
    store.open()
    feed = Feed("main", store, ["Host"], air)
    air.error = TransportError("the broker is gone")
    for number in range(9):
        feed.commit(batch(put(str(number))))
    feed.beat()
    air.error = None
    for _ in range(3):
        feed.beat()
    assert air.sequences == [8, 9] and store.standing().published == 9


def test_a_store_that_is_gone_does_not_end_the_heart(feed: Feed, air: Air, caplog: pytest.LogCaptureFixture) -> None:
    feed.store.close()
    feed.beat()
    assert "the store is closed" in caplog.text
    with pytest.raises(StoreUnavailable):
        feed.commit(batch(put("a")))
