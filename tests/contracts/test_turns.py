"""Processes of one test run take turns; whoever is alone waits for nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from treaty_contracts.expect import until
from treaty_contracts.turns import in_turn

#: Says that it is inside, and leaves when it is told to.
HOLDER = """\
import sys
from treaty_contracts.turns import in_turn
with in_turn(sys.argv[1]):
    print("inside", flush=True)
    sys.stdin.readline()
"""
#: Notes when it goes in and out, many times.
VISITOR = """\
import os, sys, time
from treaty_contracts.turns import in_turn
for _ in range(100):
    with in_turn("visits"):
        os.write(3, b"+")
        os.sched_yield()
        os.write(3, b"-")
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def started(what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, what]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_nobody_waits_for_another_target(locks: Path) -> None:
    with in_turn("mine"):
        assert len(list(locks.iterdir())) == 1
        other = started("yours")
        assert line(other) == "inside"
        other.communicate("\n", timeout=10)
    assert not list(locks.iterdir())


def test_one_at_a_time_however_often_they_come(locks: Path) -> None:
    noted = locks.parent / f"{locks.name}.txt"
    with noted.open("ab") as file:
        command = ["bash", "-c", f'exec "$0" -c "$1" 3>&{file.fileno()}', sys.executable, VISITOR]
        visitors = [subprocess.Popen(command, pass_fds=[file.fileno()]) for _ in range(4)]
        assert [visitor.wait(60) for visitor in visitors] == [0] * 4
    assert noted.read_bytes() == b"+-" * 400
    assert not list(locks.iterdir())


def test_who_is_killed_keeps_nobody_waiting(locks: Path) -> None:
    holder = started("mine")
    assert line(holder) == "inside"
    holder.kill()
    holder.communicate(timeout=10)
    with in_turn("mine"):
        pass
    assert not list(locks.iterdir())


def test_a_child_that_stays_keeps_nobody_waiting(locks: Path) -> None:
    code = "from treaty_contracts.turns import in_turn\nwith in_turn('mine'): print('inside', flush=True)"
    with in_turn("mine"):
        waiting = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        # It must wait at this very file before somebody leaves a copy of the descriptor behind.
        (lock,) = locks.iterdir()
        assert until(lambda: opened(waiting.pid, lock), 10)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
            child = os.fork()
        if child == 0:
            signal.pause()
    try:
        assert waiting.communicate(timeout=10)[0] == "inside\n"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def opened(pid: int, path: Path) -> bool:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(link.readlink())
    return path in found


def test_without_other_processes_there_is_no_lock(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    with in_turn("mine"):
        assert not list(locks.iterdir())
