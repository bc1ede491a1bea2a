from __future__ import annotations

import json
from collections.abc import Callable

from typer.testing import Result

Run = Callable[..., Result]


def test_it_lists_methods_with_parameters(kitchen: object, run: Run) -> None:
    result = run("describe", "kitchen")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("kitchen.echo"))
    assert "text: str = …" in line
    assert "Give the text back." in line
    assert "seconds: float" in result.stdout


def test_programs_get_json(kitchen: object, run: Run) -> None:
    methods = json.loads(run("describe", "kitchen", "--json").stdout)
    assert {"echo", "cook"} <= {method["name"] for method in methods}


def test_nobody_there(kitchen: object, run: Run) -> None:
    assert run("describe", "cellar").exit_code == 3
