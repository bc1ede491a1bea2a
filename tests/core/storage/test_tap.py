"""One subscription, shared; boxes that do not overflow."""

from __future__ import annotations

import pytest

from treaty.storage import Beat, Notice
from treaty.storage.tap import ROOM, Box, Tap

from .conftest import StorageRoom
from .things import LIMIT, Cluster, eventually


def test_a_box_takes_so_much_and_no_more() -> None:
    box = Box()
    for number in range(ROOM + 5):
        box.put(Beat(feed="main", epoch="e", sequence=number))
    assert box.overflowed == 5
    first = box.get(0.0)
    assert first is not None and first.sequence == 0


def test_a_box_can_be_woken() -> None:
    box = Box()
    assert box.get(0.0) is None
    box.wake()
    assert box.get(LIMIT) is None


def test_a_subscription_is_shared_and_ends_with_the_last_listener(storage_room: StorageRoom) -> None:
    service = storage_room.serve(beat=60)
    client = storage_room.client()
    tap = Tap(client, "storage")
    first, second = tap.open(), tap.open()
    subscription = tap._subscription
    storage_room.storage().save(Cluster("a"))
    for box in (first, second):
        news = box.get(LIMIT)
        while isinstance(news, Beat):
            news = box.get(LIMIT)
        assert isinstance(news, Notice) and news.key == "a"
    tap.close(first)
    assert tap._subscription is subscription is not None and not subscription.closed
    tap.close(second)
    tap.close(second)
    assert tap._subscription is None and subscription.closed
    assert service.serving


def test_what_is_no_notice_is_ignored(storage_room: StorageRoom, caplog: pytest.LogCaptureFixture) -> None:
    service = storage_room.serve(beat=60)
    tap = Tap(storage_room.client(), "storage")
    box = tap.open()
    service.publish("Host.created", {"hello": "s3cret"})
    service.publish("$beat", {"feed": "main", "epoch": "e", "sequence": 3})
    assert eventually(lambda: tap.counters["unreadable"] == 1)
    assert box.get(LIMIT) is not None  # the beat: by now the log has what is said of the one before
    assert "none of ours" in caplog.text and "s3cret" not in caplog.text
    tap.close(box)
