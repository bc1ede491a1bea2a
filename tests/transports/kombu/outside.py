"""The brokers as seen from outside of the transport, and what several modules of tests do with its ends."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import kombu
import pytest
import redis

from treaty import Line, Transport, TransportError, Unavailable
from treaty_contracts.relay import Relay
from treaty_kombu.envelope import pack
from treaty_kombu.settings import read_url

REDIS = os.environ.get("TREATY_TEST_REDIS", "redis://127.0.0.1:6379/0")


AMQP = os.environ.get("TREATY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//")


Connection: Any = kombu.Connection  # type: ignore[attr-defined]  # kombu exports lazily and has no annotations


def eventually(condition: Callable[[], Any], within: float = 5.0) -> Any:
    """Poll until something is true."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.01)
    return value


def reachable(url: str) -> bool:
    settings = read_url(f"kombu+{url}")
    try:
        socket.create_connection((settings.host, settings.port), 0.5).close()
    except OSError:
        return False
    return True


def seconds(use: Callable[[], Any], *errors: type[BaseException]) -> float:
    started = time.monotonic()
    with suppress(*errors):
        use()
    return time.monotonic() - started


def through(relay: Relay, url: str) -> str:
    """Return the URL of a broker by the way of a relay."""
    return url.replace(f":{read_url(url).port}", f":{relay.address[1]}")


class Redis:
    """A Redis, seen from outside of the transport."""

    def __init__(self, url: str, *, fake: bool) -> None:
        self.url = url
        self.client = redis.Redis.from_url(url.removeprefix("kombu+"))
        self.fake = fake

    def left(self, prefix: str, *_names: str) -> list[str]:
        keys: Any = self.client.keys(f"{prefix}.*")
        return sorted(key.decode() for key in keys)

    def inject(self, queue: str, body: bytes, content_type: str = "application/x-treaty", reply_to: str = "") -> None:
        self.client.lpush(
            queue, pack(body, "", queue, reply_to).replace(b"application/x-treaty", content_type.encode())
        )

    def sever(self, *sockets: socket.socket) -> None:
        """Cut connections, as an operator does; fakeredis cannot, so there the way to it breaks."""
        for end in sockets:
            if self.fake:
                end.shutdown(socket.SHUT_RDWR)
                continue
            host, port = end.getsockname()
            self.client.client_kill(f"{host}:{port}")

    def close(self) -> None:
        self.client.close()


class Rabbit:
    """A RabbitMQ, seen from outside of the transport."""

    fake = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: Any = Connection(url.removeprefix("kombu+"), connect_timeout=2)
        self.channel = self.connection.channel()

    def left(self, _prefix: str, *names: str) -> list[str]:
        """Which of some queues and exchanges there are: the protocol cannot list them."""
        found = []
        for name in names:
            if ".service." in name:  # asking the broker itself would count as a use, and put off its end
                command = ["rabbitmqctl", "-q", "list_queues", "name"]
                listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                found += [name] * (name in listed)
                continue
            with self.connection.channel() as channel:
                try:
                    if ".channel." in name:
                        channel.exchange_declare(name, "fanout", passive=True)
                    else:
                        channel.queue_declare(name, passive=True)
                except self.connection.channel_errors as error:
                    if error.reply_code == 404:
                        continue
                found.append(name)
        return sorted(found)

    def inject(self, queue: str, body: bytes, content_type: str = "application/x-treaty", reply_to: str = "") -> None:
        message = self.channel.prepare_message(
            body, content_type=content_type, content_encoding="binary", properties={"reply_to": reply_to}
        )
        self.channel.basic_publish(message, exchange="", routing_key=queue)

    def close(self) -> None:
        self.connection.release()


def echo(transport: Transport, line: Line, frame: bytes = b"hello") -> bytes | None:
    """One request and its reply, served by the very thread that asks."""
    with transport.serve("echo") as inbox:
        line.send("echo", frame, 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        delivery.reply(b"re:" + delivery.frame)
        delivery.settle()
        return line.receive(5)


def connected(line: Line) -> Line:
    """A line that has been used, which is when it connects."""
    with pytest.raises(Unavailable):
        line.send("nobody-serves-this", b"x", 5)
        line.receive(5)  # RabbitMQ says so a little later
    return line


def sever(broker: Any, *ends: Any) -> None:
    """Cut the connections of some ends."""
    if isinstance(broker, Redis):
        wires = [wire for end in ends for wire in (end.link._asking, end.link._pops.wire)]
        broker.sever(*(wire._connection._sock for wire in wires))
        return
    for end in ends:
        os_socket = socket.socket(fileno=os.dup(end.link._wire.fileno()))
        os_socket.shutdown(socket.SHUT_RDWR)
        os_socket.close()


def losses(receive: Callable[[float], Any], rounds: int = 2) -> list[type[BaseException]]:
    seen: list[type[BaseException]] = []
    for _ in range(rounds):
        try:
            assert receive(0.25) is None
        except TransportError as error:
            seen.append(type(error))
    return seen


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
