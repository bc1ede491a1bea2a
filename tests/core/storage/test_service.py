"""The storage service as anybody may call it: plain values in, plain values out, typed errors."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from treaty import ConfigurationError, InvalidParams
from treaty.storage import (
    Conflict,
    IncompatibleSchema,
    NotFound,
    StorageService,
    StoreConfig,
    StoreUnavailable,
    UnknownModel,
    Unreadable,
    ValidationFailed,
    model,
)
from treaty_memory import MemoryTransport

from .conftest import StorageRoom
from .things import SECRET, Cluster, Heard, Host, Paper, eventually


def test_what_is_saved_is_there(storage_room: StorageRoom) -> None:
    storage_room.serve()
    call = storage_room.client().call
    saved = call("storage.save", {"model": "Host", "data": {"address": "a", "password": "s3cret"}})
    assert saved == {"key": "a", "version": 1, "event": "created"}
    data = {"address": "a", "port": 22, "password": "s3cret"}
    assert call("storage.get", {"model": "Host", "key": "a"}) == {"key": "a", "version": 1, "data": data}
    assert call("storage.list", {"model": "Host"})["entries"] == [{"key": "a", "version": 1, "data": data}]
    items = [{"data": {"number": 2}}, {"data": {"number": 1}, "version": 0}]
    assert [one["version"] for one in call("storage.save_many", {"model": "Ticket", "items": items})] == [2, 3]
    assert [one["key"] for one in call("storage.get_many", {"model": "Ticket", "keys": [2, "1"]})] == ["2", "1"]
    assert call("storage.delete", {"model": "Ticket", "key": 2})["version"] == 4
    call("storage.delete_many", {"model": "Ticket", "keys": ["1"], "versions": [3]})
    assert call("storage.list", {"model": "Ticket"}) == {"entries": [], "more": False}


BAD: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("get", {"model": "Ghost", "key": "a"}, UnknownModel, "no store keeps 'Ghost'; known: Cluster, Host, Ticket"),
    ("save", {"model": "Ghost", "data": {}}, UnknownModel, "'Ghost'"),
    ("get", {"model": "Host", "key": "zz"}, NotFound, "no Host with the key 'zz'"),
    ("get_many", {"model": "Host", "keys": ["a", "zz"]}, NotFound, "'zz'"),
    ("delete", {"model": "Host", "key": "zz"}, NotFound, "'zz'"),
    ("delete_many", {"model": "Host", "keys": ["a", "zz"]}, NotFound, "'zz'"),
    ("delete_many", {"model": "Host", "keys": ["a"], "versions": []}, ValidationFailed, "0 versions for 1 keys"),
    ("get", {"model": "Host", "key": ""}, ValidationFailed, "1 to 255 characters"),
    ("save", {"model": "Host", "data": {"address": "b", "port": "x"}}, ValidationFailed, r"Host\.port: Expected `int`"),
    ("save", {"model": "Host", "data": {"port": 1}}, ValidationFailed, "missing required field `address`"),
    (
        "save",
        {"model": "Host", "data": {"address": "b", "password": "x" * 3000}},
        ValidationFailed,
        r"Host: 3,0.*\(key 'b'\)",
    ),
    ("save", {"model": "Host", "data": {"address": "a"}, "version": 9}, Conflict, "version 9 was expected, it has"),
    ("save", {"model": "Host", "data": {"address": "a"}, "version": 0}, Conflict, "none was expected"),
    (
        "save_many",
        {"model": "Host", "items": [{"data": {"address": "b"}}, {"data": {"address": "a"}, "version": 9}]},
        Conflict,
        "'a'",
    ),
    (
        "save_many",
        {"model": "Host", "items": [{"data": {"address": "b"}}, {"data": {"name": "b"}}]},
        ValidationFailed,
        "`address`",
    ),
    (
        "save_many",
        {"model": "Host", "items": [{"data": {"address": "b"}}, {"data": {"address": "b"}}]},
        ValidationFailed,
        r"Host: given twice \(key 'b'\)",
    ),
    ("delete_many", {"model": "Host", "keys": ["a", "a"]}, ValidationFailed, r"Host: given twice \(key 'a'\)"),
    ("save", {"model": "Host", "data": "text"}, InvalidParams, "data"),
    ("get", {"model": "Host"}, InvalidParams, "key"),
    ("changes_since", {"epoch": "e", "sequence": 0, "feed": "x"}, ValidationFailed, "no feed 'x'; known: main"),
]


@pytest.mark.parametrize(("method", "params", "error", "text"), BAD, ids=[f"{row[0]}-{n}" for n, row in enumerate(BAD)])
def test_bad_input_is_a_typed_error_and_changes_nothing(
    storage_room: StorageRoom, method: str, params: dict[str, Any], error: type[Exception], text: str
) -> None:
    storage_room.serve(max_size=3000)
    call = storage_room.client().call
    call("storage.save", {"model": "Host", "data": {"address": "a"}})
    before = call("storage.feeds"), call("storage.list", {"model": "Host"})
    with pytest.raises(error, match=text):
        call(f"storage.{method}", params)
    assert (call("storage.feeds"), call("storage.list", {"model": "Host"})) == before


def test_a_secret_that_does_not_fit_is_in_no_error_and_no_log(
    storage_room: StorageRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    storage_room.serve()
    with pytest.raises(ValidationFailed) as caught:
        storage_room.client().call("storage.save", {"model": "Ticket", "data": {"number": "s3cret", "token": "s3cret"}})
    assert "s3cret" not in str(caught.value) + repr(vars(caught.value)) + caplog.text


def test_what_is_nested_so_deeply_that_its_change_could_not_be_read_is_refused(storage_room: StorageRoom) -> None:
    @model(key="name")
    class Deep(msgspec.Struct):
        name: str
        value: Any

    storage_room.serve(StoreConfig(url="memory:", models=[Deep]))
    storage, heard = storage_room.storage(), Heard()

    def nested(levels: int) -> Any:
        return [nested(levels - 1)] if levels else 1

    storage.register_callback(heard, Deep, snapshot=True)
    storage.save(Deep("a", nested(48)))
    assert storage.list(Deep) == [storage.get(Deep, "a")] == [heard.next()[1]]
    epoch = storage_room.client().call("storage.feeds")["feeds"][0]["epoch"]
    page = storage_room.client().call("storage.changes_since", {"epoch": epoch, "sequence": 0})
    assert page["changes"][0]["data"]["value"] == nested(48)
    with pytest.raises(ValidationFailed, match=r"Deep\.value: nested deeper than 48 levels \(key 'b'\)"):
        storage.save(Deep("b", nested(49)))


def test_a_list_and_the_changes_come_in_parts_that_fit(storage_room: StorageRoom) -> None:
    storage_room.serve()
    call = storage_room.client().call
    start = call("storage.feeds")["feeds"][0]
    for number in range(7):
        call("storage.save", {"model": "Cluster", "data": {"name": f"{number}" + "x" * 200}})
        call("storage.save", {"model": "Host", "data": {"address": f"{number}", "password": "x" * 900_000}})
    keys: list[str] = []
    answer = {"more": True}
    parts = 0
    while answer["more"]:
        answer = call("storage.list", {"model": "Host", "after": keys[-1] if keys else ""})
        keys += [entry["key"] for entry in answer["entries"]]
        parts += 1
    assert keys == [f"{number}" for number in range(7)] and parts == 4
    page = call("storage.changes_since", {"epoch": start["epoch"], "sequence": 0, "limit": 10})
    assert (len(page["changes"]), page["more"], page["head"], page["lost"]) == (10, True, 14, None)


def test_each_store_has_a_feed_of_its_own(storage_room: StorageRoom, sqlite: str) -> None:
    storage_room.serve(
        StoreConfig(url=sqlite, models=[Host, Cluster]), StoreConfig(name="papers", url="memory:", models=[Paper])
    )
    call = storage_room.client().call
    call("storage.save", {"model": "Host", "data": {"address": "a"}})
    call("storage.save", {"model": "Ticket", "data": {"number": 1}})
    call("storage.save", {"model": "Host", "data": {"address": "b"}})
    feeds = {one["feed"]: one for one in call("storage.feeds")["feeds"]}
    assert {name: (one["sequence"], one["models"]) for name, one in feeds.items()} == {
        "main": (2, ["Host", "Cluster"]),
        "papers": (1, ["Ticket"]),
    }
    where = {"epoch": feeds["papers"]["epoch"], "sequence": 0, "feed": "papers"}
    assert [one["key"] for one in call("storage.changes_since", where)["changes"]] == ["1"]


def test_a_service_may_be_stopped_and_started_again(storage_room: StorageRoom, sqlite: str) -> None:
    service = storage_room.serve(StoreConfig(url=sqlite, models=[Host]))
    client = storage_room.client()
    client.call("storage.save", {"model": "Host", "data": {"address": "a"}})
    service.stop()
    service.start()
    service.start()
    assert client.call("storage.get", {"model": "Host", "key": "a"})["version"] == 1
    assert eventually(lambda: client.call("storage.feeds")["feeds"][0]["sequence"] == 1)


def test_a_subclass_may_bring_its_stores_and_its_name() -> None:
    class Inventory(StorageService):
        name = "inventory"
        stores = (StoreConfig(url="memory:", models=[Host]),)

    transport = MemoryTransport("inventory")
    with Inventory(transport, secret=SECRET) as service:
        assert service.serving and repr(service) == "<Inventory inventory serving>"
    transport.close()


def test_a_service_whose_store_cannot_be_opened_does_not_start_and_closes_the_others(tmp_path: Path) -> None:
    good, newer = tmp_path / "good.db", tmp_path / "newer.db"
    with sqlite3.connect(newer) as connection:
        connection.execute("CREATE TABLE treaty_feed (id INTEGER, schema INTEGER)")
        connection.execute("INSERT INTO treaty_feed VALUES (1, 99)")
    connection.close()
    transport = MemoryTransport("newer")
    stores = [
        StoreConfig(url=f"sqlite:///{good}", models=[Host]),
        StoreConfig(name="newer", url=f"sqlite:///{newer}", models=[Paper]),
    ]
    service = StorageService(transport, secret=SECRET, stores=stores)
    with pytest.raises(IncompatibleSchema, match=r"newer\.db has schema 99"):
        service.start()
    assert not service.serving
    with pytest.raises(StoreUnavailable, match="closed"):
        service._feeds["main"].store.standing()
    transport.close()


@pytest.mark.parametrize(
    ("option", "value"),
    [("beat", 0), ("beat", "1"), ("beat", math.inf), ("max_size", 0), ("max_size", True), ("max_size", 1.5)],
)
def test_numbers_that_make_no_sense(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{option} is a (whole )?number of"):
        options: dict[str, Any] = {option: value}
        StorageService(
            MemoryTransport("x"), secret=SECRET, stores=[StoreConfig(url="memory:", models=[Cluster])], **options
        )


def test_what_is_damaged_in_the_database_is_a_typed_error_that_names_it(
    storage_room: StorageRoom, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    storage_room.serve(StoreConfig(url=f"sqlite:///{path}", models=[Cluster, Host]))
    storage = storage_room.storage()
    storage.save_many([Cluster(name) for name in "abcd"])
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE treaty_objects SET data = '{"name": "c"' WHERE key >= 'c'""")
        connection.execute("""UPDATE treaty_objects SET data = '{"name": "b", "size": "s3cret"}' WHERE key = 'b'""")
    connection.close()
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: storage.get(Cluster, "b"), "b"),
        (lambda: storage.get_many(Cluster, ["a", "b"]), "b"),
        (lambda: storage.get(Cluster, "c"), "c"),
        (lambda: storage.list(Cluster), "c"),
        (lambda: asyncio.run(storage.aio.list(Cluster)), "c"),
        (lambda: storage.save(Cluster("c")), "c"),
        (lambda: storage.delete(Cluster, "c"), "c"),
    ]
    for attempt, key in attempts:
        with pytest.raises(Unreadable, match="is stored, but cannot be read") as caught:
            attempt()
        assert (caught.value.model, caught.value.key) == ("Cluster", key) and "s3cret" not in str(caught.value)
    assert storage.get(Cluster, "a") == Cluster("a")
    assert storage.save(Cluster("b", 2)) == storage.get(Cluster, "b")  # what is JSON can be mended


