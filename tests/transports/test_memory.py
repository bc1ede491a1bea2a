"""What only the reference transport does: hubs by name, in this process and no other."""

from __future__ import annotations

import os
import signal
import sys
import threading
from traceback import walk_stack
from typing import Any

import pytest

from treaty import ConfigurationError, InvalidURL, Unavailable, connect
from treaty_contracts.expect import until
from treaty_memory import transport as memory


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "memory:///x",
        "memory://name/path",
        "memory://name?max_frame=5",
        "memory://name#part",
        "memory://name:1",
        "memory://me:s3cret@name",
        "memory://[",
    ],
)
def test_a_malformed_url_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(InvalidURL, match="memory://name") as refused:
        connect(url)
    assert "s3cret" not in str(refused.value)


def test_two_transports_of_one_name_meet_and_those_of_two_do_not() -> None:
    with connect("memory://one") as here, connect("memory://one") as there, connect("memory://two") as elsewhere:
        inbox = here.serve("svc")

        there.dial().send("svc", b"hello", 0)
        delivery = inbox.receive(1)

        assert delivery is not None
        assert delivery.frame == b"hello"
        with pytest.raises(Unavailable):
            elsewhere.dial().send("svc", b"hello", 0)


def test_a_hub_goes_with_the_last_that_is_open_on_it() -> None:
    with connect("memory://brief") as transport:
        line, inbox = transport.dial(), transport.serve("svc")
        line.close()
        assert "brief" in memory._HUBS.by_name
        inbox.close()
        assert "brief" not in memory._HUBS.by_name


def test_what_nobody_took_goes_back_with_the_last_inbox() -> None:
    with connect("memory://left") as transport, transport.dial() as line:
        first, last = transport.serve("svc"), transport.serve("svc")
        line.send("svc", b"taken", 0)
        line.send("svc", b"waiting", 0)
        assert first.receive(1) is not None
        first.close()
        assert line.receive(0) is None  # the other one may take it
        last.close()
        with pytest.raises(Unavailable, match="nobody had taken this") as caught:
            line.receive(0)
        assert caught.value.frame == b"waiting"
        assert line.receive(0) is None


def test_a_full_queue_says_that_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ROOM", 2)
    with connect("memory://full") as transport, transport.serve("svc"), transport.dial() as line:
        line.send("svc", b"1", 0)
        line.send("svc", b"2", 0)
        with pytest.raises(Unavailable, match="full") as caught:
            line.send("svc", b"3", 0)
        assert caught.value.frame == b"3"


def test_who_is_interrupted_while_others_use_the_hub_leaves_its_lock_to_them() -> None:
    inside, out, held = threading.Event(), threading.Event(), list[bool]()
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(*_: object) -> None:
        if inside.is_set():
            raise KeyboardInterrupt

    def receiving() -> bool:
        return any(frame.f_code.co_name == "receive" for frame, _ in walk_stack(sys._current_frames()[main]))

    def use(lock: Any) -> None:
        until(receiving, 60)
        with lock:
            for _ in range(2):
                signal.pthread_kill(main, signal.SIGUSR1)
                if out.wait(2):
                    break
            held.append(lock._is_owned())

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with connect("memory://busy") as transport, transport.dial() as line:
            user = threading.Thread(target=use, args=(memory._HUBS.by_name["busy"].lock,))
            with pytest.raises(KeyboardInterrupt):
                inside.set()
                user.start()
                line.receive(60)
            inside.clear()
            out.set()
            user.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert held == [True]


def test_an_inbox_without_room_is_a_mistake() -> None:
    with connect("memory://none") as transport, pytest.raises(ConfigurationError, match="one delivery or more"):
        transport.serve("svc", capacity=0)


def test_a_forked_child_begins_without_hubs() -> None:
    """A frame put into an inherited copy of a queue would vanish; nobody is there, and the child is told so."""
    with connect("memory://forked") as transport, transport.serve("svc") as inbox:
        child = os.fork()
        if child == 0:
            try:
                connect("memory://forked").dial().send("svc", b"lost", 0)
            except Unavailable:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert inbox.receive(0) is None
