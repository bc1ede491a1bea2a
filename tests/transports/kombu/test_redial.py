"""Attempts to connect: one at a time, none before it is time, and none that an end has to wait for."""

from __future__ import annotations

import threading

import pytest

from treaty import Unavailable
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
    redial = Redial(line.connect, line.ended)
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
    redial = Redial(line.connect, line.ended)
    with monkeypatch.context() as patch:

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        assert 0 < redial.begin() < 1
        assert not redial.trying
    eventually(lambda: redial.begin() and line.ends)
    redial.stop()


def test_after_one_that_failed_there_is_a_pause() -> None:
    for error in (Unavailable("no"), ValueError("odd")):
        line = Line()
        line.error = error
        line.let_go.set()
        redial = Redial(line.connect, line.ended)
        assert redial.begin() == LONGEST
        eventually(lambda line=line: line.ends)  # type: ignore[misc]  # bound now
        assert 0 < redial.begin() <= 0.5
        assert line.attempts == 1
        line.error = None
        eventually(lambda redial=redial: redial.begin() == LONGEST)  # type: ignore[misc]
        eventually(lambda line=line: line.ends == 2)  # type: ignore[misc]


def test_an_end_that_closes_waits_a_moment_and_no_longer() -> None:
    line = Line()
    redial = Redial(line.connect, line.ended)
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
    redial = Redial(line.connect, line.ended)
    redial.begin()
    redial.stop()
    assert threading.active_count() == before
