"""Instances in, instances out: blocking and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import pytest

from treaty import MAX_FRAME, Client, ConfigurationError, FrameTooLarge, Unavailable
from treaty.storage import (
    Conflict,
    NotFound,
    Notice,
    StorageClient,
    StoreConfig,
    UnknownModel,
    ValidationFailed,
    model,
)
from treaty_memory import MemoryTransport

from .conftest import StorageRoom
from .things import SECRET, Cluster, Colour, Heard, Host, Paper, eventually


def test_instances_come_back_as_they_were_saved(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    host = storage.save(Host(address="a", password="s3cret"))
    assert host == Host(address="a", password="s3cret", revision=1)
    assert storage.get(Host, "a") == host
    papers = [Paper(number, colour=Colour.BLUE) for number in (3, 20, 1)]
    assert storage.save_many(papers) == papers
    assert storage.get_many(Paper, [20, 3]) == [papers[1], papers[0]]
    assert storage.list(Paper) == [papers[2], papers[1], papers[0]]  # in the order of the keys as text
    storage.delete(papers[0])
    storage.delete_many(Paper, [1, 20])
    storage.delete(host)
    assert not storage.list(Paper) and not storage.list(Host)
    storage.save_many([Host(address="x"), Host(address="y")])
    storage.delete_many(storage.list(Host))
    assert storage.list(Host) == [] and storage.save_many([]) == []


def test_a_version_keeps_two_from_overwriting_each_other(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    storage.save(Host(address="a"))
    mine, yours = storage.get(Host, "a"), storage.get(Host, "a")
    mine.port = 23
    mine = storage.save(mine)
    yours.port = 24
    with pytest.raises(Conflict) as caught:
        storage.save(yours)
    assert (caught.value.model, caught.value.key, caught.value.expected, caught.value.actual) == ("Host", "a", 1, 2)
    with pytest.raises(Conflict):
        storage.delete(yours)
    with pytest.raises(Conflict):
        storage.save(Cluster("a"), version=3)
    storage.save(yours, version=mine.revision)
    assert storage.get(Host, "a").port == 24
    storage.delete(Host, "a")
    with pytest.raises(Conflict):
        storage.save(mine)  # a version never comes back, also not with an object that is made anew


def test_a_hidden_field_that_is_not_set_stays_as_it_is(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()
    storage.register_callback(heard, Host)
    storage.save(Host(address="a", password="s3cret"))
    _, told, _ = heard.next()
    told.port = 23
    storage.save(told)
    assert storage.get(Host, "a") == Host(address="a", port=23, password="s3cret", revision=2)


def test_many_is_all_or_nothing(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    storage.save(Host(address="b"))
    with pytest.raises(Conflict, match="'b'"):
        storage.save_many([Host(address="a"), Host(address="b"), Host(address="c")])
    with pytest.raises(NotFound, match="'x'"):
        storage.delete_many(Host, ["b", "x"])
    assert [host.address for host in storage.list(Host)] == ["b"]


def test_a_list_is_read_to_its_end(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    names = sorted(f"{number}" for number in range(1_203))
    storage.save_many([Cluster(name) for name in names])
    assert [one.name for one in storage.list(Cluster)] == names


def test_errors_keep_their_type(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    with pytest.raises(NotFound) as missing:
        storage.get(Host, "zz")
    assert (missing.value.model, missing.value.key) == ("Host", "zz")

    class Unheard:
        pass

    with pytest.raises(ConfigurationError, match="Unheard is no model"):
        storage.save(Unheard())
    with pytest.raises(ConfigurationError, match="is no model"):
        storage.register_callback(Heard(), Unheard)


def test_everything_can_be_awaited(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()

    async def main() -> list[Any]:
        aio = storage.aio
        await asyncio.gather(*(aio.save(Cluster(f"{number}", number)) for number in range(30)))
        assert await aio.get(Cluster, "7") == Cluster("7", 7)
        assert await aio.get_many(Cluster, ["1", "2"]) == [Cluster("1", 1), Cluster("2", 2)]
        assert await aio.save_many([]) == []
        host, other = await aio.save_many([Host(address="a"), Host(address="b")])
        with pytest.raises(Conflict):
            await aio.save(Host(address="a"))
        await aio.delete(host)
        await aio.delete_many([other])
        await aio.delete_many(Host, [])
        with pytest.raises(NotFound):
            await aio.delete(Host, "a")
        return await aio.list(Cluster)

    assert len(asyncio.run(main())) == 30
    assert len(storage.list(Cluster)) == 30


@pytest.mark.parametrize(
    ("callback", "event", "text"),
    [
        (None, "any", "callback: a callback is callable, not NoneType"),
        ("print", "any", "callback: a callback is callable, not str"),
        (print, "exploded", "event: 'exploded' is no event; known: created, updated, deleted, any"),
        (print, None, "event: None is no event"),
    ],
)
def test_a_registration_that_makes_no_sense(storage_room: StorageRoom, callback: Any, event: Any, text: str) -> None:
    storage_room.serve()
    with pytest.raises(ValidationFailed, match=text):
        storage_room.storage().register_callback(callback, Host, event)


def test_a_model_that_the_service_does_not_keep(storage_room: StorageRoom) -> None:
    storage_room.serve(StoreConfig(url="memory:", models=[Host]))
    storage = storage_room.storage()
    for attempt in (lambda: storage.get(Cluster, "a"), lambda: storage.register_callback(print, Cluster)):
        with pytest.raises(UnknownModel, match="no store keeps 'Cluster'; known: Host"):
            attempt()


def test_a_registration_without_a_service_says_so_and_leaves_nothing(storage_room: StorageRoom) -> None:
    with pytest.raises(Unavailable):
        storage_room.storage().register_callback(print, Host)


def test_a_client_that_it_made_is_closed_with_it_and_one_that_it_was_given_is_not() -> None:
    transport = MemoryTransport("owned")
    client = Client(transport, secret=SECRET)
    with StorageClient(client, models=[Host]) as storage:
        assert repr(storage) == "<StorageClient of storage>"
    assert not client.closed
    client.close()
    own = StorageClient(transport, secret=SECRET, timeout=1)
    own.close()
    assert own._client.closed
    transport.close()


def test_what_was_saved_is_known_to_a_callback_for_all_models(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()
    storage.register_callback(heard)
    storage.save_many([Cluster("a"), Cluster("b")])
    asyncio.run(storage.aio.save_many([Host(address="c")]))
    assert heard.take(3) == [
        ("created", Cluster("a")),
        ("created", Cluster("b")),
        ("created", Host(address="c", revision=3)),
    ]


def test_a_class_in_the_place_of_an_instance_is_named(storage_room: StorageRoom) -> None:
    storage = storage_room.storage()
    with pytest.raises(ValidationFailed, match="Host: this is the class, where an instance belongs"):
        storage.save(Host)
    with pytest.raises(ValidationFailed, match="Host: this is the class, where an instance belongs"):
        storage.delete(Host)
    with pytest.raises(ValidationFailed, match="Host: this is the class, where an instance belongs"):
        asyncio.run(storage.aio.save(Host))


@model(key="name")
@dataclass
class Mixed:
    name: str
    tags: set[str] = field(default_factory=set)
    by_number: dict[int, str] = field(default_factory=dict)
    value: Any = None
    when: Any = None


def test_what_is_returned_is_what_is_got(storage_room: StorageRoom) -> None:
    """Whatever JSON makes of a value, it has made of it already when it was saved."""
    storage_room.serve(StoreConfig(url="memory:", models=[Mixed, Host]))
    storage = storage_room.storage()
    given = Mixed("a", {"x", "y"}, {1: "one", 10: "ten"}, {1: (1, {2})}, date(2026, 5, 1))
    saved = storage.save(given)
    assert (
        saved == storage.get(Mixed, "a") == Mixed("a", {"x", "y"}, {1: "one", 10: "ten"}, {"1": [1, [2]]}, "2026-05-01")
    )
    assert given.value == {1: (1, {2})}
    assert storage.save_many([Mixed("b", value=(1,))]) == storage.get_many(Mixed, ["b"])
    assert storage.save(Host(address="a")) == storage.get(Host, "a")


def test_what_cannot_be_sent_names_the_object_and_changes_nothing(storage_room: StorageRoom) -> None:
    storage_room.serve()
    storage = storage_room.storage()
    storage.save(Host(address="a"))
    before = storage.list(Host), storage_room.client().call("storage.feeds")
    large = Host(address="b", password="x" * (MAX_FRAME + 1))

    async def awaited() -> None:
        await storage.aio.save(large)

    attempts: list[tuple[Callable[[], object], str, str]] = [
        (lambda: storage.save(large), "too large for a message", "b"),
        (lambda: asyncio.run(awaited()), "too large for a message", "b"),
        (lambda: storage.save_many([large]), "too large for a message", "b"),
        (lambda: storage.save_many([Host(address="c"), large]), "2 objects, of which this is the largest", "b"),
        (lambda: storage.get_many(Host, map(str, range(MAX_FRAME // 8))), "keys are too many for one message", ""),
        (lambda: storage.save(Host(address="d", password="x" * 2_000_000)), "bytes of JSON, and 1,048,576 are", "d"),
        (lambda: storage.save(Host(address="\ud800")), "surrogates", ""),
        (lambda: storage.save(Host(address="e", password="\ud800")), "surrogates", "e"),
    ]
    for attempt, text, key in attempts:
        with pytest.raises(ValidationFailed, match=text) as caught:
            attempt()
        assert (caught.value.model, caught.value.key) == ("Host", key)
    assert (storage.list(Host), storage_room.client().call("storage.feeds")) == before


def test_an_answer_that_is_too_large_names_what_was_asked_for(storage_room: StorageRoom) -> None:
    storage_room.serve(max_size=2 * MAX_FRAME)
    storage = storage_room.storage()
    half = "x" * (MAX_FRAME // 2)
    for address in ("a", "b", "c"):
        storage.save(Host(address=address, password=half))
    with pytest.raises(FrameTooLarge, match=r"Host 'a' and 2 more: .*get_many was executed"):
        storage.get_many(Host, ["a", "b", "c"])


async def _coroutine(*_: object) -> None: ...


class _Awaited:
    async def __call__(self, *_: object) -> None: ...


@pytest.mark.parametrize("callback", [_coroutine, _Awaited(), partial(_coroutine, 1)])
@pytest.mark.parametrize("place", ["callback", "on_gap"])
def test_a_coroutine_function_is_no_callback(storage_room: StorageRoom, callback: Any, place: str) -> None:
    storage_room.serve()
    callbacks = {"callback": print, place: callback}
    with pytest.raises(ValidationFailed, match=f"{place}: .*write 'async for' over aio.notifications") as caught:
        storage_room.storage().register_callback(model=Host, **callbacks)
    assert caught.value.field == place


def test_a_callback_that_returns_a_coroutine_is_told_of_and_stays(
    storage_room: StorageRoom, caplog: pytest.LogCaptureFixture
) -> None:
    storage_room.serve()
    storage, heard = storage_room.storage(), Heard()

    def sly(event: str, host: Any, message: Notice) -> object:
        heard(event, host, message)
        return _coroutine()

    storage.register_callback(sly, Host)
    storage.save_many([Host(address="a"), Host(address="b")])
    assert [host.address for _, host in heard.take(2)] == ["a", "b"]
    assert eventually(lambda: caplog.text.count("TypeError: a callback returned a coroutine, which nobody awaits") == 2)
