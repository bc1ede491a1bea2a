"""The transport of a stranger, which the tutorial explains: it keeps the contract, and is as short as is promised."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from treaty_contracts import Target, contract

SAMPLE = Path(__file__).parents[2] / "examples" / "third_party"
SOURCE = SAMPLE / "treaty_unix" / "__init__.py"
#: A figure that the project promises: docstrings, comments and empty lines count.
LINES = 150

# It is no package of ours: where it is installed for good, and found by its entry points, is another environment.
sys.path.append(str(SAMPLE))
target: Target = import_module("treaty_unix.contract").target

test_contract = contract(target)


def test_it_is_named_by_its_scheme() -> None:
    assert target.name == "unix"


def test_it_is_short() -> None:
    assert len(SOURCE.read_text(encoding="utf-8").splitlines()) <= LINES


def test_the_test_file_has_five_lines() -> None:
    lines = (SAMPLE / "tests" / "test_contract.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line]) <= 5
