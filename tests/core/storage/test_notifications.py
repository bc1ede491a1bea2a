"""What happens, in a loop."""

from __future__ import annotations

import asyncio
import threading
from itertools import islice

import msgspec
import pytest
from tests.core.forks import in_child

from treaty import ConfigurationError, ForkedError
from treaty.storage import Gap, Happened, Position, StoreConfig, ValidationFailed

from .conftest import StorageRoom
from .things import LIMIT, Cluster, Host, eventually


def test_a_loop_yields_what_happens(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    with storage.notifications(Cluster, "created") as notifications:
        storage.save_many([Cluster("a"), Cluster("b")])
        storage.save(Cluster("a", 2))
        storage.save(Cluster("c"))
        happened = list(islice(notifications, 3))
    assert [(one.event, one.instance.name, one.message.sequence) for one in happened] == [
        ("created", "a", 1),
        ("created", "b", 2),
        ("created", "c", 4),
    ]
    assert list(notifications) == [] and notifications.closed


def test_an_async_loop_yields_what_happens(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()

    async def main() -> list[Happened]:
        happened: list[Happened] = []
        notifications = await storage.aio.notifications(Host, snapshot=True)
        await storage.aio.save(Host(address="a"))
        async for one in notifications:
            happened.append(one)
            if len(happened) == 3:
                await asyncio.to_thread(notifications.close)
            elif len(happened) == 1:
                await storage.aio.delete(one.instance)
                await storage.aio.save(Host(address="b"))
        return happened

    happened = asyncio.run(main())
    assert [(one.event, one.message.key) for one in happened] == [("created", "a"), ("deleted", "a"), ("created", "b")]


def test_a_loop_goes_on_where_an_earlier_registration_stood(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    with storage.register_callback(lambda *_: None, Cluster) as watch:
        storage.save(Cluster("a"))
        assert eventually(lambda: [one.sequence for one in watch.positions.values()] == [1])
        positions = watch.positions
    storage.save(Cluster("b"))
    with storage.notifications(Cluster, since=positions) as notifications:
        first = next(iter(notifications))

    async def main() -> Happened:
        with await storage.aio.notifications(Cluster, since=positions) as notifications:
            return await anext(aiter(notifications))

    told = [first, asyncio.run(main())]
    assert [(one.event, one.message.key, one.message.source) for one in told] == 2 * [("created", "b", "log")]


def test_closing_ends_a_loop_that_waits(storage_room: StorageRoom) -> None:
    storage_room.serve()
    notifications = storage_room.storage().notifications()
    ended = threading.Event()

    def wait() -> None:
        assert list(notifications) == []
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    notifications.close()
    assert ended.wait(LIMIT)
    thread.join(LIMIT)


def test_a_slow_loop_gets_everything_from_a_bounded_buffer(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    notifications = storage.notifications(Cluster)
    for number in range(25):
        storage.save_many([Cluster(f"{number}-{k}") for k in range(100)])
    assert eventually(lambda: len(notifications._kept) == 100)
    happened = list(islice(notifications, 2_500))
    assert [one.message.sequence for one in happened] == list(range(1, 2_501))
    assert notifications.counters["overflowed"] > 0
    notifications.close()


def test_async_with_says_what_to_write_instead(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()

    async def main() -> list[str]:
        with pytest.raises(ConfigurationError, match=r"write 'with await storage\.aio\.notifications"):
            async with await storage.aio.notifications(Cluster):
                raise AssertionError("not to be reached")
        with await storage.aio.notifications(Cluster) as notifications:  # as it says
            await storage.aio.save(Cluster("a"))
            async for one in notifications:
                return [one.instance.name]
        raise AssertionError("nothing came")

    assert asyncio.run(main()) == ["a"]


def keys(happened: list[Happened]) -> list[str]:
    return [one.message.key for one in happened]


def test_a_loop_goes_on_where_an_earlier_one_stood(storage_room: StorageRoom, sqlite: str) -> None:
    service = storage_room.serve(StoreConfig(url=sqlite, models=[Cluster]))
    storage = storage_room.storage()
    storage.save_many([Cluster(name) for name in "abcd"])
    with storage.notifications(Cluster, since={}) as first:
        assert keys(list(islice(first, 4))) == ["a", "b", "c", "d"]
        assert eventually(lambda: "main" in first._watch.positions)  # until then all that is there is being read
        storage.save_many([Cluster("e"), Cluster("f")])
        assert keys(list(islice(first, 2))) == ["e", "f"]
    kept = msgspec.json.encode(first.positions)  # "f" counts when the next one is asked for: it never was
    service.stop()
    service.start()
    storage.save(Cluster("while it was away"))
    gaps: list[Gap] = []
    since = msgspec.json.decode(kept, type=dict[str, Position])
    with storage.notifications(Cluster, since=since, on_gap=gaps.append) as again:
        assert keys(list(islice(again, 2))) == ["f", "while it was away"]
    assert [(one.resync, one.missed) for one in gaps] == [(False, 2)]


def test_an_async_loop_goes_on_where_an_earlier_one_stood(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    first = storage.notifications(Cluster)
    storage.save_many([Cluster("a"), Cluster("b"), Cluster("c")])

    async def first_of(since: dict[str, Position]) -> str:
        with await storage.aio.notifications(Cluster, since=since) as notifications:
            async for one in notifications:
                return one.message.key
        raise AssertionError("nothing came")

    loop = iter(first)
    next(loop)
    next(loop)
    assert asyncio.run(first_of(first.positions)) == "b"
    first.close()


def test_positions_of_a_loop_move_on_when_the_next_one_is_asked_for(storage_room: StorageRoom) -> None:
    """Not when it waits in the buffer: who dies before it is read has not been told."""
    storage_room.serve()
    storage = storage_room.storage()
    with storage.notifications(Cluster) as notifications:
        assert notifications.positions["main"].sequence == 0
        storage.save(Cluster("a"))
        storage.save(Cluster("b"))
        assert eventually(lambda: len(notifications._kept) == 2)
        assert notifications.positions["main"].sequence == 0
        seen = []
        for one in notifications:
            seen.append((one.message.sequence, notifications.positions["main"].sequence))
            if one.message.key == "b":
                notifications.close()
    assert seen == [(1, 0), (2, 1)]
    assert notifications.positions["main"].sequence == 2  # the loop has asked for more


def test_what_did_not_get_into_the_buffer_before_it_was_closed_is_not_counted(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    notifications = storage.notifications(Cluster)
    storage.save_many([Cluster(f"{number}") for number in range(120)])
    assert eventually(lambda: len(notifications._kept) == 100)
    notifications.close()
    assert len(list(notifications)) == 100
    assert notifications.positions["main"].sequence == 100


def test_where_a_loop_begins_is_checked(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    with pytest.raises(ValidationFailed, match="not both"):
        storage.notifications(Cluster, since={}, snapshot=True)
    with pytest.raises(ValidationFailed, match="a Position for each feed"):
        storage.notifications(Cluster, since={"main": 7})  # type: ignore[dict-item]


def test_to_a_child_nothing_comes_and_there_it_lets_go_without_touching_anything(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    told: list[str] = []
    watch = storage.register_callback(lambda event, *_: told.append(event), Cluster)
    notifications = storage.notifications(Cluster)
    begun = iter(notifications)
    storage.save(Cluster("a"))
    assert next(begun).message.key == "a"

    async def iterate() -> None:
        async for _ in notifications:
            return

    def try_all_ways() -> None:
        for iterator in (begun, iter(notifications)):
            with pytest.raises(ForkedError, match="make a new one in this process"):
                next(iterator)
        with pytest.raises(ForkedError, match="make a new one in this process"):
            asyncio.run(iterate())
        with pytest.raises(ForkedError, match="make a new one in this process"):
            _ = notifications.positions
        notifications.close()
        watch.close()
        storage.close()

    assert in_child(try_all_ways) == 0
    storage.save(Cluster("b"))
    assert next(begun).message.key == "b"
    assert eventually(lambda: len(told) == 2)
