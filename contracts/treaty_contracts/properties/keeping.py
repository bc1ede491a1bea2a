"""The steps of a walk that save and listen: each with what must come of it, as a plain dict says.

A storage service stands beside the service that is called, on the same transport; what it keeps outlives it. It must not
know Hypothesis, nor who chooses the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, Protocol

from treaty import AuthenticationError, Client, Transport
from treaty.storage import Conflict, NotFound, StorageClient, StorageService, StoreConfig, Watch
from treaty_contracts.bench import Bench
from treaty_contracts.properties.faces import Face
from treaty_contracts.shelf import Shelf, ShelfStore
from treaty_contracts.storage_room import Cluster

#: What a step may expect of an object: nothing, that it is not there, that it is as it is, that it is as it was.
EXPECTATIONS: Final = ("whatever", "nothing", "as it is", "as it was")
KEYS: Final = ("a", "b")


class Somebody(Protocol):
    """Whoever takes a step."""

    label: str
    client: Client
    wrong: bool


class Told(NamedTuple):
    """A change as a callback is told of it."""

    event: str
    key: str
    size: int


class _Registered(NamedTuple):
    client: Client
    watch: Watch
    heard: SimpleQueue[Told]


class Keeping:
    """A storage service, its clients and callbacks, and what must be there.

    Args:
        bench: of the rule.
        face: how clients are used.
        name: of the service.
        limit: seconds that no step may take.
    """

    def __init__(self, bench: Bench, face: Face, name: str, limit: float) -> None:
        self._bench, self._face, self._name, self._limit = bench, face, name, limit
        self._shelf = Shelf()
        #: What must be there: version and size by key. A version is the number of the change that made it.
        self._objects: dict[str, tuple[int, int]] = {}
        self._changes = 0
        self._clients: dict[int, StorageClient] = {}
        self._registered: list[_Registered] = []
        self._service: StorageService | None = None

    @property
    def listening(self) -> int:
        """How many callbacks are registered."""
        return len(self._registered)

    # The service

    def serve(self, transport: Transport) -> None:
        """Start the service, on what is kept."""
        shelf = self._shelf
        named = type("StorageService", (StorageService,), {"name": self._name})
        stores = [StoreConfig(make=lambda: ShelfStore(shelf), models=[Cluster])]
        self._service = named(transport, secret=self._bench.secret, stores=stores, concurrency=2, drain=0.2)
        self._service.start()

    def stop(self) -> None:
        """Stop the service. Whether a registration outlives its transport is another question: they go first."""
        while self._registered:
            self.unregister()
        if self._service is not None:
            self._service.stop()

    def leave(self, client: Client) -> None:
        """A client is about to be closed."""
        self._registered = [one for one in self._registered if one.client is not client]
        storage = self._clients.pop(id(client), None)
        if storage is not None:
            self._face.do(storage.close, self._limit)

    # The steps

    def save(self, who: Somebody, key: str, size: int, expects: str) -> None:
        """Save an object."""
        what = self._did(who, f"saves {key} = {size}, expecting {expects}")
        version = self._version(key, expects)
        before = self._objects.get(key)
        storage = self._storage(who.client)
        if self._ends(lambda: storage.save(Cluster(key, size), version=version), self._error(key, version, who), what):
            self._changes += 1
            self._objects[key] = (self._changes, size)
            self._tell(Told("updated" if before else "created", key, size))

    def delete(self, who: Somebody, key: str, expects: str) -> None:
        """Delete an object."""
        what = self._did(who, f"deletes {key}, expecting {expects}")
        version = self._version(key, expects)
        before, storage = self._objects.get(key), self._storage(who.client)
        error = self._error(key, version, who) or (None if before else NotFound)
        if self._ends(lambda: storage.delete(Cluster, key, version=version), error, what):
            assert before is not None
            self._changes += 1
            del self._objects[key]
            self._tell(Told("deleted", key, before[1]))

    def read(self, who: Somebody, key: str) -> None:
        """Get an object, and list all."""
        what = self._did(who, f"gets {key}, and lists")
        storage = self._storage(who.client)
        refused = AuthenticationError if who.wrong else None
        error = refused or (None if key in self._objects else NotFound)
        got: list[Any] = []
        if self._ends(lambda: got.append(storage.get(Cluster, key)), error, what):
            self._bench.expect.equal(got, [Cluster(key, self._objects[key][1])], f"what get returns of {key}")
        if self._ends(lambda: got.append(storage.list(Cluster)), refused, what):
            wanted = [Cluster(one, size) for one, (_, size) in sorted(self._objects.items())]
            self._bench.expect.equal(got[-1], wanted, "what list returns")

    def register(self, who: Somebody) -> None:
        """Register a callback."""
        what = self._did(who, "registers a callback")
        heard: SimpleQueue[Told] = SimpleQueue()
        made: list[Watch] = []

        def told(event: str, instance: Cluster, _: object) -> None:
            heard.put(Told(str(event), instance.name, instance.size))

        storage = self._storage(who.client)
        refused = AuthenticationError if who.wrong else None
        if self._ends(lambda: made.append(storage.register_callback(told, Cluster)), refused, what):
            self._registered.append(_Registered(who.client, made[0], heard))

    def unregister(self) -> None:
        """Close the oldest registration."""
        self._bench.did("the oldest callback is unregistered")
        one = self._registered.pop(0)
        self._face.do(one.watch.close, self._limit)

    def check(self) -> None:
        """Check that no callback was told what was not to be told."""
        for one in self._registered:
            self._bench.expect.that(one.heard.empty(), "a callback is told each change once", "something else, too")

    # Inside

    def _did(self, who: Somebody, what: str) -> str:
        self._bench.did(f"{who.label} {what}")
        return f"{who.label} {what}"

    def _storage(self, client: Client) -> StorageClient:
        if id(client) not in self._clients:
            self._clients[id(client)] = StorageClient(client, service=self._name, models=[Cluster])
        return self._clients[id(client)]

    def _version(self, key: str, expects: str) -> int | None:
        now = self._objects[key][0] if key in self._objects else 0
        return {"whatever": None, "nothing": 0, "as it is": now, "as it was": self._changes + 7}[expects]

    def _error(self, key: str, version: int | None, who: Somebody) -> type[Exception] | None:
        if who.wrong:
            return AuthenticationError
        now = self._objects[key][0] if key in self._objects else 0
        return Conflict if version not in (None, now) else None

    def _ends(self, action: Callable[[], object], error: type[Exception] | None, what: str) -> bool:
        """Do something, and say whether it was done: if it must not be, it has to be refused like this."""
        if error is None:
            self._face.do(action, self._limit)
            return True
        self._bench.expect.raises(error, lambda: self._face.do(action, self._limit), what)
        return False

    def _tell(self, wanted: Told) -> None:
        for one in self._registered:
            try:
                told: Told | None = one.heard.get(timeout=self._bench.times.arrive)
            except Empty:
                told = None
            self._bench.expect.equal(told, wanted, "what a callback is told")
