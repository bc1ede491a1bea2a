"""The whole path over ZeroMQ, with a service in a process of its own that is killed at the worst moment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from treaty import Client, TreatyError
from treaty.storage import NotFound, StorageClient

from .things import LIMIT, SECRET, Cluster, Heard, eventually

PROGRAM = """
import os, signal, sys
from dataclasses import dataclass
from treaty.storage import StorageService, StoreConfig, model

@model(key="name")
@dataclass(frozen=True)
class Cluster:
    name: str
    size: int = 1

class Mortal(StorageService):
    def publish(self, topic, data):
        if data.get("key") == "dies before it publishes":
            os.kill(os.getpid(), signal.SIGKILL)
        super().publish(topic, data)
        if data.get("key") == "dies after it published":
            os.kill(os.getpid(), signal.SIGKILL)

url, database, secret, mortal = sys.argv[1:]
kind = Mortal if mortal == "mortal" else StorageService
service = kind(url, secret=secret, stores=[StoreConfig(url=database, models=[Cluster])], beat=0.1)
service.start()
print("serving", flush=True)
sys.stdin.read()
service.stop()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A short directory: the path of a socket has 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="ts", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts a service in another process, which ends with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(kind: str = "immortal") -> subprocess.Popen[str]:
        arguments = [f"zmq+ipc://{place}/s", f"sqlite:///{place}/store.db", SECRET, kind]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None and process.stdout.readline() == "serving\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def storage(place: Path, start: Start) -> Iterator[StorageClient]:
    with Client(f"zmq+ipc://{place}/s", secret=SECRET) as client, StorageClient(client) as storage:
        yield storage


@pytest.mark.parametrize("when", ["dies before it publishes", "dies after it published"])
def test_a_service_that_is_killed_between_commit_and_publish_publishes_when_it_is_back(
    start: Start, storage: StorageClient, when: str
) -> None:
    doomed = start("mortal")
    heard, second = Heard(), Heard()
    storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)
    storage.register_callback(second, Cluster, on_gap=second.gaps.put)
    storage.save(Cluster("before"))
    with pytest.raises(TreatyError):
        storage.save(Cluster(when))
    assert doomed.wait(LIMIT) == -signal.SIGKILL
    start()
    storage.save(Cluster("after"))
    for one in (heard, second):
        one.until("after")
        assert [(news.sequence, news.key) for news in one.all] == [(1, "before"), (2, when), (3, "after")]


def test_callbacks_end_with_the_state_of_the_store_whoever_is_killed_and_whenever(
    start: Start, storage: StorageClient
) -> None:
    """Saves go on while the service is killed and started again; who listens hears everything once, in order."""
    process = start()
    heard, stop = Heard(), threading.Event()
    storage.register_callback(heard, Cluster, on_gap=heard.gaps.put)

    def work(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            try:
                storage.save(Cluster(f"{number}-{turn % 7}", turn))
                if turn % 3 == 0:
                    storage.delete(Cluster, f"{number}-{turn % 5}")
            except NotFound:
                continue
            except TreatyError:
                stop.wait(0.01)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        assert heard.more(100)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(LIMIT)
        process = start()
    assert heard.more(100)
    stop.set()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    storage.save(Cluster("last"))
    assert eventually(lambda: "last" in heard.state)
    assert [one.sequence for one in heard.all] == list(range(1, len(heard.all) + 1))
    assert heard.state.keys() == {one.name for one in storage.list(Cluster)}
