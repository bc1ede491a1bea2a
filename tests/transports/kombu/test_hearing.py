"""Who is to hear of a loss, and for how long that is waited for."""

from __future__ import annotations

import threading
import time

import pytest

from treaty import ConnectionLost, Unavailable
from treaty_kombu.hearing import Hearing

from .outside import eventually, seconds

LOSS = ConnectionLost("gone")


@pytest.fixture
def receiving() -> threading.Lock:
    return threading.Lock()


@pytest.fixture
def hearing(receiving: threading.Lock) -> Hearing:
    return Hearing(threading.RLock(), receiving)


def soon(wait: float = 5.0) -> float:
    return time.monotonic() + wait


def test_a_loss_is_told_once(hearing: Hearing) -> None:
    hearing.lost(LOSS)
    assert hearing.take() is LOSS
    assert hearing.take() is None


def test_nobody_waits_for_those_who_wait_for_no_answer(hearing: Hearing) -> None:
    hearing.sent()
    hearing.came()
    hearing.lost(LOSS)
    assert seconds(lambda: hearing.wait(soon())) < 0.2
    assert hearing.take() is None  # what is sent now is not concerned


def test_who_sent_something_has_a_moment_to_come(hearing: Hearing) -> None:
    hearing.sent()
    hearing.lost(LOSS)
    assert 0.3 < seconds(lambda: hearing.wait(soon())) < 3
    assert hearing.take() is None


def test_who_sent_something_long_ago_is_not_waited_for(hearing: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    hearing.sent()
    now = time.monotonic
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now() + 60)
        hearing.lost(LOSS)
        hearing.wait(time.monotonic() + 5)
    assert hearing.take() is None


def test_who_is_inside_is_waited_for_until_the_time_is_up(hearing: Hearing, receiving: threading.Lock) -> None:
    hearing.lost(LOSS)
    with receiving, pytest.raises(Unavailable, match="still to hear"):
        hearing.wait(soon(0.1))
    assert hearing.take() is LOSS


def test_who_has_heard_lets_others_go_on(hearing: Hearing, receiving: threading.Lock) -> None:
    hearing.lost(LOSS)
    with receiving:
        sender = threading.Thread(target=hearing.wait, args=(soon(),))
        sender.start()
        assert hearing.take() is LOSS
        eventually(lambda: not sender.is_alive(), within=2)
    sender.join()
