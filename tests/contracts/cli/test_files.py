"""The files that a check writes: none takes the place of another."""

from __future__ import annotations

from pathlib import Path

from treaty_contracts.cli.files import Files
from treaty_contracts.verdict import Outcome, Status, Violation


def test_no_target_overwrites_the_program_of_another(tmp_path: Path) -> None:
    files = Files(None, None, None, tmp_path)
    for name in ("a/b", "a-b", "a/b"):
        violation = Violation(expected="", observed="", script=f"# {name}")
        told = files.script(Outcome(rule="LINE-001", target=name, status=Status.FAILED, violation=violation))
        assert Path(told.rpartition(" ")[2]).read_text() == f"# {name}"
    assert len(list(tmp_path.iterdir())) == 2
