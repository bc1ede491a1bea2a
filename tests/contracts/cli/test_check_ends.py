"""``treaty check`` that takes its time, and one that is ended from outside."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

import psutil
import pytest

from treaty_contracts.report import ReportError, read

Write = Callable[[str], str]
SLOW = """\
import threading
from treaty_contracts import Target

def hang(_):
    open("begun", "w").close()
    threading.Event().wait()

target = Target(name="slow", open=hang)
"""


@pytest.fixture
def begun(write: Write) -> Iterator[Callable[[], None]]:
    """Wait until somebody has opened the file of this name in the folder of the module."""
    os.mkfifo("begun")
    reading = os.open("begun", os.O_RDONLY | os.O_NONBLOCK)

    def wait() -> None:
        poll = select.poll()
        poll.register(reading)
        assert poll.poll(60_000), "nobody has begun"

    yield wait
    os.close(reading)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import threading\nopen('begun', 'w').close()\nthreading.Event().wait()", "importing {}:target\n"),
        (
            SLOW,
            "importing {}:target\nopening slow, for SETUP-001\n",
        ),
    ],
)
def test_what_takes_its_time_is_said_at_once(write: Write, begun: Callable[[], None], text: str, said: str) -> None:
    name = write(text)
    command = [sys.executable, "-m", "treaty.cli", "check", f"{name}:target"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline().decode() for _ in said.splitlines()]
        begun()
        process.send_signal(signal.SIGINT)
    assert "".join(lines) == said.format(name)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "ended by SIGTERM"),
        (signal.SIGHUP, "ended by SIGHUP"),
    ],
)
def test_a_signal_ends_it_at_once_and_leaves_nothing(
    write: Write, begun: Callable[[], None], monkeypatch: pytest.MonkeyPatch, number: signal.Signals, said: str
) -> None:
    name = write(
        "import threading\nfrom treaty_contracts import Target\n"
        "def hang(_):\n    open('begun', 'w').close()\n    threading.Event().wait()\n"
        "target = Target(name='hanging', open=hang)\n"
    )
    mark = uuid.uuid4().hex
    monkeypatch.setenv("TREATY_TEST_MARK", mark)
    command = [sys.executable, "-m", "treaty.cli", "check", f"{name}:target", "--json", "r.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        begun()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)  # half of the time after which the rule would count as hung
    assert process.returncode == 128 + number
    assert f"{said}: this is no verdict" in errors
    assert "Traceback" not in errors
    with pytest.raises(ReportError, match="the run was not finished"):
        read("r.json")
    _, alive = psutil.wait_procs(marked(mark), timeout=5)
    assert all(one.status() == psutil.STATUS_ZOMBIE for one in alive), alive


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != psutil.Process().pid and process.environ().get("TREATY_TEST_MARK") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found
