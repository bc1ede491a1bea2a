from __future__ import annotations

from pathlib import Path

import pytest
import typer

from treaty.cli.arguments import read_headers, read_params


@pytest.mark.parametrize(
    ("given", "params"), [('{"text": "hé"}', {"text": "hé"}), ("[1, 2.5, null]", [1, 2.5, None]), ("{}", {})]
)
def test_parameters_are_a_json_object_or_array(given: str, params: object) -> None:
    assert read_params(given) == params


@pytest.mark.parametrize("given", ["", "3", '"text"', "{", "[NaN]", "[Infinity]", "[" * 100_000, "@/nowhere/at/all"])
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_params(given)


def test_parameters_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"a": 1}')
    assert read_params(f"@{file}") == {"a": 1}


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(typer.BadParameter):
        read_params(f"@{file}")


def test_headers_are_pairs() -> None:
    assert read_headers(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("given", ["a", "=1", ""])
def test_other_headers_are_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter, match="name=value"):
        read_headers([given])
