"""What the rules about storage work on: a storage service on a transport, clients of it, and callbacks that remember.

Stores stand on a shelf, so that a service can be started again on what another one has left, and somebody else can
write meanwhile. This room must not know which rule it serves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from treaty import ConnectionLost, Delivery, Inbox, Transport, Unavailable
from treaty.storage import Gap, Notice, StorageClient, StorageService, Store, StoreConfig, Watch, Write, model
from treaty_contracts.bench import Bench
from treaty_contracts.expect import until
from treaty_contracts.shelf import Shelf, ShelfStore
from treaty_contracts.surface import OnLoop
from treaty_contracts.wrapping import WrappedInbox, WrappedTransport


@model(key="address", hidden=["password"], version="revision", name="Host")
class Host(msgspec.Struct, kw_only=True):
    """A model with all that can be declared."""

    address: str
    port: int = 22
    password: str | msgspec.UnsetType = msgspec.UNSET
    revision: int = 0


@model(key="name", name="Cluster")
@dataclass(frozen=True)
class Cluster:
    """A model with nothing but a key."""

    name: str
    size: int = 1


class Heard:
    """A callback that remembers."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._queue: SimpleQueue[tuple[str, Any, Notice]] = SimpleQueue()
        self.gaps: SimpleQueue[Gap] = SimpleQueue()
        self.all: list[Notice] = []
        self.registration: Watch | None = None
        #: What somebody knows who has heard nothing but this: the versions by model and key.
        self.state: dict[tuple[str, str], int] = {}

    def __call__(self, event: str, instance: Any, message: Notice) -> None:
        self.all.append(message)
        if event == "deleted":
            self.state.pop((message.model, message.key), None)
        else:
            self.state[message.model, message.key] = message.version
        self._queue.put((event, instance, message))

    @property
    def empty(self) -> bool:
        """Whether nothing was heard that nobody has asked for."""
        return self._queue.empty()

    def next(self, what: str = "a change that was made") -> tuple[str, Any, Notice]:
        """Return what is heard next, which must come."""
        try:
            return self._queue.get(timeout=self._bench.times.arrive)
        except Empty:
            self._bench.expect.never(f"{what} is told", "nothing")

    @property
    def failed_reads(self) -> int:
        """How often the service could not be asked for what is missing."""
        return 0 if self.registration is None else self.registration.counters.get("failed reads", 0)

    def asked_in_vain(self, before: int) -> bool:
        """Whether the service was asked in vain more often than before."""
        return self.failed_reads > before

    def until(self, key: str) -> None:
        """Wait until something is heard of this object, which must come."""
        while self.next(f"a change of {key!r}")[2].key != key:
            continue

    def spelled(self) -> list[tuple[int, str, str]]:
        """Return what was heard, as far as most rules care."""
        return [(one.sequence, str(one.event.value), one.key) for one in self.all]


