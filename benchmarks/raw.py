"""The raw libraries' callers: the least that an echo over each of them takes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import zmq
from kombu import Connection, Consumer, Message, Producer, Queue


class ZmqCaller(NamedTuple):
    """A DEALER."""

    socket: zmq.Socket[bytes]

    def echo(self, body: bytes) -> None:
        self.socket.send_multipart([b"bench", body])
        self.socket.recv_multipart()

    def pipelined(self, body: bytes, count: int, window: int) -> None:
        socket = self.socket
        sent = min(window, count)
        for _ in range(sent):
            socket.send_multipart([b"bench", body])
        for _ in range(count):
            socket.recv_multipart()
            if sent < count:
                socket.send_multipart([b"bench", body])
                sent += 1


@contextmanager
def zmq_caller(url: str) -> Iterator[ZmqCaller]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(url)
        yield ZmqCaller(socket)


@contextmanager
def kombu_caller(url: str) -> Iterator[Callable[[bytes], None]]:
    """Publish to a queue, consume the reply queue: one connection, kombu's defaults."""
    with Connection(url) as connection, connection.channel() as channel:
        producer = Producer(channel)
        name = f"bench.raw.reply.{uuid.uuid4().hex}"
        queue = Queue(name, routing_key=name, exclusive=True, auto_delete=True)
        answers: list[str] = []

        def note(_: Any, message: Message) -> None:
            answers.append(message.properties["correlation_id"])
            message.ack()

        numbers = iter(range(10**9))
        with Consumer(channel, [queue], callbacks=[note], accept=["application/octet-stream"]):

            def echo(body: bytes) -> None:
                number = str(next(numbers))
                producer.publish(
                    body,
                    routing_key="bench.raw.requests",
                    reply_to=name,
                    correlation_id=number,
                    content_type="application/octet-stream",
                    content_encoding="binary",
                )
                while number not in answers:
                    connection.drain_events(timeout=5)
                answers.clear()

            yield echo
