"""The last lines of ``treaty check``, and the exit codes of the commands that judge nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console
from typer.testing import CliRunner

from treaty.cli.app import app
from treaty_contracts import Status
from treaty_contracts.cli.exits import READING
from treaty_contracts.cli.verdicts import show_verdict
from treaty_contracts.report import Report

MakeReport = Callable[..., Report]


def shown(report: Report) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        show_verdict(console, report)
    return capture.get()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({}, "CONFORMANT  (exit code 0"),
        ({"LIFE-005": Status.UNSTABLE}, "CONFORMANT, 1 SHOULD violated  (exit code 0"),
        ({"LIFE-005": Status.FAILED, "LIFE-004": Status.FAILED}, "NON-CONFORMANT  (exit code 1"),
    ],
)
def test_what_does_not_decide_is_not_overlooked(report: MakeReport, broken: dict[str, Status], said: str) -> None:
    assert f"verdict     {said}" in shown(report(broken))


def test_what_is_absent_by_a_targets_own_word_stands_beside_the_verdict(report: MakeReport) -> None:
    assert "verdict     CONFORMANT  (exit code 0" in shown(report())
    absent = report({"LIFE-010": Status.ABSENT, "LIFE-011": Status.ABSENT})
    assert "verdict     CONFORMANT, 2 rules absent by its own word  (exit code 0" in shown(absent)


@pytest.mark.parametrize("command", ["rules", "explain", "init", "matrix"])
def test_who_calls_nobody_has_no_exit_codes_of_calls(command: str) -> None:
    text = CliRunner().invoke(app, [command, "--help"], prog_name="treaty").stdout
    for code, meaning in READING.items():
        assert f"{int(code):>3}  {meaning}" in text
    assert "executed" not in text and "the service" not in text
