"""One endpoint and the services behind it, and what strangers do to it."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest
import zmq

from treaty import (
    AddressInUse,
    ClosedError,
    ConnectionLost,
    FrameTooLarge,
    Unavailable,
)
from treaty_zmq import connect

from .ends import PATIENCE, TCP, answer, answering, connect_after, must


def test_services_of_one_transport_object_share_the_endpoint(url: str) -> None:
    with (
        connect(url) as transport,
        transport.serve("one") as one,
        transport.serve("two") as two,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        answer(two, line, b"b", "two")
        answer(one, line, b"a", "one")
        line.send("one", b"1", PATIENCE)
        line.send("two", b"2", PATIENCE)
        assert must(two).frame == b"2"
        assert must(one).frame == b"1"


def test_each_of_several_waiting_threads_gets_its_own(url: str) -> None:
    with connect(url) as transport:
        names = ["a", "b", "c", "d"]
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.enter_context(answering(transport.serve(name, capacity=10)))
            line = stack.enter_context(stack.enter_context(connect(transport.url)).dial())
            for turn in range(100):
                for name in names:
                    line.send(name, f"{name}{turn}".encode(), PATIENCE)
                got = {line.receive(PATIENCE) for _ in names}
                assert got == {f"{name}{turn}".encode() for name in names}


def test_a_service_that_is_not_there_is_noticed_while_the_only_thread_is_busy(url: str) -> None:
    with (
        connect(url) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        line.send("svc", b"long work", PATIENCE)
        must(inbox)  # and from here on nobody is in receive
        for service in ("other", "another"):
            line.send(service, b"x" * 500, PATIENCE)
            with pytest.raises(Unavailable) as caught:
                line.receive(PATIENCE)
            assert caught.value.frame == b"x" * 128


def test_the_same_service_twice_is_in_use(url: str) -> None:
    with (
        connect(url) as transport,
        transport.serve("svc"),
        pytest.raises(AddressInUse, match="already"),
    ):
        transport.serve("svc")


def test_requests_that_wait_in_a_closing_inbox_are_refused(url: str) -> None:
    with connect(url) as transport, transport.serve("stays"), connect(transport.url) as other, other.dial() as line:
        inbox = transport.serve("goes")
        line.send("goes", b"first", PATIENCE)
        line.send("goes", b"second", PATIENCE)
        must(inbox)
        inbox.close()
        with pytest.raises(Unavailable) as caught:
            line.receive(PATIENCE)
        assert caught.value.frame == b"second"


def test_an_inbox_takes_no_more_than_its_capacity_and_refuses_more_than_its_backlog(url: str) -> None:
    with (
        connect(url, backlog=8) as transport,  # a quarter of it for each peer
        transport.serve("svc", capacity=1) as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        line.send("svc", b"0", PATIENCE)
        first = must(inbox)
        for number in (b"1", b"2", b"3"):
            line.send("svc", number, PATIENCE)
        with pytest.raises(Unavailable, match="full") as caught:
            line.receive(PATIENCE)
        assert caught.value.frame == b"3"
        assert inbox.receive(0) is None
        first.settle()
        first.settle()
        assert must(inbox).frame == b"1"
        assert inbox.receive(0) is None


def test_replies_that_were_handed_over_go_out_when_the_endpoint_closes(url: str) -> None:
    with connect(url) as transport, connect_after(transport) as other, other.dial() as line:
        inbox = transport.serve("svc")
        line.send("svc", b"x", PATIENCE)
        delivery = must(inbox)
        for number in range(200):
            delivery.reply(b"%d" % number)
        inbox.close()
        with pytest.raises(ClosedError):
            delivery.reply(b"late")
        assert [line.receive(PATIENCE) for _ in range(200)] == [b"%d" % number for number in range(200)]


def test_garbage_and_idle_connections_do_not_hurt() -> None:
    with connect(TCP) as transport, transport.serve("svc") as inbox, connect(transport.url) as other:
        host, port = transport.url.removeprefix("zmq+tcp://").split(":")
        strangers = [socket.create_connection((host, int(port))) for _ in range(200)]
        for number, stranger in enumerate(strangers):
            stranger.sendall((b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, os.urandom(300), b"\0")[number % 4])
        with other.dial() as line:
            for number in range(20):
                answer(inbox, line, b"%d" % number)
        for stranger in strangers:
            stranger.close()


def test_messages_that_make_no_sense_are_dropped() -> None:
    nonsense: list[list[bytes]] = [
        [b""],
        [b"", b""],
        [b"\0"],
        [b"no zero byte"],
        [b"x" * 100_000],
        [b"subscribe", b"\xff not a name"],
        [b"subscribe", b"x" * 1_000],
        [b"subscribe"],
        [b"unsubscribe", b"never"],
        [b"publish", b"nobody"],
        [b"publish", b"\xff", b"x"],
        [b"unknown", b"1", b"2"],
        [b"part"] * 1_000,
        *[[b"subscribe", b"channel%d" % number] for number in range(50)],
    ]
    with (
        connect(TCP) as transport,
        transport.serve("svc", capacity=99) as inbox,
        connect(transport.url) as other,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as stranger,
        other.dial() as line,
    ):
        stranger.linger = 0
        stranger.connect(transport.url.removeprefix("zmq+"))
        for parts in nonsense * 3:
            stranger.send_multipart(parts)
        stranger.send(b"svc\0fence")
        assert must(inbox).frame == b"fence"
        answer(inbox, line, b"x")


def test_an_oversize_frame_disconnects_its_sender_only() -> None:
    with (
        connect(TCP, max_frame=1_000) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as stranger,
        other.dial() as line,
    ):
        stranger.linger = 0
        stranger.connect(transport.url.removeprefix("zmq+"))
        stranger.send(b"svc\0" + b"x" * 100_000)
        answer(inbox, line, b"x")


def test_frames_up_to_the_limit_travel_both_ways_and_none_above(url: str) -> None:
    with (
        connect(url, max_frame=1_000) as transport,
        transport.serve("s" * 64) as inbox,
        connect(transport.url, max_frame=1_000) as other,
        other.dial() as line,
        other.subscribe("c") as channel,
    ):
        line.send("s" * 64, b"x" * 1_000, PATIENCE)
        delivery = must(inbox)
        with pytest.raises(FrameTooLarge):
            delivery.reply(b"x" * 1_001)
        delivery.reply(b"y" * 1_000)
        assert line.receive(PATIENCE) == b"y" * 1_000
        with pytest.raises(FrameTooLarge):
            line.send("svc", b"x" * 1_001, PATIENCE)
        with pytest.raises(FrameTooLarge):
            other.publish("c", b"x" * 1_001)
        transport.publish("c", b"z" * 1_000)
        assert must(channel).frame == b"z" * 1_000


def test_a_caller_that_does_not_read_holds_a_reply_up_once() -> None:
    with (
        connect(TCP, queue=5, linger=0.05) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url, queue=5) as other,
        other.dial() as line,
    ):
        line.send("svc", b"x", PATIENCE)
        delivery = must(inbox)
        with pytest.raises(ConnectionLost):
            for _ in range(1_000):
                delivery.reply(b"x" * 100_000)
        with other.dial() as reading:
            delivery.settle()
            answer(inbox, reading, b"y")
