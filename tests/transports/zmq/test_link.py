"""A caller's connection: nobody there, and the one that breaks."""

from __future__ import annotations

import contextlib
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import zmq
from tests.interruptions import strike

from treaty import (
    ConnectionLost,
    Line,
    Unavailable,
)
from treaty_zmq import connect

from .ends import PATIENCE, TCP, answer, connect_after, eventually, must


def test_nobody_there_is_noticed_and_nothing_arrives_later(url: str) -> None:
    with connect(url) as probe:
        probe.serve("svc").close()
        real = probe.url
    with connect(real, connect_timeout=0.05) as client, client.dial() as line:
        for timeout in (0, PATIENCE):
            with pytest.raises(Unavailable):
                line.send("svc", b"never", timeout)
        with connect(real) as transport, transport.serve("svc") as inbox:
            assert eventually(lambda: sent(line, b"fence"))
            assert must(inbox).frame == b"fence"


def sent(line: Line, frame: bytes) -> bool:
    try:
        line.send("svc", frame, 0)
    except Unavailable:
        return False
    return True


def test_a_restarted_service_is_found_by_the_same_line(url: str) -> None:
    with connect(url) as transport:
        inbox = transport.serve("svc")
        with connect(transport.url, connect_timeout=PATIENCE) as other, other.dial() as line:
            for turn in range(3):
                answer(inbox, line, b"%d" % turn)
                inbox.close()
                assert eventually(lambda: not sent(line, b"into the void"))
                inbox = transport.serve("svc")
        inbox.close()


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_caller_that_waits_learns_once_that_the_connection_broke(scheme: str, place: Path) -> None:
    url = TCP if scheme == "tcp" else f"zmq+ipc://{place}/s"
    with connect(url) as transport, connect_after(transport) as other, other.dial() as line:
        inbox = transport.serve("svc")
        answer(inbox, line, b"x")
        closer = threading.Timer(0.02, inbox.close)
        closer.start()
        with pytest.raises(ConnectionLost):
            line.receive(PATIENCE)
        closer.join()
        assert line.receive(0) is None
        with transport.serve("svc") as again:
            answer(again, line, b"y")


def test_a_caller_that_does_not_wait_is_not_told_of_what_it_did_not_lose(url: str) -> None:
    with connect(url) as transport, connect_after(transport) as other, other.dial() as line:
        for _ in range(5):
            with transport.serve("svc") as inbox:
                assert eventually(lambda: sent(line, b"fence"))
                must(inbox).settle()
                answer(inbox, line, b"x")


def test_who_begins_to_receive_is_told_of_a_loss_before_anything_goes_out_on_another_connection() -> None:
    with connect("zmq+inproc://told") as transport, connect(transport.url) as other, other.dial() as line:
        inbox = transport.serve("svc")
        line.send("svc", b"never answered", PATIENCE)
        must(inbox)
        inbox.close()
        link, told = line._link, list[ConnectionLost]()  # type: ignore[attr-defined]
        notice = link._notice

        def receive() -> None:
            with pytest.raises(ConnectionLost) as caught:
                line.receive(PATIENCE)
            told.append(caught.value)

        reader = threading.Thread(target=receive)

        def notice_as_somebody_comes() -> bool:
            if not reader.ident:
                reader.start()
                assert eventually(link._turn.locked)
            return bool(notice())

        with transport.serve("svc") as again:
            link._notice = notice_as_somebody_comes
            with pytest.raises(Unavailable):
                line.send("svc", b"too early", 0)
            reader.join(PATIENCE)
            assert len(told) == 1
            line.send("svc", b"next", PATIENCE)
            delivery = must(again)
            assert delivery.frame == b"next"
            delivery.reply(b"answer")
            assert line.receive(PATIENCE) == b"answer"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_whose_making_is_interrupted_anywhere_leaves_nothing(place: Path) -> None:
    with connect(TCP) as transport, transport.serve("svc") as inbox:
        for number in count(1):
            with connect(transport.url, connect_timeout=PATIENCE) as other:
                where = strike(number, ("treaty_zmq",), other.dial)  # what it made nobody has, and the collector finds
                with other.dial() as line:
                    answer(inbox, line, b"%d" % number)
            if not where:
                break
    assert number > 50
    assert eventually(lambda: not [task for task in Path("/proc/self/task").iterdir() if named(task)]), (
        "libzmq works on"
    )


def named(task: Path) -> bool:
    """Whether this is a thread of libzmq."""
    with contextlib.suppress(OSError):
        return (task / "comm").read_text().startswith("ZMQ")
    return False


def test_a_look_that_is_interrupted_counts_as_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        connect(TCP) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        watch = line._link._watch  # type: ignore[attr-defined]
        receive, left = zmq.Socket.recv, [KeyboardInterrupt]

        def interrupted(self: zmq.Socket[bytes], *arguments: Any, **options: Any) -> Any:
            head = receive(self, *arguments, **options)  # of an event, whose rest stays there
            if self is watch._events and left:
                raise left.pop()
            return head

        monkeypatch.setattr(zmq.Socket, "recv", interrupted)
        with pytest.raises(KeyboardInterrupt):
            answer(inbox, line, b"1")
        answer(inbox, line, b"2")
