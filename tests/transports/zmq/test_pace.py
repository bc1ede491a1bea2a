"""When the threads of libzmq wait for their turn."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
import zmq

from treaty_zmq import connect
from treaty_zmq.contexts import Contexts
from treaty_zmq.pace import MANY

from .ends import PATIENCE, TCP, answer, eventually, must


@pytest.fixture
def two_contexts() -> Iterator[tuple[Contexts, Contexts]]:
    """Two that have a socket each, once their threads bear the names by which they are found."""
    both = Contexts(), Contexts()
    with contextlib.ExitStack() as stack:
        for contexts in both:
            stack.callback(contexts.drop)
            stack.enter_context(contexts.take().socket(zmq.PAIR))
            assert eventually(lambda contexts=contexts: bool(policies(contexts)))  # type: ignore[misc]
        yield both


def policies(contexts: Contexts) -> set[int]:
    """How the scheduler treats the threads of a context."""
    return {os.sched_getscheduler(thread) for thread in contexts.pace._find()}


def test_threads_of_libzmq_wait_for_their_turn_only_while_much_is_under_way(
    two_contexts: tuple[Contexts, Contexts],
) -> None:
    busy, other = two_contexts
    for _ in range(MANY - 1):
        busy.pace.took()
    assert policies(busy) == {os.SCHED_OTHER}
    busy.pace.took()
    assert policies(busy) == {os.SCHED_BATCH}
    assert policies(other) == {os.SCHED_OTHER}
    busy.pace.waits()  # after a long row: the next one may be as long
    busy.pace.waits()  # after none at all
    assert policies(busy) == {os.SCHED_BATCH}
    busy.pace.took()
    busy.pace.waits()  # after a short one
    assert policies(busy) == {os.SCHED_OTHER}


def test_who_may_not_ask_the_scheduler_goes_on_without(
    two_contexts: tuple[Contexts, Contexts], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def forbidden(*what: object) -> None:
        asked.append(what)
        raise PermissionError

    monkeypatch.setattr("treaty_zmq.pace.os.sched_setscheduler", forbidden)
    pace = two_contexts[0].pace
    for _ in range(MANY):
        pace.took()
    pace.waits()
    assert asked


def test_a_row_of_messages_makes_both_ends_let_libzmq_wait() -> None:
    with (
        connect(TCP) as transport,
        transport.serve("svc", 10 * MANY) as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        contexts = line._link._contexts, inbox.endpoint._contexts  # type: ignore[attr-defined]

        def comes_in_rows() -> bool:
            for _ in range(2 * MANY):
                line.send("svc", b"question", PATIENCE)
            for _ in range(2 * MANY):
                delivery = must(inbox)
                delivery.reply(b"answer")
                delivery.settle()
            for _ in range(2 * MANY):
                assert line.receive(PATIENCE) == b"answer"
            return all(one.pace.yields for one in contexts)

        def comes_alone() -> bool:
            answer(inbox, line, b"one")
            return not any(one.pace.yields for one in contexts)

        assert eventually(comes_in_rows)
        assert eventually(comes_alone)
