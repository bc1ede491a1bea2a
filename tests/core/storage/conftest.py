"""Stores of every kind, each empty, and a room with a storage service; nothing is left when it is over."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from treaty import Client
from treaty.storage import MemoryStore, StorageClient, StorageService, Store, StoreConfig
from treaty_memory import MemoryTransport

from .things import SECRET, Cluster, Host, Paper, fresh


def _postgres_url() -> str:
    """Where PostgreSQL answers, or skip: it is an external server."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    tried = [os.environ["TREATY_TEST_POSTGRES"]] if os.environ.get("TREATY_TEST_POSTGRES") else [
        f"postgresql://{who}@127.0.0.1:5432/test" for who in ("postgres:postgres", "postgres", "root")
    ]  # fmt: skip
    reasons = []
    for url in tried:
        engine = sqlalchemy.create_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1), connect_args={"connect_timeout": 2}
        )
        try:
            with engine.connect():
                return url
        except sqlalchemy.exc.OperationalError as error:
            reasons.append(str(error.orig).partition("\n")[0])
        finally:
            engine.dispose()
    pytest.skip(f"not run: no PostgreSQL at 127.0.0.1:5432 or TREATY_TEST_POSTGRES: {reasons[-1]}")


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty schema in PostgreSQL."""
    import sqlalchemy

    url = _postgres_url()
    schema = fresh("treaty_test_").replace("-", "_")
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA {schema}"))
    try:
        yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}&application_name={schema}"
    finally:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def make_store(request: pytest.FixtureRequest) -> Iterator[Callable[..., Store]]:
    """Makes stores, not yet open: all of one kind, and of one place where they are durable."""
    made: list[Store] = []
    url = None if request.param == "memory" else request.getfixturevalue(request.param)

    def make(**options: Any) -> Store:
        if url is None:
            store: Store = MemoryStore(**options)
        else:
            from treaty.storage.sql import SqlStore

            store = SqlStore(url, **options)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    """An open store."""
    store = make_store()
    store.open()
    return store


class StorageRoom:
    """Makes storage services that are started, and clients of them, and ends them all."""

    def __init__(self) -> None:
        self.transport = MemoryTransport(fresh("storage-"))
        self._ends: list[Callable[[], None]] = [self.transport.close]

    def serve(self, *stores: StoreConfig, **options: Any) -> StorageService:
        configured = stores or (StoreConfig(url="memory:", models=[Host, Cluster, Paper]),)
        service = StorageService(self.transport, secret=SECRET, stores=configured, **{"beat": 0.05, **options})
        service.start()
        self._ends.append(service.stop)
        return service

    def client(self) -> Client:
        client = Client(self.transport, secret=SECRET)
        self._ends.append(client.close)
        return client

    def storage(self, **options: Any) -> StorageClient:
        storage = StorageClient(self.client(), **options)
        self._ends.append(storage.close)
        return storage

    def end(self) -> None:
        while self._ends:
            self._ends.pop()()


@pytest.fixture
def storage_room() -> Iterator[StorageRoom]:
    before = set(threading.enumerate())
    room = StorageRoom()
    try:
        yield room
    finally:
        room.end()
        for thread in set(threading.enumerate()) - before:
            thread.join(5)
            assert not thread.is_alive(), f"{thread.name} is left over"
