"""Callbacks: each change once, in order, whatever is lost on the way."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest

from treaty import Notification, Subscription
from treaty.storage import Conflict, Event, Gap, Notice, Position, StorageClient, StoreConfig, ValidationFailed

from .conftest import StorageRoom
from .things import LIMIT, Cluster, Heard, Host, Paper, eventually


def test_the_spelling_of_the_ancestor(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()
    storage.register_callback(heard, Host, "created")
    storage.save(Host(address="a", password="s3cret"))
    event, host, message = heard.next()
    assert event == "created" and event is Event.CREATED
    assert host == Host(address="a", revision=1)
    assert isinstance(message, Notice)
    assert (message.feed, message.sequence, message.version, message.key, message.source) == ("main", 1, 1, "a", "live")
    assert "s3cret" not in repr(message)


def test_only_what_was_asked_for(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage(models=[Paper])
    kinds: dict[str, tuple[Any, str]] = {
        "hosts": (Host, "any"),
        "made": (Host, "created"),
        "changed": (Host, "updated"),
        "gone": (Host, "deleted"),
        "all": (None, "any"),
    }
    heard = {name: Heard() for name in kinds}
    for name, (model, event) in kinds.items():
        storage.register_callback(heard[name], model, event)
    host = storage.save(Host(address="a"))
    storage_room.client().call("storage.save", {"model": "Cluster", "data": {"name": "c"}})
    storage.save(Paper(5))
    host = storage.save(host)
    storage.delete(host)
    created, updated, deleted = (("created", Host(address="a", revision=1)), ("updated", Host(address="a", revision=4)),
                                 ("deleted", Host(address="a", revision=5)))  # fmt: skip
    assert heard["hosts"].take(3) == [created, updated, deleted]
    assert heard["made"].take(1) == [created]
    assert heard["changed"].take(1) == [updated]
    assert heard["gone"].take(1) == [deleted]
    # A model that this client knows nothing of comes as plain values.
    others = [("created", {"name": "c", "size": 1}), ("created", Paper(5))]
    assert heard["all"].take(5) == [created, *others, updated, deleted]


def test_a_callback_hears_what_comes_after_it_was_registered(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()
    storage.save(Cluster("before"))
    with storage.register_callback(heard, Cluster):
        storage.save(Cluster("after"))
        assert heard.next()[1] == Cluster("after")
    storage.save(Cluster("too late"))
    assert heard._queue.empty()


def test_a_callback_that_raises_stays_registered(storage_room: StorageRoom, caplog: pytest.LogCaptureFixture) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()

    def callback(event: str, instance: Any, message: Notice) -> None:
        heard(event, instance, message)
        raise ValueError("the callback is broken")

    storage.register_callback(callback, Cluster)
    for name in "abc":
        storage.save(Cluster(name))
    assert [one[1].name for one in heard.take(3)] == ["a", "b", "c"]
    assert eventually(lambda: caplog.text.count("it stays registered") == 3)


def test_a_callback_may_call_the_service_and_unregister_itself(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage, done = storage_room.storage(), threading.Event()

    def callback(event: str, instance: Cluster, message: Notice) -> None:
        storage.save(Cluster(instance.name + "!"))
        watch.close()
        done.set()

    watch = storage.register_callback(callback, Cluster, "created")
    storage.save(Cluster("a"))
    assert done.wait(LIMIT) and watch.closed
    storage.save(Cluster("b"))
    assert [one.name for one in storage.list(Cluster)] == ["a", "a!", "b"]


def test_a_snapshot_comes_first(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()
    storage.save_many([Cluster(f"{number:04}") for number in range(1_100)])
    storage.save(Host(address="a"))
    storage.register_callback(heard, Cluster, snapshot=True, on_gap=heard.gaps.put)
    storage.delete(Cluster, "0007")
    assert eventually(lambda: len(heard.state) == 1_099)
    assert {one.source for one in heard.all[:1000]} == {"snapshot"} and heard.gaps.empty()


def test_a_registration_goes_on_where_an_earlier_one_stood(storage_room: StorageRoom, sqlite: str) -> None:
    service = storage_room.serve(StoreConfig(url=sqlite, models=[Cluster]))
    storage, heard = storage_room.storage(), Heard()
    first = storage.register_callback(heard, Cluster, since={})
    for name in "abc":
        storage.save(Cluster(name))
    heard.until("c")
    assert eventually(lambda: "main" in first.positions and first.positions["main"].sequence == 3)
    first.close()
    kept = msgspec.json.encode(first.positions)
    storage.save(Cluster("while it was away"))
    storage.delete(Cluster, "a")
    service.stop()
    service.start()
    again = storage.register_callback(
        heard, Cluster, since=msgspec.json.decode(kept, type=dict[str, Position]), on_gap=heard.gaps.put
    )
    storage.save(Cluster("d"))
    heard.until("d")
    assert [one.sequence for one in heard.all] == [1, 2, 3, 4, 5, 6]
    assert heard.gap().missed >= 2 and heard.gaps.empty()
    assert eventually(lambda: again.positions["main"].sequence == 6)


def test_a_position_is_behind_what_the_callback_has_done(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage, heard, gate = storage_room.storage(), Heard(), threading.Event()
    seen: list[int] = []

    def callback(event: str, instance: Cluster, message: Notice) -> None:
        seen.append(watch.positions["main"].sequence)
        heard(event, instance, message)
        assert gate.wait(LIMIT)

    watch = storage.register_callback(callback, Cluster)
    storage.save(Host(address="not of interest"))
    for name in "ab":
        storage.save(Cluster(name))
    heard.until("a")
    gate.set()
    heard.until("b")
    assert seen == [1, 2]


@pytest.mark.parametrize("begin", [{"snapshot": True}, {"since": {}}])
@pytest.mark.parametrize("model", [Host, None])
def test_what_is_hidden_is_not_in_a_snapshot_either(
    storage_room: StorageRoom, begin: dict[str, Any], model: type | None
) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()
    storage.save(Host(address="a", password="s3cret"))
    fresh = storage_room.storage()
    fresh.register_callback(heard, model, **begin)
    _, instance, message = heard.next()
    assert message.source == "snapshot" and message.data == {"address": "a", "port": 22}
    assert "s3cret" not in f"{instance!r} {message!r} {msgspec.json.encode(message)!r}"
    if model is not None:
        assert instance == Host(address="a", revision=1)
        instance.port = 23
        storage.save(instance)
        assert storage.get(Host, "a").password == "s3cret"


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt])
def test_whatever_a_callback_raises_it_stays_registered(
    storage_room: StorageRoom, caplog: pytest.LogCaptureFixture, raised: type[BaseException]
) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()

    def callback(event: str, instance: Any, message: Notice) -> None:
        heard(event, instance, message)
        raise raised("enough")

    storage.register_callback(callback, Cluster)
    for name in "abc":
        storage.save(Cluster(name))
    assert [one[1].name for one in heard.take(3)] == ["a", "b", "c"]
    assert eventually(lambda: caplog.text.count("it stays registered") == 3)


@pytest.mark.parametrize(
    ("since", "snapshot", "why"),
    [
        ({}, True, "not both"),
        ({"main": 5}, False, "a Position"),
        ([], False, "a Position"),
        ("main", False, "a Position"),
        ({"main": Position(epoch=5, sequence=1)}, False, "a Position for each feed"),  # type: ignore[arg-type]
        ({"main": Position(epoch="a", sequence="1")}, False, "a Position for each feed"),  # type: ignore[arg-type]
        ({"main": Position(epoch="a", sequence=-1)}, False, "a Position for each feed"),
    ],
)
def test_where_to_begin_is_checked(storage_room: StorageRoom, since: Any, snapshot: bool, why: str) -> None:
    storage_room.serve()
    with pytest.raises(ValidationFailed, match=why) as caught:
        storage_room.storage().register_callback(Heard(), Cluster, since=since, snapshot=snapshot)
    assert caught.value.field == "since"


def one_version(storage: StorageClient, name: str) -> int:
    with pytest.raises(Conflict) as caught:
        storage.delete(Cluster, name, version=1_000_000)
    return caught.value.actual


class Deaf:
    """Keeps a subscription from hearing anything, for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self._dropped: SimpleQueue[int] = SimpleQueue()
        hears = Subscription._hand_over

        def hand_over(subscription: Subscription, notification: Notification) -> None:
            if not self.on:
                hears(subscription, notification)
            elif notification.topic != "storage.$beat":
                self._dropped.put(notification.data["sequence"])

        monkeypatch.setattr(Subscription, "_hand_over", hand_over)

    def until(self, sequence: int) -> None:
        """Wait until a change was lost, then hear again."""
        while self._dropped.get(timeout=LIMIT) != sequence:
            continue
        self.on = False


