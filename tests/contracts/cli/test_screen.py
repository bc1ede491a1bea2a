"""The live line on a terminal: it is there, says what runs, and gives way to what is printed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from treaty_contracts.cli import screen
from treaty_contracts.cli.screen import Screen, clean, listed
from treaty_contracts.verdict import Outcome, Status


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(
        screen, "out", lambda: Console(file=file, force_terminal=True, width=100, highlight=False, color_system=None)
    )
    monkeypatch.setenv("TERM", "xterm")
    with Screen() as shown:
        shown.wait("mine:target")
        assert shown._live is not None
        shown._live.refresh()
        shown.begin("a\x1b[31mb", 3, "about it")
        shown.running("SETUP-001", again=False)
        shown._live.refresh()
        shown.running("CALL-003", again=False)
        shown.judged(Outcome(rule="CALL-002", target="t", status=Status.FAILED))
        shown._live.refresh()
        shown.show("headline\n  section:\n    text")
    text = file.getvalue()
    for part in (
        "importing mine:target",
        "SETUP-001  opening a\\x1b[31mb",
        "a\\x1b[31mb",
        "1/3 1 failed",
        "CALL-003",
        "Answers never swap",
        "headline",
    ):
        assert part in text, part


def test_what_is_shown_of_strangers() -> None:
    assert clean("a\x1b[2J\nb\x07") == "a\\x1b[2J\nb\\x07"
    assert listed([str(number) for number in range(14)], 3) == "0, 1, 2 and 11 more"