def test_a_snapshot_that_cannot_be_read_is_told_of_once_and_comes_when_it_is_mended(
    storage_room: StorageRoom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    storage_room.serve(StoreConfig(url=f"sqlite:///{path}", models=[Cluster]))
    storage, heard = storage_room.storage(), Heard()
    storage.save(Cluster("a"))

    def alter(data: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE treaty_objects SET data = ?", [data])
        connection.close()

    alter("{")
    watch = storage.register_callback(heard, Cluster, snapshot=True)
    assert eventually(lambda: watch.counters.get("failed reads", 0) >= 2)
    alter('{"name": "a"}')
    assert heard.next()[1] == Cluster("a")
    told = [one.getMessage() for one in caplog.records if "cannot be read now" in one.getMessage()]
    assert len(told) == 1 and "Cluster 'a' is stored, but cannot be read" in told[0]


def test_a_database_that_is_emptied_under_the_service_is_said_to_be(storage_room: StorageRoom, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    storage_room.serve(StoreConfig(url=f"sqlite:///{path}", models=[Cluster]))
    storage = storage_room.storage()
    storage.save(Cluster("a"))
    os.truncate(path, 0)
    attempts: list[Callable[[], object]] = [lambda: storage.get(Cluster, "a"), lambda: storage.save(Cluster("b"))]
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match=r"store\.db: the file was emptied"):
            attempt()


@pytest.mark.parametrize("shared", [False, True])
def test_a_store_in_memory_among_competing_workers_is_warned_of(
    shared: bool, sqlite: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport = MemoryTransport("among")
    # As Redis and RabbitMQ do.
    transport.guarantees = msgspec.structs.replace(transport.guarantees, crosses_processes=True)
    store = StoreConfig(url=sqlite if shared else "memory:", models=[Host])
    with StorageService(transport, secret=SECRET, stores=[store]):
        warned = [one.getMessage() for one in caplog.records if "start no second worker" in one.getMessage()]
    transport.close()
    assert len(warned) == (0 if shared else 1)
    assert shared or "storage: the store 'main' is in this process alone" in warned[0]
