"""What happens, in a loop."""

from __future__ import annotations

import asyncio
import threading
from itertools import islice

import pytest

from treaty import ConfigurationError
from treaty.storage import Happened

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
