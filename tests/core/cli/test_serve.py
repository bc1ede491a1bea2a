from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from treaty import Client, Key

pytest.importorskip("zmq")

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]
MODULE = """
import threading
from treaty import Service
class Deaf(Service):
    name = "deaf"
    def on_echo(self, message, text: str):
        return text
    def on_hang(self, message):
        message.status(102, "hanging")
        threading.Event().wait(60)
class Broken(Service):
    name = "broken"
    def setup(self):
        raise OSError("no disk")
class Plain(Service):
    name = "plain"
    def __init__(self, transport, *, secret):
        super().__init__(transport, secret=secret)
    def setup(self):
        raise OSError("plain enough")
class Greedy(Service):
    name = "greedy"
    def __init__(self, transport, *, concurrency=7, **options):
        super().__init__(transport, concurrency=concurrency, **options)
        self.chosen = concurrency
    def setup(self):
        raise OSError(f"wants {self.chosen}")
"""


@pytest.fixture
def here(tmp_path: Path, secret: Key) -> Path:
    (tmp_path / "served.py").write_text(MODULE)
    return tmp_path


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"deaf: serving on (zmq\+tcp://127\.0\.0\.1:\d+) \(Ctrl-C stops\)\n", line)
    assert match, line
    return match[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_serves_and_a_signal_stops_it(
    here: Path, secret: Key, start: Start, number: signal.Signals
) -> None:
    process = start("serve", "served:Deaf", "--url", "zmq+tcp://127.0.0.1:*", cwd=here)
    with Client(_url(process), secret=secret) as client:
        assert client.call("deaf.echo", ["hi"]) == "hi"
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "deaf: stopped\n", "")


def test_a_second_ctrl_c_ends_the_drain_at_once(here: Path, secret: Key, start: Start) -> None:
    process = start("serve", "served:Deaf", "--url", "zmq+tcp://127.0.0.1:*", "--drain", "50", "-v", cwd=here)
    assert process.stderr is not None
    with Client(_url(process), secret=secret, timeout=1) as client:
        pending = client.send("deaf.hang", timeout=30)
        assert next(iter(pending.statuses())).reason == "hanging"
        process.send_signal(signal.SIGINT)
        while "stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out) == (0, "deaf: stopped\n")
        assert "Traceback" not in err
        assert secret.text()[20:] not in err


def test_an_address_in_use_is_one_line(far_kitchen: object, here: Path, start: Start) -> None:
    out, err = start("serve", "served:Deaf", cwd=here).communicate(timeout=10)
    assert out == ""
    assert err.startswith("AddressInUse: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["served:Nobody"],
            2,
            "ConfigurationError: the module 'served' has no 'Nobody'; services in it: Broken, Deaf, Greedy, Plain",
        ),
        (["nowhere:Deaf"], 2, "ConfigurationError: there is no module 'nowhere'"),
        (["served:Broken"], 70, "OSError: no disk"),
        (["served:Greedy"], 70, "OSError: wants 7"),
        (["served:Plain"], 70, "OSError: plain enough"),
        (["served:Greedy", "--concurrency", "3"], 70, "OSError: wants 3"),
        (["served:Deaf", "--concurrency", "0"], 2, "usage: "),
        (["served:Deaf", "--url", "kombu+nope://"], 2, "UnknownScheme: "),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    result = run("serve", "--url", "memory://served", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(says)
    assert result.stderr.count("\n") == 1


def test_no_secret(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.delenv("TREATY_SECRET")
    result = run("serve", "served:Deaf", "--url", "memory://served")
    assert result.exit_code == 2
    assert "treaty keygen" in result.stderr
