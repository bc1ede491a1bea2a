"""Attempts to connect: one at a time, none before it is time, and none that an end has to wait for."""

from __future__ import annotations

import threading
import time

import pytest

from treaty import ClosedError, Unavailable
from treaty_kombu.link import LONGEST
from treaty_kombu.redial import Redial

from .outside import eventually, seconds


class Line:
    """What is dialled: each attempt waits until it is let go, and may be told to fail."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.error: Exception | None = None
        self.attempts = 0
        self.ends = 0

    def connect(self) -> None:
        self.attempts += 1
        assert self.let_go.wait(10)
        if self.error is not None:
            raise self.error

    def ended(self) -> None:
        self.ends += 1


def test_there_is_one_attempt_at_a_time() -> None:
    line = Line()
    redial = Redial("the broker", line.connect, line.ended)
    assert [redial.begin() for _ in range(5)] == [LONGEST] * 5
    eventually(lambda: line.attempts)
    assert redial.trying and not line.ends
    line.let_go.set()
    eventually(lambda: line.ends)
    assert not redial.trying and line.attempts == 1
    assert redial.begin() == LONGEST
    eventually(lambda: line.ends == 2)
    assert line.attempts == 2


def test_a_system_without_a_thread_for_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    line.let_go.set()
    redial = Redial("the broker", line.connect, line.ended)
    with monkeypatch.context() as patch:

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Unavailable, match="no thread"):
            redial.reach(time.monotonic() + 5)
        assert 0 < redial.begin() < 1
        assert not redial.trying
    eventually(lambda: redial.begin() and line.ends)
    redial.stop()


def test_whoever_sends_waits_for_the_attempt_that_is_under_way() -> None:
    line = Line()
    redial = Redial("the broker", line.connect, line.ended)
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot connect to the broker in "):
            redial.reach(time.monotonic() + 0.05)
    assert line.attempts == 1
    with pytest.raises(Unavailable, match="not connected to the broker, and there is no time"):
        redial.reach(time.monotonic())
    threading.Timer(0.1, line.let_go.set).start()
    redial.reach(time.monotonic() + 5)
    assert line.attempts == 1
    redial.reach(time.monotonic() + 5)
    assert line.attempts == 2


def test_whoever_sends_does_not_wait_for_the_pause_and_hears_why_it_failed() -> None:
    line = Line()
    line.let_go.set()
    redial = Redial("the broker", line.connect, line.ended)
    for error, said in (
        (Unavailable("no"), "^no$"),
        (ValueError("odd"), "cannot connect to the broker: ValueError: odd"),
    ):
        line.error = error
        for _ in range(3):
            with pytest.raises(Unavailable, match=said) as caught:
                redial.reach(time.monotonic() + 5)
            assert caught.value.__cause__ is error
    assert line.attempts == 6


def test_whoever_sends_is_let_go_by_who_closes() -> None:
    line = Line()
    redial = Redial("the broker", line.connect, line.ended)
    found: list[BaseException] = []

    def wait() -> None:
        try:
            redial.reach(time.monotonic() + 20)
        except ClosedError as error:
            found.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: line.attempts)
    redial.stop()
    thread.join(2)
    assert not thread.is_alive() and found
    with pytest.raises(ClosedError):
        redial.reach(time.monotonic() + 5)
    line.let_go.set()
    eventually(lambda: not redial.trying)
    assert line.attempts == 1


def test_after_one_that_failed_there_is_a_pause() -> None:
    for error in (Unavailable("no"), ValueError("odd")):
        line = Line()
        line.error = error
        line.let_go.set()
        redial = Redial("the broker", line.connect, line.ended)
        assert redial.begin() == LONGEST
        eventually(lambda line=line: line.ends)  # type: ignore[misc]  # bound now
        assert 0 < redial.begin() <= 0.5
        assert line.attempts == 1
        line.error = None
        eventually(lambda redial=redial: redial.begin() == LONGEST)  # type: ignore[misc]
        eventually(lambda line=line: line.ends == 2)  # type: ignore[misc]


def test_an_end_that_closes_waits_a_moment_and_no_longer() -> None:
    line = Line()
    redial = Redial("the broker", line.connect, line.ended)
    redial.begin()
    assert 0.9 < seconds(redial.stop) < 5
    assert redial.trying and redial.begin() == LONGEST
    line.let_go.set()
    eventually(lambda: not redial.trying)
    redial.stop()
    redial.begin()
    assert line.attempts == 1


def test_the_thread_is_gone_when_the_end_is() -> None:
    before = threading.active_count()
    line = Line()
    line.let_go.set()
    redial = Redial("the broker", line.connect, line.ended)
    redial.begin()
    redial.stop()
    assert threading.active_count() == before
