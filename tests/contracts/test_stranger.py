"""Plugging in as a stranger does: five lines in an empty folder, no conftest, no fixture, and a verdict."""

from __future__ import annotations

import shlex
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
BROKEN = f'animals()["flips-a-bit"].wrap({GOOD})'


def run(
    folder: Path, text: str, *arguments: str, started_in: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *arguments],
        cwd=started_in or folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "", **variables},
    )


def test_one_item_for_each_rule(tmp_path: Path) -> None:
    done = run(tmp_path, FIVE_LINES.format(made=GOOD), "test_mine.py::test_contract[CALL-003]", "-vv")
    assert "test_mine.py::test_contract[CALL-003] PASSED" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_failure_teaches(tmp_path: Path) -> None:
    text = "from treaty_contracts.zoo import animals\n" + FIVE_LINES.format(made=BROKEN)
    done = run(tmp_path, text, "-k", "LINE-001")
    assert done.returncode == 1
    for part in ("LINE-001 FAILED on mine", "MUST: ", "likely causes", "replay: pytest 'test_mine.py::"):
        assert part in done.stdout, done.stdout
    assert "Traceback" not in done.stdout


def test_the_replay_runs_from_where_pytest_was_started(tmp_path: Path) -> None:
    text = "from treaty_contracts.zoo import animals\n" + FIVE_LINES.format(made=BROKEN)
    folder = tmp_path / "of mine"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    variables = {"TREATY_PROFILE": "standard", "TREATY_SEED": "7"}
    done = run(folder, text, "of mine/test_mine.py", "-k", "LINE-001", started_in=tmp_path, **variables)
    line = next(line for line in done.stdout.splitlines() if "replay: " in line)
    said = line.partition("replay: ")[2]
    assert said == "TREATY_PROFILE=standard TREATY_SEED=7 pytest 'of mine/test_mine.py::test_contract[LINE-001]'"
    item = shlex.split(said)[-1]
    again = run(folder, text, item, started_in=tmp_path, **variables)
    assert "LINE-001 FAILED on mine" in again.stdout, again.stdout + again.stderr


def test_a_wrong_variable_says_what_there_is(tmp_path: Path) -> None:
    done = run(tmp_path, FIVE_LINES.format(made=GOOD), TREATY_PROFILE="fast")
    assert "TREATY_PROFILE is 'fast', which is no profile: use one of quick, standard, deep" in done.stdout, done.stdout
    assert "suite.py" not in done.stdout, done.stdout  # it is about the caller's file
