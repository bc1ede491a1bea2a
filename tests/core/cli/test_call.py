from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from treaty import Key

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


def test_the_result_is_json_on_standard_output_and_nothing_else(kitchen: object, run: Run) -> None:
    result = run("call", "kitchen.echo", '{"text": "hé"}')
    assert (result.exit_code, result.stdout, result.stderr) == (0, '{"RETURN_DATA": "hé"}\n', "")


def test_parameters_go_by_position_too_and_headers_along(kitchen: object, run: Run) -> None:
    result = run("call", "kitchen.echo", '["a"]', "-H", "who=me", "--header", "why=so")
    assert json.loads(result.stdout) == {"RETURN_DATA": "a", "who": "me", "why": "so"}


def test_parameters_come_from_standard_input(kitchen: object, run: Run) -> None:
    assert json.loads(run("call", "kitchen.echo", "-", input='{"text": "in"}').stdout) == {"RETURN_DATA": "in"}


def test_raw_text_has_no_quotes(kitchen: object, run: Run) -> None:
    assert run("call", "kitchen.word").stdout == '"a\\nb"\n'
    assert run("call", "kitchen.word", "--raw").stdout == "a\nb\n"


def test_raw_text_is_as_it_is_for_a_program_and_steers_no_terminal(far_kitchen: object, start: Start) -> None:
    arguments = ("call", "kitchen.word", json.dumps(["a\x1b[31mred\ttea"]), "--raw")
    assert start(*arguments).communicate(timeout=30)[0] == "a\x1b[31mred\ttea\n"
    process, seen = on_a_terminal(start, *arguments, stream="stdout")
    assert process.wait(timeout=30) == 0
    assert seen == b"a\\u001b[31mred\ttea\r\n"


def test_a_width_of_nothing_is_none(start: Start) -> None:
    process = start("--help", env={**os.environ, "COLUMNS": "0"})
    assert "Usage: treaty" in process.communicate(timeout=30)[0]


def test_status_messages_are_plain_lines_where_there_is_no_terminal(kitchen: object, run: Run) -> None:
    result = run("call", "kitchen.cook")
    assert result.stdout == "7\n"
    assert result.stderr == "102 warming (25%)\n102 half\\x1b[31m way (50%)\n201 Served.\n"


def test_one_way_calls_print_nothing(kitchen: Any, run: Run) -> None:
    result = run("call", "kitchen.echo", '["one way"]', "--notify")
    assert (result.exit_code, result.output) == (0, "")
    run("call", "kitchen.echo", '["fence"]')
    assert kitchen.ran == ["one way", "fence"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["kitchen.fail"], 1, "NotImplementedError: I was never created (error id "),
        (["kitchen.burn"], 1, "BurntError: to a crisp"),
        (["kitchen.bake"], 1, "UnknownMethod: there is no method 'bake' here"),
        (["kitchen.echo", '{"txt": 1}'], 1, "InvalidParams: echo has no parameter 'txt'"),
        (["kitchen"], 2, "InvalidTarget: "),
        (["kitchen.echo", "--url", "pigeon://x"], 2, "UnknownScheme: "),
        (["cellar.echo"], 3, "Unavailable: "),
        (["kitchen.nap", "[60]", "--timeout", "0.2"], 4, "DeadlineExceeded: "),
        (["kitchen.quit"], 6, "ConnectionLost: kitchen.quit: may have been executed"),
    ],
)
def test_what_goes_wrong_is_the_last_line_and_the_exit_code(
    kitchen: object, run: Run, arguments: list[str], code: int, says: str
) -> None:
    result = run("call", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.splitlines()[-1].startswith(says)
    assert "Traceback" not in result.stderr


def test_the_wrong_secret(kitchen: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREATY_SECRET", Key.generate(os.urandom).text())
    result = run("call", "kitchen.echo")
    assert result.exit_code == 5
    assert result.stderr.startswith("AuthenticationError: ")
    assert kitchen.ran == []


def test_no_secret(kitchen: object, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TREATY_SECRET")
    result = run("call", "kitchen.echo")
    assert result.exit_code == 2
    assert "treaty keygen" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_password_in_the_url_is_not_repeated(kitchen: object, run: Run) -> None:
    result = run("call", "kitchen.echo", "--url", "pigeon/://me:hunter2@host")
    assert result.exit_code == 2
    assert "hunter2" not in result.output


def test_ctrl_c_ends_the_call_at_both_ends(far_kitchen: Any, secret: Key, start: Start) -> None:
    process = start("call", "kitchen.nap", "[60]", "--timeout", "60")
    assert process.stderr is not None
    assert process.stderr.readline() == "102 asleep\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert far_kitchen.given_up.wait(10)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_who_leaves_a_pipe_unread_ends_the_command_without_a_word(
    far_kitchen: object, start: Start, stream: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start("call", "kitchen.cook", **{stream: writing})
    os.close(writing)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 141
    assert "Error" not in f"{out}{err}" and "Traceback" not in f"{out}{err}"


def on_a_terminal(start: Start, *arguments: str, stream: str) -> tuple[subprocess.Popen[str], bytes]:
    """Run a command with one of its streams on a terminal, and return all that it writes there."""
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    process = start(*arguments, env=environment, **{stream: child})
    os.close(child)
    seen = b""
    try:
        while chunk := os.read(parent, 4096):
            seen += chunk
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    finally:
        os.close(parent)
    return process, seen


def test_on_a_terminal_the_status_is_a_live_line_that_goes_away(far_kitchen: object, start: Start) -> None:
    process, seen = on_a_terminal(start, "call", "kitchen.cook", stream="stderr")
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "7\n")
    assert b"\x1b[2K" in seen  # a line was drawn, and erased
    assert b"201 Served." in seen.splitlines()[-1]


def test_the_secret_is_in_no_output(far_kitchen: object, secret: Key, start: Start) -> None:
    for arguments in (["kitchen.echo"], ["kitchen.fail"], ["kitchen.nope"], ["kitchen.cook", "-v"]):
        process = start("call", *arguments)
        said = "".join(process.communicate(timeout=10))
        assert said
        assert secret.text()[20:] not in said
