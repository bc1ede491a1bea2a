"""A service in this process, the command line in this process or another, and a way to find what was left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator

import psutil
import pytest
from typer.testing import CliRunner, Result

from treaty import Incoming, Key, Service, connect, error
from treaty.cli.app import app

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


@error("kitchen.burnt", status=422)
class BurntError(Exception):
    pass


class Kitchen(Service):
    name = "kitchen"

    def setup(self) -> None:
        self.ran: list[str] = []
        self.given_up = threading.Event()

    def on_echo(self, message: Incoming, text: str = "NO DATA") -> dict[str, str]:
        """Give the text back."""
        self.ran.append(text)
        return {"RETURN_DATA": text, **message.headers}

    def on_word(self, message: Incoming, word: str = "a\nb") -> str:
        return word

    def on_cook(self, message: Incoming) -> int:
        message.status(102, "warming", progress=0.25)
        message.status(102, "half\x1b[31m way", progress=0.5)
        message.set_status(201, "Served.")
        return 7

    def on_burn(self, message: Incoming) -> None:
        raise BurntError("to a crisp")

    def on_fail(self, message: Incoming) -> None:
        raise NotImplementedError("I was never created")

    def on_nap(self, message: Incoming, seconds: float) -> bool:
        message.status(102, "asleep")
        if message.wait_cancelled(seconds):
            self.given_up.set()
        return message.cancelled

    def on_quit(self, message: Incoming) -> None:
        self.stop(0)
        message.wait_cancelled(5)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Key:
    key = Key.generate(os.urandom)
    monkeypatch.setenv("TREATY_SECRET", key.text())
    monkeypatch.delenv("TREATY_SECRET_FILE", raising=False)
    return key


@pytest.fixture
def kitchen(secret: Key, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kitchen]:
    """A service that the commands of this process reach by the URL in TREATY_URL."""
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("TREATY_URL", url)
    with connect(url) as transport, Kitchen(transport, secret=secret, concurrency=2, drain=1) as service:
        yield service


@pytest.fixture
def far_kitchen(secret: Key, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kitchen]:
    """A service that the commands of another process reach by the URL in TREATY_URL."""
    pytest.importorskip("zmq")
    with (
        connect("zmq+tcp://127.0.0.1:*") as transport,
        Kitchen(transport, secret=secret, concurrency=2, drain=1) as service,
    ):
        monkeypatch.setenv("TREATY_URL", str(getattr(transport, "url")))  # noqa: B009 - not part of the interface
        yield service


@pytest.fixture
def run() -> Run:
    """Run the command line in this process."""

    def run(*arguments: str, input: str | None = None) -> Result:  # noqa: A002 - as CliRunner calls it
        return CliRunner().invoke(app, list(arguments), input=input, prog_name="treaty")

    return run


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command line in another process; it is gone when the test is."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        command = [sys.executable, "-m", "treaty.cli", *arguments]
        process: subprocess.Popen[str] = subprocess.Popen(command, **settings)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr, process.stdin):
            if stream is not None:
                stream.close()


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[psutil.Process]]:
    """List the processes that were started by this test, directly or not, and still run."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("TREATY_TEST_MARK", mark)

    def find() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get("TREATY_TEST_MARK") == mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    return find
