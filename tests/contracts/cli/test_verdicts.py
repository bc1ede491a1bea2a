"""The end of a run on the screen: the verdict, and what goes with it."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from treaty_contracts import Status
from treaty_contracts.cli.verdicts import show_verdict
from treaty_contracts.report import Report

MakeReport = Callable[..., Report]


def shown(report: Report) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        show_verdict(console, report)
    return capture.get()


def test_what_is_absent_by_a_targets_own_word_stands_beside_the_verdict(report: MakeReport) -> None:
    assert "verdict     CONFORMANT  (exit code 0" in shown(report())
    absent = report({"LIFE-010": Status.ABSENT, "LIFE-011": Status.ABSENT})
    assert "verdict     CONFORMANT, 2 rules absent by its own word  (exit code 0" in shown(absent)
