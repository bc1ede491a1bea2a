"""Signals that a program listens to, and the forked children that do not."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable

import pytest

from treaty.signals import listening


def ended(work: Callable[[], object], *signals: int, thread: bool) -> int:
    """Do this in a child that is forked here or in another thread; send it the signals at once. Return how it ended."""
    codes: list[int] = []

    def fork() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            signal.alarm(10)
            work()
            os._exit(0)
        for number in signals:
            os.kill(child, number)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    if thread:
        forker = threading.Thread(target=fork)
        forker.start()
        forker.join()
    else:
        fork()
    return codes[0]


@pytest.mark.parametrize("thread", [False, True], ids=["main", "another"])
def test_a_child_does_with_a_signal_what_was_done_before(thread: bool) -> None:
    heard: list[int] = []
    before = signal.getsignal(signal.SIGTERM)

    def look() -> None:
        os._exit(0 if signal.getsignal(signal.SIGTERM) == before else 1)

    with (
        listening(lambda number, _: heard.append(number), signal.SIGTERM, signal.SIGUSR1),
        listening(lambda number, _: heard.append(-number), signal.SIGTERM),
    ):
        assert ended(look, thread=thread) == 0
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)

    assert heard == [-signal.SIGTERM, signal.SIGUSR1]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_reaches_a_child_at_once_ends_it() -> None:
    with listening(lambda *_: None, signal.SIGTERM):
        for _ in range(20):
            assert ended(signal.pause, signal.SIGTERM, thread=True) == -signal.SIGTERM
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_a_child_keeps_what_it_was_given_meanwhile() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with listening(lambda *_: None, signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        assert ended(lambda: os.kill(os.getpid(), signal.SIGUSR1), thread=True) == 0
    assert signal.getsignal(signal.SIGUSR1) == before


def test_the_block_may_end_in_a_child() -> None:
    def leave() -> None:
        manager.__exit__(None, None, None)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    manager = listening(lambda *_: None, signal.SIGTERM)
    with manager:
        assert ended(leave, thread=False) == -signal.SIGTERM


def test_the_mask_of_a_thread_that_forks_is_as_before() -> None:
    masks: list[set[int]] = []

    def fork() -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        ended(lambda: None, thread=False)
        masks.append(signal.pthread_sigmask(signal.SIG_SETMASK, before))

    with listening(lambda *_: None, signal.SIGTERM):
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert masks == [{signal.SIGUSR2}]
