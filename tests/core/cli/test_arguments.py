from __future__ import annotations

from pathlib import Path

import pytest
import typer

from treaty.cli.arguments import read_headers, read_params
from treaty.sealing import MAX_FRAME


@pytest.mark.parametrize(
    ("given", "params"), [('{"text": "hé"}', {"text": "hé"}), ("[1, 2.5, null]", [1, 2.5, None]), ("{}", {})]
)
def test_parameters_are_a_json_object_or_array(given: str, params: object) -> None:
    assert read_params(given) == params


@pytest.mark.parametrize(
    "given", ["", "3", '"text"', "{", "[NaN]", "[Infinity]", '{"a": 1, "a": 2}', "[" * 100_000, "@/nowhere/at/all"]
)
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_params(given)


def test_parameters_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"a": 1}')
    assert read_params(f"@{file}") == {"a": 1}


@pytest.mark.parametrize("given", ["@/dev/zero", "-"])
def test_of_what_has_no_end_no_more_is_read_than_a_frame_may_have(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/zero").open() as endless:
        monkeypatch.setattr("sys.stdin", endless)
        with pytest.raises(typer.BadParameter, match="has more than 8388608 bytes"):
            read_params(given)


def test_what_has_as_many_bytes_as_a_frame_is_read(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text("[1]".ljust(MAX_FRAME))
    assert read_params(f"@{file}") == [1]
    file.write_text("[1]".ljust(MAX_FRAME + 1))
    with pytest.raises(typer.BadParameter, match="has more than"):
        read_params(f"@{file}")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(typer.BadParameter):
        read_params(f"@{file}")


def test_an_argument_that_is_no_text_is_named() -> None:
    with pytest.raises(typer.BadParameter, match="the argument is not valid UTF-8"):
        read_params('["\udcff"]')
    with pytest.raises(typer.BadParameter, match="the header 'a' is not valid UTF-8"):
        read_headers(["a=\udcff"])


def test_headers_are_pairs() -> None:
    assert read_headers(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("given", ["a", "=1", ""])
def test_other_headers_are_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter, match="name=value"):
        read_headers([given])
