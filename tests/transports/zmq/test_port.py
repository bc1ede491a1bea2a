"""Threads that share a socket, and how they wait for it."""

from __future__ import annotations

import contextlib
import threading

import pytest

from treaty import (
    ClosedError,
)
from treaty_zmq import connect
from treaty_zmq.port import Sleeper, Waker

from .ends import PATIENCE, TCP, answering, eventually, must


@pytest.mark.parametrize("services", [1, 2])
def test_no_wake_up_is_lost_between_eight_senders_and_one_reader(url: str, services: int) -> None:
    rounds, waits, lost = 250, dict[bytes, threading.Event](), list[bytes]()
    with connect(url) as transport, contextlib.ExitStack() as stack:
        for number in range(services):
            stack.enter_context(answering(transport.serve(f"svc{number}", capacity=100)))
        line = stack.enter_context(stack.enter_context(connect(transport.url)).dial())

        def read() -> None:
            with contextlib.suppress(ClosedError):
                while True:
                    frame = line.receive(PATIENCE)
                    if frame is not None:
                        waits[frame].set()

        def call(thread: int) -> None:
            for turn in range(rounds):
                frame = b"%d %d" % (thread, turn)
                waits[frame] = threading.Event()
                line.send(f"svc{turn % services}", frame, PATIENCE)
                if not waits[frame].wait(PATIENCE):
                    lost.append(frame)
                    return

        reader = threading.Thread(target=read)
        callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in (reader, *callers):
            thread.start()
        for thread in callers:
            thread.join()
        line.close()
        reader.join(PATIENCE)
        assert not reader.is_alive()
    assert lost == []


def test_who_waits_for_one_thing_looks_again_and_who_waits_for_many_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("treaty_zmq.port.os.sched_yield", lambda: looks.append(1))
    waker, sleeper = Waker(), Sleeper(spin=PATIENCE)
    sleeper.watch(waker.fd)
    waker.wake()
    assert sleeper.wait(0)  # it came within the time, so the next wait is an eager one
    waker.clear()
    monkeypatch.setattr(sleeper, "_spin", 0.001)
    sleeper.calm()
    assert not sleeper.wait(0.002) and not looks
    monkeypatch.setattr(sleeper, "_calm", 0)
    monkeypatch.setattr(sleeper, "_eager", True)
    assert not sleeper.wait(0.002) and looks
    waker.close()


def test_answers_that_come_together_are_waited_for_asleep() -> None:
    with (
        connect(TCP) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        sleeper = line._link._sleep  # type: ignore[attr-defined]

        def comes_together() -> bool:
            line.send("svc", b"question", PATIENCE)
            delivery = must(inbox)
            for _ in range(10):
                delivery.reply(b"answer")
            delivery.settle()
            for _ in range(10):
                assert line.receive(PATIENCE) == b"answer"
            return bool(sleeper._calm)

        assert eventually(comes_together)
