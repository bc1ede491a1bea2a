"""What every broker's ends have in common: names, limits, places, forks and threads."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from treaty import Client, ForkedError, FrameTooLarge, InvalidTarget, Transport, Unavailable
from treaty_kombu import connect

from .outside import Rabbit, Redis, echo, eventually, open_files


def test_one_reply_queue_per_line_and_nothing_is_left(broker: Any, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(broker.url, expires=0.6)
    with transport.dial() as line, transport.serve("echo") as inbox, transport.subscribe("news") as feed:
        for number in range(5):
            line.send("echo", b"%d" % number, 5)
            delivery = inbox.receive(5)
            assert delivery is not None
            assert delivery.reply_to == line.address
            delivery.reply(b"one")
            delivery.reply(b"two")
            delivery.settle()
        line.send("echo", b"left over", 5)
        transport.publish("news", b"n")
        assert feed.receive(5) is not None
        assert line.address.startswith(f"{prefix}.reply.")
        token = feed.link.token  # type: ignore[attr-defined]
        names = [line.address, f"{prefix}.service.echo", f"{prefix}.feed.{token}", f"{prefix}.channel.news"]
        if isinstance(broker, Rabbit):
            assert broker.left(prefix, *names) == sorted(names)
        else:
            assert [name for name in broker.left(prefix) if ".reply." in name] == [line.address]
        assert [line.receive(1) for _ in range(10)] == [b"one", b"two"] * 5
    transport.close()
    eventually(lambda: not broker.left(prefix, *names), within=8)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # that is what happens here
def test_a_caller_that_nobody_closed_leaves_nothing_once_it_is_collected(broker: Any, prefix: str) -> None:
    gc.collect()
    files, threads = open_files(), threading.active_count()

    def use() -> None:
        line = connect(broker.url, prefix=prefix).dial()
        with pytest.raises(Unavailable):
            line.send("nobody", b"x", 5)
            line.receive(5)

    use()
    gc.collect()
    eventually(lambda: open_files() <= files and threading.active_count() <= threads)


def test_what_a_signals_handler_raises_in_a_blocking_call_reaches_the_program(
    broker: Any, make: Callable[..., Transport]
) -> None:
    class TimeIsUp(Exception):
        pass

    def time_is_up(*_: object) -> None:
        raise TimeIsUp

    def when_it_came() -> None:
        delivery = inbox.receive(5)
        signal.raise_signal(signal.SIGUSR1)
        assert delivery is not None
        delivery.settle()

    before = signal.signal(signal.SIGUSR1, time_is_up)
    try:
        transport = make(broker.url)
        with transport.serve("echo") as inbox, Client(transport, secret=os.urandom(32)) as client:
            thread = threading.Thread(target=when_it_came)
            thread.start()
            with pytest.raises(TimeIsUp):
                client.call("echo.wait")
            thread.join()
            assert client.open_calls == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_replies_to_a_caller_that_is_gone_vanish(broker: Any, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(broker.url, expires=0.5)
    with transport.serve("echo") as inbox:
        with transport.dial() as line:
            line.send("echo", b"x", 5)
            delivery = inbox.receive(5)
            assert delivery is not None
        delivery.reply(b"too late")
        delivery.settle()
        eventually(lambda: delivery.reply_to not in broker.left(prefix, delivery.reply_to))


def test_foreign_messages_are_thrown_away(
    broker: Any, make: Callable[..., Transport], prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport = make(broker.url)
    with transport.serve("echo", capacity=2) as inbox, transport.dial() as line:
        queue = f"{prefix}.service.echo"
        for content_type in ("application/json", "application/x-python-serialize", "text/plain"):
            broker.inject(queue, b"a secret", content_type)
        if isinstance(broker, Redis):
            for garbage in (b"", b"\xff\xfe", b"[]", b"17", b"{}", b"[" * 100_000, b'{"properties": 1}'):
                broker.client.lpush(queue, garbage)
        line.send("echo", b"real", 5)
        deliveries = [inbox.receive(1), inbox.receive(0.1)]
        while deliveries[0] is None:
            deliveries = [inbox.receive(1), *deliveries]
        assert [d.frame for d in deliveries if d is not None] == [b"real"]
        deliveries[0].settle()
    assert "thrown away" in caplog.text
    assert "a secret" not in caplog.text


def test_foreign_messages_among_the_replies_are_thrown_away(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.serve("echo") as inbox, transport.dial() as line:
        for content_type in ("text/plain", "application/json"):
            line.send("echo", b"real", 5)
            delivery = inbox.receive(5)
            assert delivery is not None
            broker.inject(line.address, b"junk", content_type)
            delivery.reply(b"answer")
            delivery.settle()
            assert eventually(lambda: line.receive(1)) == b"answer"


def test_replies_go_only_to_reply_queues(broker: Any, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(broker.url)
    with transport.serve("echo", capacity=9) as inbox, transport.serve("other") as other:
        targets = [f"{prefix}.service.other", "anything", f"{prefix}.reply.", f"{prefix}.reply.{'0' * 31}\n", ""]
        for target in targets:
            broker.inject(f"{prefix}.service.echo", b"x", reply_to=target)
        for _ in targets:
            delivery = eventually(lambda: inbox.receive(1))
            delivery.reply(b"planted")
            delivery.settle()
        assert other.receive(0.05) is None
        broker.inject(f"{prefix}.service.other", b"fence")
        assert eventually(lambda: other.receive(1)).frame == b"fence"
        assert broker.left("anything", "anything") == []


def test_frames_over_the_limit_are_refused_before_they_are_sent(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url, max_frame=1000)
    with transport.dial() as line:
        with pytest.raises(FrameTooLarge):
            line.send("echo", bytes(1001), 5)
        with pytest.raises(FrameTooLarge):
            transport.publish("news", bytes(1001))
        with pytest.raises(InvalidTarget):  # the law's order, where two conditions hold
            line.send("no token", bytes(1001), 5)
        with pytest.raises(InvalidTarget):
            transport.publish("no token", bytes(1001))
        assert echo(transport, line, bytes(900)) == b"re:" + bytes(900)


def test_the_largest_frame_passes(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.dial() as line:
        frame = os.urandom(1024) * 8192
        assert echo(transport, line, frame) == b"re:" + frame


def test_an_inbox_takes_no_more_than_its_capacity(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.serve("echo", capacity=2) as busy, transport.dial() as line:
        for number in range(3):
            line.send("echo", b"%d" % number, 5)
        held = [busy.receive(2), busy.receive(2)]
        assert busy.receive(0.1) is None
        with transport.serve("echo") as idle:
            third = idle.receive(2)
            assert third is not None
            assert third.frame == b"2"
            third.settle()
        line.send("echo", b"3", 5)
        assert busy.receive(0.05) is None
        assert held[0] is not None
        held[0].settle()
        held[0].settle()
        fourth = busy.receive(2)
        assert fourth is not None
        assert fourth.frame == b"3"
        assert busy.receive(0.05) is None


def test_a_request_not_accepted_goes_to_another_inbox_as_new(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.serve("echo") as first, transport.dial() as line:
        line.send("echo", b"x", 5)
        refused = first.receive(2)
        assert refused is not None
        with transport.serve("echo") as second:
            refused.settle(accepted=False)
            taken = second.receive(2)
            assert taken is not None
            assert (taken.frame, taken.reply_to, taken.redelivered) == (b"x", line.address, False)
            taken.reply(b"done")
            taken.settle()
        assert line.receive(2) == b"done"


def test_settling_a_notification_does_nothing(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.subscribe("news") as feed:
        for frame in (b"one", b"two", b"three"):
            transport.publish("news", frame)
            notice = feed.receive(5)
            assert notice is not None
            assert notice.frame == frame
            notice.settle(accepted=frame != b"two")
            notice.settle()


def test_a_forked_child_leaves_the_parent_alone(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.dial() as line, transport.serve("echo") as inbox, transport.subscribe("news") as feed:
        transport.publish("news", b"before")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what this is about
            child = os.fork()
        if not child:
            refused = 0
            for use in (
                lambda: line.send("echo", b"x", 1),
                lambda: inbox.receive(0),
                lambda: feed.receive(0),
                transport.dial,
                lambda: transport.publish("news", b"x"),
            ):
                try:
                    use()
                except ForkedError:
                    refused += 1
            line.close()
            transport.close()
            transport.close()
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        transport.publish("news", b"after")
        assert [feed.receive(2).frame for _ in range(2)] == [b"before", b"after"]  # type: ignore[union-attr]
        for _ in range(20):
            line.send("echo", b"x", 5)
            delivery = inbox.receive(5)
            assert delivery is not None
            delivery.reply(b"y")
            delivery.settle()
            assert line.receive(5) == b"y"


def test_many_threads_share_a_line(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    replies: list[bytes] = []
    with transport.serve("echo", capacity=8) as inbox, transport.dial() as line:

        def ask(n: int) -> None:
            for m in range(25):
                line.send("echo", b"%d.%d" % (n, m), 5)

        senders = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in senders:
            thread.start()
        while len(replies) < 100:
            delivery = inbox.receive(0.02)
            if delivery is not None:
                delivery.reply(delivery.frame)
                delivery.settle()
            while (reply := line.receive(0)) is not None:
                replies.append(reply)
        for thread in senders:
            thread.join()
    assert sorted(replies) == sorted(b"%d.%d" % (n, m) for n in range(4) for m in range(25))
