"""The life of a transport object: what closing ends and leaves, and forks."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Callable

from treaty import (
    ClosedError,
    ForkedError,
    Inbox,
    Line,
)
from treaty_zmq import connect

from .ends import PATIENCE, answer, connect_after, must, resources


def test_close_from_another_thread_ends_every_kind_of_receive(url: str) -> None:
    before = resources()
    with connect(url) as transport:
        inboxes: list[Inbox | Line] = [transport.serve("one"), transport.serve("two")]
        other = connect(transport.url)
        inboxes += [other.subscribe("news"), other.dial()]
        ended: list[type[BaseException]] = []

        def wait(end: Inbox | Line) -> None:
            try:
                end.receive(60)
            except ClosedError as error:
                ended.append(type(error))

        threads = [threading.Thread(target=wait, args=(end,)) for end in inboxes]
        for thread in threads:
            thread.start()
        other.close()
        transport.close()
        transport.close()
        for thread in threads:
            thread.join(PATIENCE)
        assert ended == [ClosedError] * 4
    assert resources() == before


def test_closing_leaves_nothing_and_an_idle_transport_holds_nothing(url: str) -> None:
    before = resources()
    with connect(url) as transport, connect_after(transport) as other:
        assert resources() == before
        for _ in range(3):
            with transport.serve("svc") as inbox, other.dial() as line, other.subscribe("news") as subscription:
                answer(inbox, line, b"x")
                transport.publish("news", b"n")
                assert must(subscription).frame == b"n"
            assert resources() == before
        other.publish  # noqa: B018 - never used, so it holds nothing either
    assert resources() == before


def test_a_forked_child_is_refused_and_does_not_disturb_its_parent(url: str) -> None:
    with connect(url) as transport, transport.serve("svc") as inbox, connect(transport.url) as other:
        line, subscription = other.dial(), other.subscribe("news")
        answer(inbox, line, b"before")
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe()

        def child() -> None:
            uses: list[Callable[[], object]] = [
                lambda: line.send("svc", b"x", 0),
                lambda: line.receive(0),
                lambda: inbox.receive(0),
                lambda: subscription.receive(0),
                lambda: transport.publish("news", b"x"),
                transport.dial,
            ]
            refused = 0
            for use in uses:
                with contextlib.suppress(ForkedError):
                    use()
                    continue
                refused += 1
            for resource in (line, inbox, subscription, transport, other):
                resource.close()
            with connect("zmq+inproc://child") as own, own.serve("svc") as mine, own.dial() as mine_too:
                answer(mine, mine_too, b"of its own")
            theirs.send(refused)

        process = fork.Process(target=child)
        process.start()
        assert ours.poll(PATIENCE)
        assert ours.recv() == 6
        process.join(PATIENCE)
        assert process.exitcode == 0
        for number in range(20):
            answer(inbox, line, b"%d" % number)
        transport.publish("news", b"after")
        assert must(subscription).frame == b"after"
        for pipe in (ours, theirs):
            pipe.close()
        process.close()
