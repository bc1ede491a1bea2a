"""The command and the test file give the same verdict on the same target, rule by rule."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from treaty_contracts.report import read
from treaty_contracts.verdict import VIOLATIONS, Status

#: Quick ones that pass, fail, are unverified, are run through another one, and are blocked.
CHOSEN = (
    "SETUP-001",
    "SETUP-002",
    "SETUP-003",
    "LINE-010",
    "AUTH-006",
    "AUTH-007",
    "REFUSE-ORDERED",
    "REFUSE-REDELIVERS",
)
TEST = """\
from pathlib import Path
from {module} import {target} as target
from treaty_contracts import contract
test_contract = contract(target{baseline})
"""
BASELINE = '[[known]]\nrule = "{rule}"\nreason = "r"\nlink = "l"\nexpires = 2999-01-01\n'


def by_test_file(folder: Path, module: str, target: str, baseline: bool) -> dict[str, str]:
    given = ', baseline=Path(__file__).with_name("baseline.toml")' if baseline else ""
    (folder / "test_mine.py").write_text(TEST.format(module=module, target=target, baseline=given))
    items = [f"test_mine.py::test_contract[{one}]" for one in CHOSEN]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=test.xml", *items]
    subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    found = {}
    for case in ET.parse(folder / "test.xml").iter("testcase"):
        name = (case.get("name") or "").partition("[")[2].rstrip("]")
        told = case[0] if len(case) else None
        if told is None:
            found[name] = "passed"
        elif told.tag == "skipped" and "xfail" in (told.get("type") or ""):
            found[name] = "blocked" if (told.get("message") or "").startswith("BLOCKED") else "known"
        elif told.tag == "skipped":
            found[name] = "unverified"
        else:
            text = f"{told.get('message')}{told.text}"
            stale = "take the entry out" in text
            found[name] = "stale" if stale else "blocked" if " BLOCKED on " in text else "violated"
    return found


def by_command(folder: Path, module: str, target: str, baseline: bool) -> tuple[dict[str, str], int]:
    rules = [part for one in CHOSEN for part in ("--rule", one)]
    given = ["--baseline", "baseline.toml"] if baseline else []
    command = [sys.executable, "-m", "treaty.cli", "check", f"{module}:{target}", *rules, *given, "--json", "r.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    (report,) = read(folder / "r.json")
    found = {}
    for record in report.records:
        outcome = record.outcome
        if record.known is not None:
            found[outcome.rule] = "known" if outcome.status in VIOLATIONS else "stale"
        else:
            found[outcome.rule] = "violated" if outcome.status in VIOLATIONS else outcome.status.value
    assert Status.ERROR.value not in found.values(), done.stdout
    return {rule: said for rule, said in found.items() if rule in CHOSEN}, done.returncode


@pytest.mark.parametrize(
    ("target", "known", "code", "expected"),
    [
        ("good", "", 4, {"SETUP-003": "passed", "AUTH-006": "unverified", "REFUSE-ORDERED": "passed"}),
        ("broken", "", 1, {"SETUP-003": "violated", "SETUP-001": "passed"}),
        ("raising", "", 1, {"SETUP-001": "violated", "SETUP-003": "blocked"}),
        ("hookless", "", 4, {"AUTH-007": "unverified", "SETUP-003": "passed"}),
        ("broken", "SETUP-003", 4, {"SETUP-003": "known"}),
        ("good", "SETUP-003", 2, {"SETUP-003": "stale"}),
        ("raising", "SETUP-001", 4, {"SETUP-001": "known", "SETUP-003": "blocked"}),
    ],
)
def test_rule_by_rule(mine: str, tmp_path: Path, target: str, known: str, code: int, expected: dict[str, str]) -> None:
    (tmp_path / "baseline.toml").write_text(BASELINE.format(rule=known))
    found, ended = by_command(tmp_path, mine, target, bool(known))
    assert found == by_test_file(tmp_path, mine, target, bool(known))
    assert set(found) == set(CHOSEN)
    assert {rule: found[rule] for rule in expected} == expected
    assert ended == code
