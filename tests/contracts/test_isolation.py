"""A child process in which anything may happen: its end is told, and nothing of it stays."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

import psutil
import pytest

from treaty_contracts.isolation import MEDDLED, high, in_child, withhold


def test_what_it_reports_arrives() -> None:
    assert in_child(lambda: b"x" * 300_000, 30) == (b"x" * 300_000, "exit code 0", "")
    assert in_child(lambda: b"", 30).report == b""


def test_it_is_another_process_and_takes_everything_along() -> None:
    mine = os.getpid()
    ended = in_child(lambda: f"{mine == os.getpid()} {mine}".encode(), 30)
    assert ended.report == f"False {mine}".encode()


def test_how_it_ended_is_told() -> None:
    assert in_child(lambda: os._exit(3), 30)[:2] == (None, "exit code 3")
    assert in_child(lambda: signal.raise_signal(signal.SIGSEGV) or b"", 30)[:2] == (None, "signal SIGSEGV")  # type: ignore[func-returns-value]


def test_an_exception_is_printed_and_no_report() -> None:
    def work() -> NoReturn:
        raise ZeroDivisionError("here")

    ended = in_child(work, 30)
    assert (ended.report, ended.end) == (None, "exit code 70")
    assert "ZeroDivisionError: here" in ended.printed


def test_who_closes_what_belongs_to_the_child_is_not_taken_for_it() -> None:
    for first in (0, 3):
        ended = in_child(lambda first=first: os.closerange(first, 1000) or b"", 30)  # type: ignore[misc,func-returns-value]
        assert ended[:2] == (None, f"exit code {MEDDLED}"), ended.printed


def scribble(text: bytes) -> bytes:
    """Write into all that is open where the program has put its own."""
    for descriptor in range(200, 1000):
        with suppress(OSError):
            os.write(descriptor, text)
    return b""


def test_who_writes_into_what_belongs_to_the_child_is_not_taken_for_it() -> None:
    for text in (b'{"status":"passed"}\n', bytes(7) + b"\x02{}", b"\x00"):
        ended = in_child(lambda text=text: scribble(text), 30)  # type: ignore[misc]
        assert ended[:2] == (None, f"exit code {MEDDLED}"), ended


def test_what_is_withheld_is_not_there_in_a_child() -> None:
    reading, writing = os.pipe()

    def work() -> bytes:
        withhold(high(writing))
        return in_child(lambda: scribble(b"to the one who reads") or b"r", 30).report or b""

    in_child(work, 30)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""


def test_few_descriptors_are_enough() -> None:
    def limited() -> bytes:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        return in_child(lambda: b"r", 30).report or b""

    assert in_child(limited, 30).report == b"r"


def test_a_fork_that_was_replaced_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: 1 / 0)
    assert in_child(lambda: b"r", 30).report == b"r"


def test_what_it_prints_is_kept_from_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> bytes:
        sys.stdout.write("to the one\n")
        os.write(2, b"to the other\n")
        return b"r"

    assert in_child(work, 30) == (b"r", "exit code 0", "to the one\nto the other")
    assert capfd.readouterr() == ("", "")


def test_a_hang_is_ended() -> None:
    ended = in_child(lambda: (threading.Event().wait() and b"") or b"", 0.2)
    assert ended[:2] == (None, "")


def test_what_it_started_is_gone() -> None:
    def work() -> bytes:
        child = os.fork()
        if child == 0:
            threading.Event().wait()
        return str(child).encode()

    pid = int(in_child(work, 30).report or b"0")
    gone, alive = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
    # Whoever adopts orphans here may take its time to bury them.
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive), (gone, alive)
