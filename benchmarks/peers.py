"""The other processes of the benchmark: ``python -m benchmarks.peers ROLE URL`` serves until its input ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.processes import SECRET


def treaty_service(url: str) -> None:
    from treaty import Incoming, Service

    class Echo(Service):
        name = "bench"

        def on_echo(self, message: Incoming, text: str) -> str:
            return text

    service = Echo(url, secret=SECRET)
    service.start()
    _ready()
    service.stop()


def raw_zmq(url: str) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind(url)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        print("ready", flush=True)
        while True:
            socket.send_multipart(socket.recv_multipart())


def raw_kombu(url: str) -> None:
    from kombu import Connection, Consumer, Message, Producer, Queue

    with Connection(url) as connection, connection.channel() as channel:
        producer = Producer(channel)

        def answer(body: Any, message: Message) -> None:
            producer.publish(
                body,
                routing_key=message.properties["reply_to"],
                correlation_id=message.properties["correlation_id"],
                content_type="application/octet-stream",
                content_encoding="binary",
            )
            message.ack()

        queue = Queue("bench.raw.requests", routing_key="bench.raw.requests", auto_delete=True)
        with Consumer(channel, [queue], callbacks=[answer], accept=["application/octet-stream"]):
            threading.Thread(target=_end_with_parent, daemon=True).start()
            print("ready", flush=True)
            while True:
                try:
                    connection.drain_events(timeout=1)
                except TimeoutError:
                    continue


def grpc_service(url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)

    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Handler(),))
    server.add_insecure_port(url)
    server.start()
    _ready()
    server.stop(0)


ROLES: dict[str, Callable[[str], None]] = {
    "treaty": treaty_service,
    "zmq": raw_zmq,
    "kombu": raw_kombu,
    "grpc": grpc_service,
}


@contextmanager
def peer(role: str, url: str) -> Iterator[int]:
    """Run a role in a process of its own, and yield its pid when it is ready."""
    command = [sys.executable, "-m", "benchmarks.peers", role, url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the {role} peer did not start")
        yield process.pid
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _ready() -> None:
    print("ready", flush=True)
    sys.stdin.read()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    ROLES[sys.argv[1]](sys.argv[2])
