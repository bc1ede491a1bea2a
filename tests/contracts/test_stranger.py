"""Plugging in as a stranger does: five lines in an empty folder, no conftest, no fixture, and a verdict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIVE_LINES = """\
from treaty_contracts import Target, contract
import treaty_memory

target = Target(name="mine", open=lambda context: {made})
test_contract = contract(target)
"""
GOOD = 'treaty_memory.connect(f"memory://{context.namespace}")'
BROKEN = f'animals()["swaps-replies"].wrap({GOOD})'


def run(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": ""},
    )


def test_one_item_for_each_rule(tmp_path: Path) -> None:
    done = run(tmp_path, FIVE_LINES.format(made=GOOD), "test_mine.py::test_contract[CALL-003]", "-vv")
    assert "test_mine.py::test_contract[CALL-003] PASSED" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_failure_teaches(tmp_path: Path) -> None:
    text = "from treaty_contracts.zoo import animals\n" + FIVE_LINES.format(made=BROKEN)
    done = run(tmp_path, text, "-k", "CALL-003")
    assert done.returncode == 1
    for part in ("CALL-003 FAILED on mine", "Answers never swap", "likely causes", "replay: pytest 'test_mine.py::"):
        assert part in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
