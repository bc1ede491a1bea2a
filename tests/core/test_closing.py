"""How things end: once, whatever interrupts it."""

from __future__ import annotations

import threading
from itertools import count

import pytest
from tests.interruptions import strike

from treaty import Client, ClosedError
from treaty.closing import Finish

from .conftest import SECRET, Room
from .services import LIMIT, Slow, echoed


def test_it_is_done_once_by_whoever_comes_first() -> None:
    done: list[str] = []
    finish = Finish()
    thread = threading.Thread(target=lambda: finish(lambda: done.append("first")))
    thread.start()
    thread.join()
    finish(lambda: done.append("second"))
    assert done == ["first"]


def test_who_comes_again_while_it_is_done_waits_for_it_in_the_main_thread_alone() -> None:
    begun, go_on = threading.Event(), threading.Event()
    finish, done = Finish(), []

    def work() -> None:
        begun.set()
        finish(lambda: done.append("again"))  # from the inside
        go_on.wait(LIMIT)
        done.append("it")

    interrupter = threading.Timer(0.05, go_on.set)
    interrupter.start()
    finish(work)
    finish(lambda: done.append("twice"))
    assert begun.is_set() and done == ["it"]
    interrupter.join()


def test_without_another_thread_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    done: list[str] = []
    Finish()(lambda: done.append("done"))
    assert done == ["done"]


def test_a_client_whose_closing_is_interrupted_anywhere_can_be_closed(room: Room) -> None:
    room.serve(Slow)
    before = set(threading.enumerate())
    for number in count(1):
        client = Client(room.transport, secret=SECRET, timeout=LIMIT)
        client.on_response("slow.*", lambda reply: reply)
        assert client.send("slow.echo", ["hi"]).result() == echoed("hi")
        where = strike(number, ("treaty",), client.close)
        client.close()
        with pytest.raises(ClosedError):
            client.call("slow.echo")
        for thread in set(threading.enumerate()) - before:
            thread.join(LIMIT)
            assert not thread.is_alive(), f"{thread.name} is left after an interruption at {where}"
        if not where:
            break
    assert number > 5
