"""How a child ends that a handler has forked."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable

import pytest

from treaty.children import end_child


def ended(work: Callable[[], object]) -> int:
    """Do this in a forked child, and return with what it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            work()
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (None, 0),
        (SystemExit(), 0),
        (SystemExit(None), 0),
        (SystemExit(7), 7),
        (SystemExit(256 + 3), 3),
        (SystemExit(-1), 255),
        (KeyboardInterrupt(), -signal.SIGINT),
    ],
    ids=repr,
)
def test_a_child_ends_as_python_would_end_it(raised: BaseException | None, code: int) -> None:
    assert ended(lambda: end_child(raised)) == code


@pytest.mark.parametrize("raised", [SystemExit("no tea"), ValueError("no tea")], ids=repr)
def test_a_child_says_what_was_wrong(raised: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: end_child(raised)) == 1
    said = capfd.readouterr().err.strip().split("\n")
    assert said[-1] in ("no tea", "ValueError: no tea")


def test_a_child_ends_whatever_its_exception_does() -> None:
    class Unprintable(SystemExit):
        def __str__(self) -> str:
            raise RuntimeError

    assert ended(lambda: end_child(SystemExit(Unprintable()))) == 1


def test_a_child_waits_for_the_threads_that_it_has_started() -> None:
    begun = threading.Event()

    def leave() -> None:
        begun.wait(5)
        os._exit(5)

    def work() -> None:
        threading.Thread(target=leave).start()
        threading.Timer(0.05, begun.set).start()
        end_child()

    assert ended(work) == 5
