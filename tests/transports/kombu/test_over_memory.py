"""The broker in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kombu.transport import memory

from treaty import Unavailable
from treaty_kombu import connect


def test_a_broker_in_memory_leaves_nothing_in_kombus_books() -> None:
    def books() -> tuple[Any, ...]:
        state: Any = memory.Transport.global_state
        return set(memory.Channel.queues), set(state.exchanges), dict(state.bindings)

    before = books()
    with connect("kombu+memory://one") as one, connect("kombu+memory://two") as two:
        with (
            one.dial() as line,
            one.serve("echo"),
            one.subscribe("news") as feed,
            connect("kombu+memory://one") as same,
        ):
            same.publish("news", b"n")
            two.publish("news", b"not for you")
            notice = feed.receive(1)
            assert notice is not None
            assert notice.frame == b"n"
            assert feed.receive(0) is None
            line.send("echo", b"x", 0)
            with same.serve("echo") as inbox:
                assert inbox.receive(1) is not None
            with two.dial() as stranger, pytest.raises(Unavailable):
                stranger.send("echo", b"x", 0)
        assert not one.guarantees.crosses_processes
    assert books() == before


def test_what_a_service_left_in_its_queue_comes_back() -> None:
    """Nobody is there to take it, and a request that waits for nobody would end at its deadline only."""
    with connect("kombu+memory://left") as transport, transport.dial() as line, transport.dial() as other:
        first, last = transport.serve("echo"), transport.serve("echo")
        for end, frame in ((line, b"1"), (other, b"theirs"), (line, b"2"), (line, b"3")):
            end.send("echo", frame, 5)
        refused = last.receive(1)
        assert refused is not None
        first.close()
        assert line.receive(0) is None  # there is still somebody
        last.close()
        refused.settle(accepted=False)
        for frame in (b"2", b"3", b"1"):
            with pytest.raises(Unavailable) as caught:
                line.receive(0)
            assert caught.value.frame == frame
        assert line.receive(0) is None
        with pytest.raises(Unavailable) as caught:
            other.receive(5)
        assert caught.value.frame == b"theirs"
        with transport.serve("echo") as inbox:
            assert inbox.receive(0) is None


def test_what_comes_back_wakes_whoever_waits() -> None:
    with connect("kombu+memory://wakes") as transport, transport.dial() as line, ThreadPoolExecutor(1) as pool:
        inbox = transport.serve("echo")
        line.send("echo", b"x", 5)
        waits = pool.submit(line.receive, 20)
        inbox.close()
        error = waits.exception(5)
        assert isinstance(error, Unavailable)
        assert error.frame == b"x"
