"""A room for the drivers' tests: services and clients on one transport in memory, and nothing left when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

import msgspec
import pytest

from treaty import Client, Inbox, Service
from treaty_memory import MemoryTransport

from .services import Slow

_S = TypeVar("_S", bound=Service)
_NUMBERS = count(1)
SECRET = "an example of a secret, long enough"


class Alone(MemoryTransport):
    """Declares that nobody else takes requests, so that a service reads ahead of its busy handlers."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.guarantees = msgspec.structs.replace(self.guarantees, competing_workers=False)

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return super().serve(service, 1000)


class Room:
    """Makes services that are started and clients, and ends them all."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport
        self._ends: list[Callable[[], None]] = [transport.close]

    def serve(self, kind: type[_S], **options: Any) -> _S:
        service = kind(self.transport, **{"secret": SECRET, **options})
        service.start()
        self._ends.append(service.stop)
        if isinstance(service, Slow):
            self._ends.append(service.gate.open)
        return service

    def client(self, **options: Any) -> Client:
        client = Client(self.transport, **{"secret": SECRET, "timeout": 10, **options})
        self._ends.append(client.close)
        return client

    def end(self) -> None:
        while self._ends:
            self._ends.pop()()


@pytest.fixture
def room() -> Iterator[Room]:
    """A room with a transport on which workers compete. When it is over, every thread that began here has ended."""
    yield from _room(MemoryTransport(f"room-{next(_NUMBERS)}"))


@pytest.fixture
def room_alone() -> Iterator[Room]:
    """A room with a transport on which a service is alone."""
    yield from _room(Alone(f"room-{next(_NUMBERS)}"))


@pytest.fixture(params=[MemoryTransport, Alone], ids=["competing", "alone"])
def either_room(request: pytest.FixtureRequest) -> Iterator[Room]:
    """Both of them, one after the other."""
    yield from _room(request.param(f"room-{next(_NUMBERS)}"))


def _room(transport: MemoryTransport) -> Iterator[Room]:
    before = set(threading.enumerate())
    room = Room(transport)
    try:
        yield room
    finally:
        room.end()
        for thread in set(threading.enumerate()) - before:
            thread.join(5)
            assert not thread.is_alive(), f"{thread.name} is left over"
