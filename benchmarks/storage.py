"""Storage: how soon a callback hears of a save, how fast saves are, and what a hundred listeners cost."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

import psutil
import sqlalchemy as sa

from benchmarks.measure import rates
from benchmarks.processes import SECRET, Peer, free_port
from benchmarks.storage_peers import Thing
from treaty import Client
from treaty.storage import StorageClient
from treaty.storage.engines import WRITES, make_engine, read_url
from treaty.storage.tables import ADVANCE, CHANGES, FEED, INSERT, LOCK_FEED, LOG, METADATA, OBJECTS

_PEERS: Final = "benchmarks.storage_peers"
CALLERS: Final = 16
SUBSCRIBERS: Final = 100
CHANGES_EACH: Final = 1_000
#: Seconds in which a callback must have been called.
_LIMIT: Final = 30.0
#: How many MiB the service may grow by while one of its subscribers stands still.
MOST_GROWTH: Final = 32.0
#: How much more is written while it does, in objects of about 4 KiB.
FLOOD: Final = 20_000


class Soon(NamedTuple):
    """Medians in microseconds."""

    call: float
    save: float
    #: From the return of ``save`` to the callback; less than nothing when the callback was first.
    after: float


@contextmanager
def _service() -> Iterator[tuple[str, Peer]]:
    with tempfile.TemporaryDirectory(prefix="ts") as directory:
        url = f"zmq+tcp://127.0.0.1:{free_port()}"
        peer = Peer(_PEERS, Path(directory, "service.log"), "service", url, f"sqlite:///{directory}/store.db")
        try:
            yield url, peer
        finally:
            peer.end()


def notice_latency(count: int) -> Soon:
    """Time a call, a save, and the way of the notification, in turn."""
    heard: SimpleQueue[float] = SimpleQueue()
    calls, saves, after = [], [], []
    with _service() as (url, _), Client(url, secret=SECRET) as client, StorageClient(client) as storage:
        storage.register_callback(lambda *_: heard.put(time.perf_counter()), Thing)
        for number in range(count + 200):
            start = time.perf_counter()
            client.call("storage.echo", {"text": "x" * 64})
            called = time.perf_counter()
            storage.save(Thing(str(number), "x" * 64))
            saved = time.perf_counter()
            told = heard.get(timeout=_LIMIT)
            if number >= 200:
                calls.append(called - start)
                saves.append(saved - called)
                after.append(told - saved)
    return Soon(*(sorted(one)[len(one) // 2] * 1e6 for one in (calls, saves, after)))


def save_rates(count: int, rounds: int) -> dict[str, float]:
    """Measure saves a second through the service, the same inserts made directly, and calls that do nothing, in turn."""
    with ExitStack() as stack:
        url, _ = stack.enter_context(_service())
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ts"))
        callers = Peer(_PEERS, Path(directory, "callers.log"), "callers", url, str(CALLERS))
        stack.callback(callers.end)

        def through_the_service(what: str, number: int) -> None:
            callers.say(f"{what} {number // CALLERS * CALLERS}")
            callers.hear(f"{what} {number // CALLERS * CALLERS}")

        return rates(
            {
                "service": partial(through_the_service, "save"),
                "echo": partial(through_the_service, "echo"),
                "same rows": _directly(stack, f"sqlite:///{directory}/same.db", rows=_same_rows),
                "one row": _directly(stack, f"sqlite:///{directory}/one.db", rows=_one_row),
            },
            rounds=rounds,
            count=count,
        )


def _directly(stack: ExitStack, url: str, *, rows: Callable[[sa.Connection, int], None]) -> Callable[[int], None]:
    """Insert with the settings of the store, each in a transaction of its own."""
    engine = make_engine(read_url(url))
    stack.callback(engine.dispose)
    with engine.connect().execution_options(**{WRITES: True}) as connection:
        METADATA.create_all(connection)
        first = {"id": 1, "schema": 1, "epoch": "e", "sequence": 0, "published": 0, "floor": 0}
        connection.execute(sa.insert(FEED), first)
        connection.commit()
    made = 0

    def run(count: int) -> None:
        nonlocal made
        with engine.connect().execution_options(**{WRITES: True}) as connection:
            for number in range(made + 1, made + count + 1):
                rows(connection, number)
                connection.commit()
        made += count

    return run


def _one_row(connection: sa.Connection, number: int) -> None:
    text = '{"name":"' + str(number) + '","text":"' + "x" * 64 + '","number":1}'
    connection.execute(INSERT, {"model": "Thing", "key": str(number), "version": number, "data": text})


def _same_rows(connection: sa.Connection, number: int) -> None:
    """What the store writes for one new object: the object, the change, and the counter, which is read first."""
    text = '{"name":"' + str(number) + '","text":"' + "x" * 64 + '","number":1}'
    key = str(number)
    connection.execute(LOCK_FEED).one()
    connection.execute(INSERT, {"model": OBJECTS.name, "key": key, "version": number, "data": text})
    change = {"sequence": number, "epoch": "e", "event": "created", "model": CHANGES.name, "key": key, "data": text}
    connection.execute(LOG, {**change, "at": number})
    connection.execute(ADVANCE, {"at_sequence": number, "up_to": number, "at_floor": 0})


class Crowd(NamedTuple):
    """What a hundred subscribers came to."""

    #: What those who were there all the time said at the end of the changes, one for each process.
    heard: list[str]
    seconds: float
    #: By how many MiB the service grew while one stood still: for the changes, and for a flood on top.
    growth: float
    flooded: float
    #: What the one that stood still said in the end.
    late: str


def crowd(changes: int, flood: int) -> Crowd:
    """Have a hundred listen, one of whom is stopped, and continued at the end."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ts")))
        url, service = stack.enter_context(_service())
        memory = psutil.Process(service.process.pid).memory_info

        def listen(number: int) -> Peer:
            peer = Peer(_PEERS, directory / "listeners.log", "listeners", url, str(number))
            stack.callback(peer.kill)
            return peer

        others = [listen(33), listen(33), listen(SUBSCRIBERS - 67)]
        stopped = listen(1)
        storage = stack.enter_context(StorageClient(stack.enter_context(Client(url, secret=SECRET))))
        storage.save(Thing("first", "x"))
        for peer in (*others, stopped):
            peer.say(1)
            peer.hear(1)
        stopped.signal(signal.SIGSTOP)
        stack.callback(stopped.signal, signal.SIGCONT)
        before, start = memory().rss, time.perf_counter()
        for number in range(changes - 1):
            storage.save(Thing(str(number), "x" * 64))
        for peer in others:
            peer.say(changes)
        heard = [peer.read() for peer in others]
        seconds = time.perf_counter() - start
        growth = (memory().rss - before) / 2**20
        for peer in others:
            peer.end()
        for number in range(0, flood, 100):
            storage.save_many([Thing(f"flood {number + one}", "x" * 4096) for one in range(100)])
        flooded = (memory().rss - before) / 2**20
        stopped.signal(signal.SIGCONT)
        stopped.say(changes + flood)
        return Crowd(heard, seconds, growth, flooded, stopped.read())
