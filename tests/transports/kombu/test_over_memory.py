"""The broker in memory."""

from __future__ import annotations

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
