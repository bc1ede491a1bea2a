"""The contract, on every transport of ours in every configuration that this machine can run."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import treaty_kombu
import treaty_memory
import treaty_zmq
from treaty import Transport
from treaty_contracts import Context, Target, contract
from treaty_kombu.embedded import embedded_redis

REDIS = os.environ.get("TREATY_TEST_REDIS", "redis://127.0.0.1:6379/0")
AMQP = os.environ.get("TREATY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//")

_STACK = ExitStack()


@pytest.fixture(scope="module", autouse=True)
def stop_what_was_started() -> Iterator[None]:
    with _STACK:
        yield


class Addresses:
    """One address for each namespace: both ends ask for it, and get the same."""

    def __init__(self, make: Callable[[str], str]) -> None:
        self._make = make
        self._known: dict[str, str] = {}

    def __call__(self, context: Context) -> str:
        if context.namespace not in self._known:
            self._known[context.namespace] = self._make(context.namespace)
        return self._known[context.namespace]


def free_port() -> int:
    """A port that is free, below those that the system gives to outgoing connections by itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def directory() -> Path:
    return Path(_STACK.enter_context(tempfile.TemporaryDirectory(prefix="treaty-")))


class Once:
    """A value that is made when it is first needed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: list[Any] = []

    def __call__(self) -> Any:
        if not self._made:
            self._made.append(self._make())
        return self._made[0]


sockets = Once(directory)
tcp = Addresses(lambda _: f"zmq+tcp://127.0.0.1:{free_port()}")
ipc = Addresses(lambda namespace: f"zmq+ipc://{sockets()}/{namespace}")
embedded = Once(lambda: _STACK.enter_context(embedded_redis()))


def zmq_at(address: Callable[[Context], str]) -> Callable[[Context], Transport]:
    # Absence is noticed after the time for connecting; a quarter of a second is plenty on one machine.
    return lambda context: treaty_zmq.connect(address(context), connect_timeout=0.25)


test_memory = contract(
    Target(name="memory", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))
)
test_zmq_tcp = contract(Target(name="zmq/tcp", open=zmq_at(tcp)))
test_zmq_ipc = contract(Target(name="zmq/ipc", open=zmq_at(ipc)))
test_zmq_inproc = contract(Target(name="zmq/inproc", open=zmq_at(lambda context: f"zmq+inproc://{context.namespace}")))
test_kombu_memory = contract(
    Target(name="kombu/memory", open=lambda context: treaty_kombu.connect(f"kombu+memory://{context.namespace}"))
)
# fakeredis answers slowly, and shares two processors with everything else.
test_kombu_fakeredis = contract(
    Target(name="kombu/fakeredis", open=lambda _: treaty_kombu.connect(embedded()), time_scale=1.5)
)


def on_server(name: str, url: str, port: int) -> Callable[..., None]:
    """The contract on a broker, or one test that says why it could not be run."""
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or port}"
    try:
        with socket.create_connection((parts.hostname or "", parts.port or port), timeout=1):
            return contract(Target(name=name, open=lambda _: treaty_kombu.connect(f"kombu+{url}")))
    except OSError:

        def not_run() -> None:
            pytest.skip(f"{place} cannot be reached")

        not_run.contract_target = name  # type: ignore[attr-defined]  # the summary groups by it
        return not_run


test_kombu_redis = on_server("kombu/redis", REDIS, 6379)
test_kombu_rabbitmq = on_server("kombu/rabbitmq", AMQP, 5672)
