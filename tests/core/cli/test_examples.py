from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from treaty import Client, Key, Unavailable

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("calc_client", "NoRoot: -1 has no real root"),
        ("asyncio_client", "Took a while, but I am back."),
        ("two_services", "DeadlineExceeded: "),
        ("notifications", "iterator: hosts.Host.deleted"),
        ("storage", "iterator: created Host(address='10.0.0.2'"),
    ],
)
def test_the_example_runs(name: str, says: str) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


def test_what_two_threads_hear_is_printed_line_by_line() -> None:
    command = [sys.executable, str(EXAMPLES / "notifications.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines() == [
        "iterator: hosts.Host.created {'address': '10.0.0.1'}",
        "iterator: hosts.Host.deleted {'address': '10.0.0.1'}",
        "callback: hosts.Host.created {'address': '10.0.0.1'}",
    ]


def test_the_slow_echo_serves(tmp_path: Path) -> None:
    pytest.importorskip("zmq")
    key, url = Key.generate(os.urandom), f"zmq+ipc://{tmp_path}/slow"
    command = [sys.executable, "-W", "error", str(EXAMPLES / "slow.py"), url]
    process = subprocess.Popen(command, env={**os.environ, "TREATY_SECRET": key.text()})
    try:
        with Client(url, secret=key) as client:
            while True:
                assert process.poll() is None
                try:
                    client.call("slow.$ping")
                except Unavailable:
                    continue  # not there yet; each attempt waits by itself
                else:
                    break
            pending = client.send("slow.echo", {"text": "hi", "steps": 3, "pause": 0.01})
            assert [status.progress for status in pending.statuses()] == [1 / 3, 2 / 3, 1.0]
            assert pending.result() == {"RETURN_DATA": "hi"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