def test_what_was_lost_is_noticed_by_the_next_change(
    storage_room: StorageRoom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage_room.serve(beat=60)
    deaf, storage, heard = Deaf(monkeypatch), storage_room.storage(), Heard()
    watch = storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)
    storage.save(Cluster("a"))
    heard.until("a")
    deaf.on = True
    storage.save_many([Cluster("b"), Cluster("c")])
    storage.delete(Cluster, "b")
    deaf.until(4)
    storage.save(Cluster("d"))
    heard.until("d")
    gap = heard.gap()
    assert (gap.since and gap.since.sequence, gap.until.sequence, gap.missed, gap.resync) == (1, 5, 4, False)
    assert [one.sequence for one in heard.all] == [1, 2, 3, 4, 5]
    assert watch.counters["gaps"] == 1 and "4 changes are read from the log" in caplog.text


def test_the_last_change_that_was_lost_is_noticed_by_the_beat(
    storage_room: StorageRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_room.serve()
    deaf, storage, heard = Deaf(monkeypatch), storage_room.storage(), Heard()
    storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)
    deaf.on = True
    storage.save(Cluster("a"))
    deaf.until(1)
    heard.until("a")
    assert heard.gap().missed == 1


def test_a_subscription_that_has_died_is_noticed_by_the_silence(
    storage_room: StorageRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_room.serve()
    deaf, storage, heard = Deaf(monkeypatch), storage_room.storage(), Heard()
    storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)
    deaf.on = True
    for name in "abc":
        storage.save(Cluster(name))
        heard.until(name)
    assert [one.key for one in heard.all] == ["a", "b", "c"]


