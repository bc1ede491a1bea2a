from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from typer.testing import Result

from treaty import Key
from treaty.cli.demo import acts, sharing, steps
from treaty.cli.demo.bounds import HungError, within
from treaty.cli.demo.pantry import Tea
from treaty.cli.demo.process import OtherProcess
from treaty.cli.demo.sharing import Household
from treaty.cli.demo.steps import Stage, Step

pytest.importorskip("zmq")

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]
Mine = Callable[[], list[psutil.Process]]
ZMQ = ("demo", "--only", "zmq")
ALL = len(steps.STEPS) + len(sharing.STEPS)


@pytest.fixture
def calls_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what is done with storage."""
    monkeypatch.setattr(acts, "_share", lambda *_: iter(()))


def _kill_the_other(_: Stage) -> str:
    for child in psutil.Process().children():
        child.kill()
        # Wait, but leave its end to be noticed by those whose business it is.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return "killed"


def _read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    while text not in (line := process.stdout.readline()):
        assert line, "it ended before that"


def test_every_outcome_is_right_and_nothing_is_left(start: Start, mine: Mine, tmp_path: Path) -> None:
    pytest.importorskip("kombu")
    pytest.importorskip("fakeredis")
    process = start("demo", env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    count = 2 * ALL
    assert (process.returncode, err) == (0, "")
    assert f"{count} of {count} outcomes were right, over zmq and kombu" in out
    assert "\x1b" not in out
    assert [line for line in out.splitlines() if line != line.rstrip()] == []
    assert mine() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_in_the_middle_it_leaves_nothing(start: Start, mine: Mine, number: int, code: int) -> None:
    process = start(*ZMQ)
    _read_until(process, "A blocking call")
    assert len(mine()) == 2
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert process.returncode == code
    assert err == ("interrupted\n" if number == signal.SIGINT else "")
    assert mine() == []


def test_killed_it_leaves_nothing_either(start: Start, mine: Mine) -> None:
    pytest.importorskip("kombu")
    pytest.importorskip("fakeredis")
    process = start("demo", "--only", "kombu")
    _read_until(process, "A blocking call")
    left = mine()
    assert len(left) == 3
    process.kill()
    _, alive = psutil.wait_procs([other for other in left if other.pid != process.pid], timeout=15)
    assert alive == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ended_while_state_is_shared_it_leaves_no_process_and_no_file(
    start: Start, mine: Mine, tmp_path: Path, number: int
) -> None:
    process = start(*ZMQ, env={**os.environ, "TMPDIR": str(tmp_path)})
    _read_until(process, "the pantry is kept in SQLite")
    left = mine()
    assert len(left) in (3, 4)  # the second subscriber may have been killed already
    process.send_signal(number)
    _, alive = psutil.wait_procs([other for other in left if other.pid != process.pid], timeout=15)
    assert alive == []
    assert process.wait(15) == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("calls_only")
def test_a_wrong_outcome_is_told_and_exits_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = replace(steps.STEPS[0], expected="'Go away, Ada.'")
    monkeypatch.setattr(steps, "STEPS", (first, steps.STEPS[4]))
    result = run(*ZMQ)
    assert result.exit_code == 1
    assert "expected   'Go away, Ada.'" in result.stdout
    assert "came back  'Welcome, Ada.'" in result.stdout
    assert "1 of 2 outcomes were wrong" in result.stdout
    assert "zmq: A blocking call" in result.stdout.splitlines()[-1]


@pytest.mark.usefixtures("calls_only")
def test_when_the_other_process_dies_the_rest_is_not_waited_for(
    run: Run, mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = Step(title="A murder", code="kill -9", expected="killed", act=_kill_the_other)
    monkeypatch.setattr(steps, "STEPS", (killer, *steps.STEPS))
    result = run(*ZMQ)
    assert result.exit_code == 1
    assert f"{len(steps.STEPS) - 1} of {len(steps.STEPS)} outcomes were wrong" in result.stdout
    assert "the other process ended with code -9" in result.stdout
    assert mine() == []


@pytest.mark.usefixtures("calls_only")
def test_what_hangs_is_a_wrong_outcome(run: Run, mine: Mine, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    hang: Step[Stage] = Step(title="A hang", code="wait()", expected="None", act=lambda _: str(release.wait(30)))
    monkeypatch.setattr(steps, "STEPS", (hang,))
    monkeypatch.setattr(acts, "_STEP", 0.1)
    result = run(*ZMQ)
    release.set()
    assert result.exit_code == 1
    assert "HungError: nothing happened for 0.1 s" in result.stdout
    assert mine() == []


@pytest.mark.usefixtures("calls_only")
def test_a_service_that_cannot_start_is_a_wrong_outcome(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "PLACES", {"zmq": lambda: nullcontext("pigeon://nowhere")})
    result = run(*ZMQ)
    assert result.exit_code == 1
    assert "UnknownScheme" in result.stdout
    assert "1 of 1 outcomes were wrong" in result.stdout


@pytest.mark.parametrize(("width", "encoding"), [("40", "ascii"), ("200", "utf-8")])
def test_it_reads_well_at_any_width(start: Start, width: str, encoding: str) -> None:
    process = start(*ZMQ, env={**os.environ, "COLUMNS": width, "PYTHONIOENCODING": encoding})
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    words = " ".join(out.split())
    titles = [*(step.title for step in steps.STEPS), *(step.title for step in sharing.STEPS)]
    assert all(title in words for title in titles if encoding != "ascii")
    scenes = ("the tea house", "the pantry")
    assert max(len(line) for line in out.splitlines() if not line.startswith(scenes)) <= min(int(width), 110)
    assert out.isascii() is (encoding == "ascii")


def test_the_secret_of_the_other_process_is_hidden(mine: Mine) -> None:
    secret = Key.generate(os.urandom).text()
    with OtherProcess("zmq+tcp://127.0.0.1:*", secret) as other:
        seen = psutil.Process(other.pid)
        assert secret not in json.dumps([seen.cmdline(), seen.environ()])
        assert other.obituary == ""
    assert "ended with code 0" in other.obituary
    assert mine() == []


def test_without_sqlalchemy_it_says_so_and_uses_the_memory_store(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sqlalchemy.py").write_text("raise ModuleNotFoundError(name='sqlalchemy')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(steps, "STEPS", ())
    result = run(*ZMQ)
    assert result.exit_code == 0, result.stdout
    words = " ".join(result.stdout.split())
    assert "the pantry is kept in memory" in words
    assert "storage in SQLite was not run, and the memory store is used: " in words
    assert "pip install 'treaty[sql]'" in words
    assert f"{len(sharing.STEPS)} of {len(sharing.STEPS)} outcomes were right" in words


def test_a_subscriber_that_knows_something_else_is_a_wrong_outcome(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def confuse(household: Household) -> str:
        last = household.storage.save(Tea("assam", 1))
        household.first.ask(last)
        monkeypatch.setattr(household.first, "ask", lambda _: {"teas": [["assam", 2, 1]]})
        return sharing._compare(household, last, household.second, household.first)

    monkeypatch.setattr(steps, "STEPS", ())
    monkeypatch.setattr(sharing, "STEPS", (replace(sharing.STEPS[0], act=confuse),))
    result = run(*ZMQ)
    assert result.exit_code == 1
    words = " ".join(result.stdout.split())
    assert "the store has [['assam', 1, 1]], but the first subscriber knows [['assam', 2, 1]]" in words


def test_work_is_bounded_and_raises_what_it_raises() -> None:
    assert within(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)
    release = threading.Event()
    with pytest.raises(HungError):
        within(0.01, lambda: release.wait(30))
    release.set()


def test_the_last_resort_ends_a_program_that_hangs() -> None:
    code = (
        "import threading; from treaty.cli.demo.bounds import last_resort\n"
        "with last_resort(0.1): threading.Event().wait(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, "giving up" in done.stderr) == (1, True)
