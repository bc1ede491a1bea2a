"""RabbitMQ: what comes back, what survives, and what is told about a loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from treaty import ConnectionLost, Inbox, Line, Transport, Unavailable

from .load import under_load
from .outside import Rabbit, connected, eventually, losses, seconds, sever
from .servers import OwnRabbit


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


def test_a_loss_ends_no_request_that_was_not_sent(
    rabbit: Rabbit, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one sender finds it; those who come before the reader was told have sent nothing."""
    transport = make(rabbit.url)
    with transport.serve("echo") as inbox, connected(transport.dial()) as line:
        link: Any = line.link  # type: ignore[attr-defined]

        def fail(*_: Any) -> None:
            raise ConnectionResetError("reset")

        with link._receiving:  # as somebody who is slow to hear
            with monkeypatch.context() as broken:
                broken.setattr(link._wire, "request", fail)
                with pytest.raises(ConnectionLost, match="reset"):
                    line.send("echo", b"1", 5)
            for frame in (b"2", b"3"):
                with pytest.raises(Unavailable, match="not sent"):
                    line.send("echo", frame, 5)
        losses(line.receive)
        line.send("echo", b"4", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        assert delivery.frame == b"4"
        delivery.settle()


# ---- a broker of our own, which is hurt --------------------------------------------------------------------------


@pytest.fixture
def alarmed(own_rabbit: OwnRabbit) -> Iterator[OwnRabbit]:
    """A node, on which every alarm is over afterwards."""
    yield own_rabbit
    own_rabbit.alarm(on=False)


def refused(use: Callable[[], Any]) -> bool:
    """Whether something is refused because the broker is out of memory."""
    try:
        use()
    except Unavailable as error:
        return "out of memory" in str(error)
    return False


def test_calls_end_in_time_under_an_alarm_and_are_answered_after_it(alarmed: OwnRabbit) -> None:
    with under_load(alarmed.url) as load:
        alarmed.alarm(on=True)
        eventually(lambda: load.outcomes["Unavailable"])
        alarmed.alarm(on=False)


def exchange(line: Line, inbox: Inbox) -> None:
    line.send("echo", b"x", 5)
    delivery = inbox.receive(5)
    assert delivery is not None
    delivery.reply(b"y")
    delivery.settle()
    assert line.receive(5) == b"y"


def test_nothing_hangs_that_is_closed_under_an_alarm(alarmed: OwnRabbit, make: Callable[..., Transport]) -> None:
    transport = make(alarmed.url)
    line, inbox, feed = transport.dial(), transport.serve("echo"), transport.subscribe("news")
    exchange(line, inbox)
    alarmed.alarm(on=True)
    eventually(lambda: refused(lambda: line.send("echo", b"x", 5)))
    ends: list[Any] = [line, inbox, feed, transport.dial(), transport.serve("other"), transport.subscribe("news")]
    ends[3].send("other", b"x", 5)
    for end in ends:
        assert seconds(end.close) < 2.5


def test_an_alarm_is_no_loss(alarmed: OwnRabbit, make: Callable[..., Transport]) -> None:
    transport = make(alarmed.url, heartbeat=1)
    with transport.dial() as line, transport.serve("echo", capacity=9) as inbox:
        exchange(line, inbox)
        alarmed.alarm(on=True)
        line.send("echo", b"held by the broker", 5)
        eventually(lambda: refused(lambda: line.send("echo", b"refused", 5)))
        assert line.receive(2.6) is None  # longer than the broker waits for two heartbeats
        alarmed.alarm(on=False)
        delivery = eventually(lambda: inbox.receive(1))
        assert delivery.frame == b"held by the broker"
        delivery.reply(b"late")
        delivery.settle()
        assert line.receive(5) == b"late"


def test_what_is_handed_back_under_an_alarm_holds_up_nobody(alarmed: OwnRabbit, make: Callable[..., Transport]) -> None:
    transport = make(alarmed.url)
    with transport.dial() as line, transport.serve("echo", capacity=2) as inbox:
        for frame in (b"answered", b"handed back"):
            line.send("echo", frame, 5)
        first, second = (eventually(lambda: inbox.receive(1)) for _ in range(2))
        alarmed.alarm(on=True)
        first.reply(b"the broker has it, and says that it takes no more")
        assert inbox.receive(0.5) is None
        assert seconds(lambda: second.settle(accepted=False)) < 1
        first.settle()
        alarmed.alarm(on=False)
        again = eventually(lambda: inbox.receive(1))
        assert (again.frame, again.redelivered) == (b"handed back", True)
        again.settle()


def test_publishing_under_an_alarm_is_refused_at_once(alarmed: OwnRabbit, make: Callable[..., Transport]) -> None:
    transport = make(alarmed.url)
    with transport.subscribe("news") as feed:
        sent = [b"before"]
        transport.publish("news", sent[0])
        alarmed.alarm(on=True)

        def held() -> bool:  # a busy broker minds its alarm a moment after it was told of it
            sent.append(b"%d" % len(sent))
            try:
                transport.publish("news", sent[-1])
            except ConnectionLost as error:  # the broker has it, and may deliver it later
                return "out of memory" in str(error)
            return False

        eventually(held)
        started = time.monotonic()
        for _ in range(3):
            assert refused(lambda: transport.publish("news", b"refused"))
        assert time.monotonic() - started < 2
        alarmed.alarm(on=False)
        eventually(lambda: not refused(lambda: transport.publish("news", b"after")))
        sent.append(b"after")
        assert [eventually(lambda: feed.receive(1)).frame for _ in sent] == sent


@pytest.mark.parametrize("hurt", ["close_all_connections", "restart"])
def test_calls_are_answered_again_after_a_broker_was_hurt(own_rabbit: OwnRabbit, hurt: str) -> None:
    with under_load(own_rabbit.url) as load:
        if hurt == "restart":
            own_rabbit.control("stop_app")
            eventually(lambda: load.outcomes["Unavailable"])
            own_rabbit.control("start_app")
        else:  # a call is under way for sure: the others may all be answered by then
            with load.held() as pending, pytest.raises(ConnectionLost):
                own_rabbit.control(hurt, "an operator did it")
                pending.result()
