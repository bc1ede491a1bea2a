"""The page about the command line names every command, every variable and every exit code, and none besides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from treaty.cli.app import app
from treaty.cli.exits import MEANINGS
from treaty_contracts.cli import verdicts

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
VARIABLES = re.compile(r'"(TREATY_[A-Z_]+)"')


def test_each_command_has_a_row() -> None:
    own = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    known = own | {point.name for point in entry_points(group="treaty.commands")}
    assert set(re.findall(r"`treaty ([a-z]+)[^`]*`", TEXT.partition("## The environment")[0])) == known


def test_each_variable_that_is_read_has_a_row() -> None:
    read: set[str] = set()
    for place in ("core/treaty/cli", "contracts/treaty_contracts"):
        for file in (ROOT / place).rglob("*.py"):
            read |= set(VARIABLES.findall(file.read_text("utf-8")))
    assert read == set(re.findall(r"`(TREATY_[A-Z_]+)`", TEXT))


@pytest.mark.parametrize("meanings", [MEANINGS, verdicts.MEANINGS])
def test_each_exit_code_has_a_row(meanings: Mapping[int, str]) -> None:
    rows = "".join(f"| {int(code)} | {meaning} |\n" for code, meaning in meanings.items())
    assert f"| --- | --- |\n{rows}\n" in f"{TEXT}\n"
