from __future__ import annotations

import pytest

from treaty import RemoteError, UnknownMethod
from treaty.cli.screen import name_error, one_line, show_json


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n  b\tc", "a b c"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("at kombu+amqp://me:hunter2@host/x", "at kombu+amqp://me:***@host/x"),
        ("at redis://:hunter2@host", "at redis://:***@host"),
        ("zmq+tcp://127.0.0.1:5555", "zmq+tcp://127.0.0.1:5555"),
    ],
)
def test_foreign_text_is_one_harmless_line(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (RemoteError("no", type="KeyError", error_id="ab"), ("KeyError", "no (error id ab)")),
        (UnknownMethod("no x", type="UnknownMethod"), ("UnknownMethod", "no x")),
        (RemoteError("no"), ("RemoteError", "no")),
        (ValueError("no\nway"), ("ValueError", "no way")),
    ],
)
def test_errors_are_named_once(error: Exception, named: tuple[str, str]) -> None:
    assert name_error(error) == named


def test_json_for_a_terminal_is_indented_and_cannot_steer_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_json({"a": "\x9b31m"})
    assert capsys.readouterr().out == '{\n  "a": "\\u009b31m"\n}\n'
