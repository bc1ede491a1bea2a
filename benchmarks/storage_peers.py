"""The other processes of the storage figures: ``python -m benchmarks.storage_peers ROLE …`` works until its input ends."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec

from benchmarks.processes import SECRET
from treaty import Client, Incoming
from treaty.storage import Notice, StorageClient, StorageService, StoreConfig, model


@model(key="name")
class Thing(msgspec.Struct, frozen=True):
    """About as large as what is usually kept."""

    name: str
    text: str
    number: int = 0


class Storage(StorageService):
    """Echoes as well, so that a call and a save can be timed at one service."""

    def on_echo(self, message: Incoming, text: str) -> str:
        return text


def service(url: str, database: str) -> None:
    with Storage(url, secret=SECRET, stores=[StoreConfig(url=database, models=[Thing])]):
        print("ready", flush=True)
        sys.stdin.read()


def callers(url: str, threads: str) -> None:
    """Call from many threads at once. A line of input is ``save`` or ``echo`` and how often; it is repeated when that
    is done.
    """
    with Client(url, secret=SECRET) as client, StorageClient(client) as storage:
        print("ready", flush=True)
        for turn, line in enumerate(sys.stdin):
            what, times = line.split()

            def call(number: int, turn: int = turn, what: str = what, each: int = int(times) // int(threads)) -> None:
                for one in range(each):
                    if what == "save":
                        storage.save(Thing(f"{turn}-{number}-{one}", "x" * 64, one))
                    else:
                        client.call("storage.echo", {"text": "x" * 64})

            working = [threading.Thread(target=call, args=(number,)) for number in range(int(threads))]
            for thread in working:
                thread.start()
            for thread in working:
                thread.join()
            print(line.strip(), flush=True)


def listeners(url: str, number: str) -> None:
    """Listen, each over a connection of its own. A line of input is how many changes all are to have been told of; it
    is repeated once they were, or followed by what they were told of instead.
    """
    counters = [_Counter() for _ in range(int(number))]
    with ExitStack() as stack:
        for counter in counters:
            storage = stack.enter_context(StorageClient(stack.enter_context(Client(url, secret=SECRET))))
            storage.register_callback(counter, Thing)
        print("ready", flush=True)
        for line in sys.stdin:
            wrong = {counter.sequence for counter in counters if not counter.wait(int(line))}
            print(f"stood at {sorted(wrong)}" if wrong else line.strip(), flush=True)


class _Counter:
    """Is told of changes, which must come one after the other."""

    def __init__(self) -> None:
        self.sequence = 0
        self._told = threading.Condition()

    def __call__(self, event: str, instance: Any, notice: Notice) -> None:
        with self._told:
            if notice.sequence != self.sequence + 1:
                raise AssertionError(f"{notice.sequence} after {self.sequence}")
            self.sequence = notice.sequence
            self._told.notify_all()

    def wait(self, sequence: int, limit: float = 120.0) -> bool:
        with self._told:
            return self._told.wait_for(lambda: self.sequence >= sequence, limit)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    role, *arguments = sys.argv[1:]
    roles: dict[str, Callable[..., None]] = {"service": service, "callers": callers, "listeners": listeners}
    roles[role](*arguments)
