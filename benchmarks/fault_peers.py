"""The other processes of the fault run: a service that dies when it is told to, writers, subscribers.

``python -m benchmarks.fault_peers ROLE …`` works until its input ends. What it is told comes as lines of input.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from benchmarks.fault_models import Cluster, GapTold, Host, Told
from benchmarks.fault_writers import Writers
from benchmarks.processes import SECRET
from treaty import Client, connect
from treaty.storage import Gap, Notice, StorageClient, StorageService, StoreConfig

#: ZeroMQ: so few that a subscriber that stands still for a moment really misses something.
QUEUE = 100


class Mortal(StorageService):
    """Dies by SIGKILL when it is told to: right after a commit, before all that was changed is published."""

    publishes_left: int | None = None

    def publish(self, topic: str, data: Any) -> None:
        if self.publishes_left is not None and "key" in data:
            if self.publishes_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.publishes_left -= 1
        super().publish(topic, data)


def service(url: str, database: str) -> None:
    """Serve. A line of input is the number of changes that are still published before the end."""
    options = {"queue": QUEUE} if url.startswith("zmq") else {}
    transport = connect(url, **options)
    served = Mortal(transport, secret=SECRET, stores=[StoreConfig(url=database, models=[Host, Cluster])], beat=0.5)
    served.start()
    print("ready", flush=True)
    for line in sys.stdin:
        served.publishes_left = int(line)
    served.stop()
    transport.close()


def subscriber(url: str, record: str, snapshot: str) -> None:
    """Record what callbacks for a model and for all are told."""
    encode = msgspec.json.Encoder().encode
    file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(registration: str, event: str, instance: Any, notice: Notice) -> None:
        value = "" if instance is None else instance.value
        told = Told(registration, event, notice.model, notice.key, notice.epoch, notice.sequence, notice.source, value)
        os.write(file, encode(told) + b"\n")  # whole or not at all, should this process be killed

    def note_gap(registration: str, gap: Gap) -> None:
        os.write(file, encode(GapTold(registration, gap.missed, gap.resync, gap.reason)) + b"\n")

    with Client(url, secret=SECRET) as client, StorageClient(client, models=[Host, Cluster]) as storage:
        for registration, model in (("Host", Host), ("any", None)):
            storage.register_callback(
                partial(note, registration),
                model,
                snapshot=snapshot == "snapshot",
                on_gap=partial(note_gap, registration),
            )
        print("ready", flush=True)
        sys.stdin.read()


def writer(url: str, seed: str, threads: str, expected: str) -> None:
    """Write. A line of input is how many changes may have been made in all; it is repeated when they are."""
    with Client(url, secret=SECRET, timeout=2.0) as client, StorageClient(client) as storage:
        writers = Writers(storage, seed=int(seed), threads=int(threads))
        print("ready", flush=True)
        for line in sys.stdin:
            writers.work_until(int(line))
            print(line.strip(), flush=True)
        writers.write_expected(expected)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    role, *arguments = sys.argv[1:]
    roles: dict[str, Callable[..., None]] = {"service": service, "subscriber": subscriber, "writer": writer}
    roles[role](*arguments)