def test_a_service_that_was_away_is_followed_again(storage_room: StorageRoom, sqlite: str) -> None:
    stores = StoreConfig(url=sqlite, models=[Cluster])
    service = storage_room.serve(stores)
    storage, heard = storage_room.storage(), Heard()
    storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)
    for turn in range(3):
        storage.save(Cluster(f"before {turn}"))
        service.stop()
        service.start()
        storage.save(Cluster(f"after {turn}"))
    heard.until("after 2")
    assert [one.sequence for one in heard.all] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_several_workers_on_one_database(
    storage_room: StorageRoom, request: pytest.FixtureRequest, database: str
) -> None:
    """Each publishes what it has written, and may overtake the other; one is stopped and started in between."""
    stores = StoreConfig(url=request.getfixturevalue(database), models=[Cluster])
    first, _ = storage_room.serve(stores), storage_room.serve(stores)
    storage, heard, late = storage_room.storage(), Heard(), Heard()
    storage.register_callback(heard, Cluster)

    def work(number: int) -> None:
        for turn in range(20):
            storage.save(Cluster(f"{number}", turn))

    def work_in_four() -> None:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)

    work_in_four()
    first.stop()
    storage.register_callback(late, Cluster, snapshot=True)
    work_in_four()
    first.start()
    work_in_four()
    storage.save(Cluster("last"))
    heard.until("last")
    late.until("last")
    assert [one.sequence for one in heard.all] == list(range(1, 242))
    # The list shows what is there while it is read; what comes after that is in order.
    live = [one.sequence for one in late.all if one.source != "snapshot"]
    assert live == sorted(set(live)) and live[-1] == 241
    assert heard.state == late.state == {one.name: one_version(storage, one.name) for one in storage.list(Cluster)}


