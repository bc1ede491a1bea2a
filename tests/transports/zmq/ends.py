"""What the tests of the ZeroMQ transport do with its ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from treaty import (
    ClosedError,
    Delivery,
    Inbox,
    Line,
)
from treaty_zmq import ZmqTransport, connect

PATIENCE = 5.0
TCP = "zmq+tcp://127.0.0.1:*"


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        threading.Event().wait(0.002)
    return True


def resources() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def must(inbox: Inbox) -> Delivery:
    delivery = inbox.receive(PATIENCE)
    assert delivery is not None
    return delivery


def answer(inbox: Inbox, line: Line, frame: bytes, service: str = "svc") -> None:
    """One round trip in this thread."""
    line.send(service, frame, PATIENCE)
    delivery = must(inbox)
    assert delivery.frame == frame
    delivery.reply(frame + b"!")
    delivery.settle()
    assert line.receive(PATIENCE) == frame + b"!"


@contextlib.contextmanager
def answering(inbox: Inbox) -> Iterator[None]:
    """A thread that sends each frame back, until the inbox is closed."""

    def run() -> None:
        with contextlib.suppress(ClosedError):
            while True:
                delivery = inbox.receive(PATIENCE)
                if delivery is not None:
                    delivery.reply(delivery.frame)
                    delivery.settle()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        inbox.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def connect_after(transport: ZmqTransport) -> ZmqTransport:
    """A client of a transport whose port may have to be found out first."""
    transport.serve("svc").close()
    return connect(transport.url, connect_timeout=PATIENCE)