class Meddling(WrappedTransport):
    """A transport whose user can have notifications lost, late, or not published."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        #: Notifications that hold this are lost on the way in.
        self.loses = b""
        #: One that holds this is handed out behind the one that follows it.
        self.delays = b""
        #: Whether nothing can be published.
        self.silent = False
        self.lost: SimpleQueue[bytes] = SimpleQueue()

    def publish(self, channel: str, frame: bytes) -> None:
        if self.silent:
            raise Unavailable("nothing can be published now, as the rule wants it")
        super().publish(channel, frame)

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - all channels alike
        return _Meddled(inner, self)


class _Meddled(WrappedInbox):
    def __init__(self, inner: Inbox, way: Meddling) -> None:
        super().__init__(inner)
        self._way = way
        self._late: Delivery | None = None
        self._due: list[Delivery] = []

    def receive(self, timeout: float) -> Delivery | None:
        if self._due:
            return self._due.pop()
        delivery = super().receive(timeout)
        if delivery is None:
            return None
        if self._way.loses and self._way.loses in delivery.frame:
            delivery.settle()
            self._way.lost.put(delivery.frame)
            return None
        if self._way.delays and self._way.delays in delivery.frame:
            self._late = delivery
            return None
        if self._late is not None and b"$beat" not in delivery.frame:
            self._due, self._late = [self._late], None
        return delivery


class Room:
    """A storage service, its store and its clients."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.name = bench.name("storage")
        self.shelf = Shelf()
        #: Seconds between two beats.
        self.beat = max(0.05, 0.1 * bench.times.slack)

    def serve(self, *, transport: Transport | None = None, beat: float = 0.0) -> StorageService:
        """Start a service on what is on the shelf now."""
        shelf = self.shelf
        stores = [StoreConfig(make=lambda: ShelfStore(shelf), models=[Host, Cluster])]
        return self.bench.service(
            StorageService, name=self.name, transport=transport, stores=stores, beat=beat or self.beat
        )

    def storage(self, *, transport: Transport | None = None, **options: Any) -> StorageClient:
        """Make a client of it."""
        client = self.bench.client(transport=transport, **options)
        return self.bench.keep(StorageClient(client, service=self.name, models=[Host, Cluster]))

    def reach(self, storage: StorageClient) -> None:
        """Ask a service that was started again, so that the connection is known to work: one question may fail on the way."""
        try:
            storage.list(Cluster)
        except (ConnectionLost, Unavailable):
            storage.list(Cluster)

    def meddled(self, role: str) -> Meddling:
        """Open a transport that can be meddled with."""
        return Meddling(self.bench.open(role))

    def listen(self, storage: StorageClient, cls: type | None = None, event: str = "any", **options: Any) -> Heard:
        """Register a callback that remembers."""
        heard = Heard(self.bench)
        heard.registration = storage.register_callback(heard, cls, event, on_gap=heard.gaps.put, **options)
        return heard

    def worker(self) -> Store:
        """Return the store of another worker, which publishes nothing: it dies too soon."""
        store = ShelfStore(self.shelf)
        # Not opened: another worker of the same service does not end the epoch of the first.
        store.opened = True
        return store

    @property
    def kept(self) -> dict[tuple[str, str], int]:
        """The versions of what is on the shelf."""
        with self.shelf.lock:
            return {identity: version for identity, (version, _) in self.shelf.objects.items()}

    def agrees(self, heard: Heard, what: str) -> None:
        """Check that whoever heard this knows what is kept, and heard of each object in order and once."""
        until(lambda: heard.state == self.kept, self.bench.times.arrive)
        self.bench.expect.equal(dict(heard.state), self.kept, f"{what}: what is known by what was heard")
        told: dict[tuple[str, str], int] = {}
        for notice in heard.all:
            before = told.get((notice.model, notice.key), 0)
            fits = notice.sequence > before or notice.source == "snapshot"
            self.bench.expect.that(
                fits, f"{what}: each change of {notice.key!r} once and in order", heard.spelled()[-20:]
            )
            told[notice.model, notice.key] = notice.sequence

    def do(self, storage: StorageClient, verb: str, *arguments: Any) -> Any:
        """Ask on the surface under test."""
        surface = self.bench.surface
        if isinstance(surface, OnLoop):
            work = getattr(storage.aio, verb)(*arguments)
            return surface.run(work).result(self.bench.times.arrive + self.bench.times.slack)
        return getattr(storage, verb)(*arguments)

    def asks(self, storage: StorageClient, verb: str, *arguments: Any) -> Callable[[], Any]:
        """Return a question that can be asked on the surface under test."""
        return partial(self.do, storage, verb, *arguments)


def a_host(key: str, port: int = 22) -> Write:
    """Return what a worker writes to save a host."""
    return Write(model="Host", key=key, data={"address": key, "port": port}, hidden=("password",))


class Gate:
    """Holds a callback until it is opened, or the bench is closed."""

    def __init__(self, bench: Bench) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()
        self._limit = bench.profile.limit
        bench.keep(self)

    def wait(self) -> None:
        """Wait until it is open."""
        self.reached.set()
        self._open.wait(self._limit)

    def close(self) -> None:
        """Let everybody through."""
        self._open.set()

    let_go = close
