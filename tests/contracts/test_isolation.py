"""A child process in which anything may happen: its end is told, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

import psutil
import pytest

from treaty_contracts.isolation import in_child


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