def test_a_store_that_began_anew_is_read_anew_and_reported(storage_room: StorageRoom) -> None:
    service = storage_room.serve()
    storage, heard = storage_room.storage(), Heard()
    storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)
    storage.save_many([Cluster("a"), Cluster("b")])
    heard.until("b")
    service.stop()
    service.start()
    storage.save(Cluster("c"))
    assert eventually(lambda: heard.state.keys() == {"c"})
    gap = heard.gap()
    assert gap.resync and gap.reason == "history"
    gone = {one.key: one for one in heard.all if one.event is Event.DELETED}
    assert gone.keys() == {"a", "b"} and {one.data for one in gone.values()} == {None}


def test_who_missed_more_than_the_log_holds_reads_everything_and_is_told(
    storage_room: StorageRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_room.serve(StoreConfig(url="memory:", models=[Cluster], retain=10), beat=60)
    deaf, storage, heard = Deaf(monkeypatch), storage_room.storage(), Heard()
    storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)
    storage.save_many([Cluster("a"), Cluster("b")])
    heard.until("b")
    deaf.on = True
    storage.save_many([Cluster(f"{number}") for number in range(30)])
    storage.delete(Cluster, "a")
    deaf.until(33)
    storage.save(Cluster("z"))
    assert eventually(lambda: heard.state.keys() == {"b", "z", *(f"{number}" for number in range(30))})
    gap = heard.gap()
    assert (gap.since and gap.since.sequence, gap.resync, gap.reason) == (2, True, "pruned")
    # What it knew and is the same is not told again.
    assert [one.key for one in heard.all].count("b") == 1


def test_a_slow_callback_loses_nothing_and_memory_is_bounded(
    storage_room: StorageRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treaty.storage.tap.ROOM", 5)
    storage_room.serve()
    storage, heard, gate = storage_room.storage(), Heard(), threading.Event()

    def callback(event: str, instance: Any, message: Notice) -> None:
        assert gate.wait(LIMIT)
        heard(event, instance, message)

    watch = storage.register_callback(callback, Cluster, on_gap=heard.gaps.put)
    quick = Heard()
    storage.register_callback(quick, Cluster)
    for number in range(50):
        storage.save(Cluster(f"{number}"))
    quick.until("49")
    gate.set()
    heard.until("49")
    assert [one.sequence for one in heard.all] == list(range(1, 51))
    assert watch.counters["overflowed"] >= 40 and heard.gap().missed >= 40


def test_on_gap_may_raise(storage_room: StorageRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    storage_room.serve()
    deaf, storage, heard = Deaf(monkeypatch), storage_room.storage(), Heard()

    def on_gap(gap: Gap) -> None:
        raise ValueError("the gap is too deep")

    storage.register_callback(heard, Cluster, on_gap=on_gap)
    deaf.on = True
    storage.save(Cluster("a"))
    deaf.until(1)
    heard.until("a")


def test_a_store_that_is_new_in_the_service_is_followed_by_who_listens_to_all(storage_room: StorageRoom) -> None:
    service = storage_room.serve(StoreConfig(url="memory:", models=[Host]))
    storage, heard = storage_room.storage(models=[Paper]), Heard()
    storage.register_callback(heard, None)
    service.stop()
    storage_room.serve(
        StoreConfig(url="memory:", models=[Host]), StoreConfig(name="more", url="memory:", models=[Paper])
    )
    storage.save(Paper(1))
    heard.until("1")
    assert len(heard.all) == 1


def test_what_a_callback_does_to_its_notice_is_nobody_elses_business(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    spoilt: SimpleQueue[str] = SimpleQueue()

    def spoil(_: str, __: object, notice: Notice) -> None:
        assert notice.data is not None
        notice.data.clear()
        spoilt.put(notice.key)

    heard = Heard()
    storage.register_callback(spoil, Cluster)
    storage.register_callback(heard, Cluster)
    for name in ("a", "b", "c"):
        storage.save(Cluster(name, 7))
        assert spoilt.get(timeout=LIMIT) == name
    assert [instance for _, instance in heard.take(3)] == [Cluster(name, 7) for name in ("a", "b", "c")]
