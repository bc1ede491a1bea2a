"""RabbitMQ: what comes back, what survives, and what is told about a loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from treaty import ConnectionLost, Transport, Unavailable

from .outside import Rabbit, connected, eventually, losses, sever


def test_a_request_without_a_queue_comes_back(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    with make(rabbit.url).dial() as line:
        line.send("misspelt", b"lost", 5)
        with pytest.raises(Unavailable) as caught:
            line.receive(5)
        assert caught.value.frame == b"lost"


def test_a_full_queue_refuses(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url, max_queued=2)
    with transport.serve("echo") as inbox, transport.dial() as line:
        for number in range(4):  # one is with the inbox, two in the queue
            line.send("echo", b"%d" % number, 5)
        with pytest.raises(Unavailable) as caught:
            line.receive(5)
        assert caught.value.frame == b"3"
        assert inbox.receive(5) is not None


def test_requests_survive_a_restart_of_the_service(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url, expires=5.0)
    with transport.dial() as line:
        transport.serve("echo").close()
        line.send("echo", b"queued", 5)
        with transport.serve("echo") as inbox:
            delivery = inbox.receive(5)
            assert delivery is not None
            assert (delivery.frame, delivery.redelivered) == (b"queued", False)
            delivery.settle()


def test_what_a_dead_worker_held_is_redelivered_with_the_flag(
    rabbit: Rabbit, make: Callable[..., Transport], prefix: str
) -> None:
    transport = make(rabbit.url)
    code = (
        "import sys, time; from treaty_kombu import connect;"
        f"inbox = connect({rabbit.url!r}, prefix={prefix!r}).serve('echo');"
        "print('serving', flush=True); print(inbox.receive(20).frame, flush=True); signal.pause()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"serving\n"
        with transport.dial() as line, transport.serve("echo", capacity=1) as inbox:
            line.send("echo", b"x", 5)
            line.send("echo", b"x", 5)
            assert worker.stdout.readline() == b"b'x'\n"
            first = inbox.receive(5)
            assert first is not None
            assert not first.redelivered
            first.settle()
            worker.send_signal(signal.SIGKILL)
            second = inbox.receive(5)
            assert second is not None
            assert second.redelivered
            second.settle()


def test_heartbeats_go_on_while_nobody_is_inside(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url, heartbeat=1)
    with transport.dial() as line, transport.serve("echo") as inbox:
        line.send("echo", b"x", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        threading.Event().wait(2.6)  # longer than the broker waits for two heartbeats
        delivery.reply(b"done")
        delivery.settle()
        assert line.receive(5) == b"done"


def test_a_deleted_queue_is_a_loss_and_is_made_again(
    rabbit: Rabbit, make: Callable[..., Transport], prefix: str
) -> None:
    transport = make(rabbit.url)
    with transport.serve("echo") as inbox, transport.dial() as line:
        rabbit.channel.queue_delete(f"{prefix}.service.echo")
        with pytest.raises(ConnectionLost):
            inbox.receive(5)
        assert inbox.receive(0.5) is None
        line.send("echo", b"again", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        delivery.settle()


def test_publishing_to_nobody_leaves_nothing(rabbit: Rabbit, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(rabbit.url)
    for _ in range(3):
        transport.publish("news", b"unheard")
    assert rabbit.left(prefix, f"{prefix}.channel.news") == []
    with transport.subscribe("news") as feed:
        transport.publish("news", b"heard")
        notice = feed.receive(5)
        assert notice is not None
        assert notice.frame == b"heard"


def test_a_subscriber_subscribes_again(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url)
    with transport.subscribe("news") as feed:
        sever(rabbit, feed)
        assert losses(feed.receive) == [ConnectionLost]
        transport.publish("news", b"n")
        notice = feed.receive(5)
        assert notice is not None
        assert notice.frame == b"n"


def test_a_loss_that_a_sender_finds_is_told_to_whoever_waits(
    rabbit: Rabbit, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for answers would wait for its deadline otherwise: the queue for them went with the connection."""
    with connected(make(rabbit.url).dial()) as line:
        found: list[BaseException] = []

        def wait() -> None:
            try:
                line.receive(10)
            except ConnectionLost as error:
                found.append(error)

        def fail(*_: Any) -> None:
            raise ConnectionResetError("reset")

        thread = threading.Thread(target=wait)
        thread.start()
        eventually(line.link._receiving.locked)  # type: ignore[attr-defined]
        monkeypatch.setattr(line.link._wire, "request", fail)  # type: ignore[attr-defined]
        with pytest.raises(ConnectionLost, match="reset") as caught:
            line.send("echo", b"x", 5)
        thread.join(2)
        assert len(found) == 1
        assert found[0] is not caught.value
        assert isinstance(found[0].__cause__, ConnectionResetError)
        assert line.receive(0.1) is None
