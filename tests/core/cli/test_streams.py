"""Standard streams that are closed, full, or that nobody reads: real ones, of another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

Start = Callable[..., "subprocess.Popen[str]"]
Redirected = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def redirected() -> Redirected:
    """Run the command line with what a shell makes of redirections."""

    def run(redirections: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", "-c", f'exec "$0" "$@" {redirections}', sys.executable, "-m", "treaty.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    return run


@pytest.mark.parametrize(
    ("redirections", "arguments", "out", "err"),
    [
        (">&-", ("call", "kitchen.cook"), "", "102 warming (25%)\n102 half\\x1b[31m way (50%)\n201 Served.\n"),
        ("2>&-", ("call", "kitchen.cook"), "7\n", ""),
        ("2>/dev/full", ("call", "kitchen.cook"), "7\n", ""),
        ("<&-", ("call", "kitchen.cook", "--raw"), "7\n", "102 warming (25%)\n102 half\\x1b[31m way (50%)\n201 Served.\n"),
        ("<&- >&- 2>&-", ("call", "kitchen.cook"), "", ""),
        (">&-", ("--version",), "", ""),
        (">&-", ("keygen",), "", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_does_not_change_how_a_call_ends(
    far_kitchen: object, redirected: Redirected, redirections: str, arguments: tuple[str, ...], out: str, err: str
) -> None:
    done = redirected(redirections, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, err)


def test_an_error_that_cannot_be_shown_is_in_the_exit_code_still(far_kitchen: object, redirected: Redirected) -> None:
    for redirections in ("2>&-", "2>/dev/full"):
        done = redirected(redirections, "call", "kitchen.burn")
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_closed_standard_input_is_empty(far_kitchen: object, redirected: Redirected) -> None:
    done = redirected("<&-", "call", "kitchen.echo", "-")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ") and "standard input is no JSON" in done.stderr


def test_a_standard_input_that_cannot_be_read_is_named(far_kitchen: object, redirected: Redirected) -> None:
    done = redirected("0>/dev/null", "call", "kitchen.echo", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard input cannot be read: " in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("call", "kitchen.echo"),
        ("ping", "kitchen"),
        ("describe", "kitchen"),
        ("keygen",),
        ("--help",),
        ("call", "--help"),
        ("--version",),
        ("rules", "--help"),
    ],
)
def test_a_full_disk_is_named_and_has_its_own_exit_code(
    far_kitchen: object, redirected: Redirected, arguments: tuple[str, ...]
) -> None:
    done = redirected(">/dev/full", *arguments)
    assert (done.returncode, done.stderr) == (74, "cannot write: standard output: No space left on device\n")


@pytest.mark.parametrize(("redirections", "code"), [(">/dev/full", 74), ("| true", 141)])
def test_a_command_that_takes_lost_output_for_its_own_failure_ends_as_every_other(redirections: str, code: int) -> None:
    check = [sys.executable, "-m", "treaty.cli", "check", "treaty_memory.contract:memory", "--rule", "LIFE-001"]
    # The code is told by descriptor 3, as that of a pipe is that of its other end.
    told = f'{{ "$0" "$@"; echo $? >&3; }} 3>&2 2>/dev/null {redirections}'
    done = subprocess.run(["sh", "-c", told, *check], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.split() == [str(code)]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", [("--help",), ("call", "--help"), ("check", "--help"), ("--version",), ("keygen",)]
)
def test_help_that_nobody_reads_ends_as_every_output_does(
    start: Start, arguments: tuple[str, ...], unbuffered: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*arguments, stdout=writing, env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    os.close(writing)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (141, "")


def test_a_closed_stream_leaves_its_number_to_no_other_file(far_kitchen: object) -> None:
    code = """
import os, sys
from treaty.cli.streams import mend_streams
mend_streams()
print("lost", flush=True)
with open(os.devnull) as other:
    sys.exit(other.fileno() if other.fileno() > 2 else 0)
"""
    command = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, "-c", code]
    assert subprocess.run(command, check=False, timeout=20).returncode > 2
