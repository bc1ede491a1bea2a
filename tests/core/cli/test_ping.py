from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

Run = Callable[..., Result]


def test_it_prints_each_round_trip_and_a_summary(kitchen: object, run: Run) -> None:
    result = run("ping", "kitchen", "--count", "3")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in lines[:3]] == ["kitchen 1", "kitchen 2", "kitchen 3"]
    assert " ms" in lines[0]
    assert lines[3].startswith("best ")


def test_a_single_one_needs_no_summary(kitchen: object, run: Run) -> None:
    assert run("ping", "kitchen", "-c", "1").stdout.count("\n") == 1


@pytest.mark.parametrize(("service", "code"), [("cellar", 3), ("No Name", 2)])
def test_nobody_there(kitchen: object, run: Run, service: str, code: int) -> None:
    result = run("ping", service)
    assert (result.exit_code, result.stdout) == (code, "")
