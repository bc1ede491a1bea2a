"""Tests mirror the source, and rooms are small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.each import each

ROOT = Path(__file__).parents[2]
#: The wall: no module has more lines.
WALL = 400
SOURCES = sorted(path for root in ("core", "transports", "contracts") for path in (ROOT / root).rglob("*.py"))
CORE = ROOT / "core" / "treaty"
MODULES = sorted(path for path in CORE.glob("*") if not path.name.startswith(("_", ".")) and path.suffix in ("", ".py"))
TESTS = sorted(path for part in ("core", "laws") for path in (ROOT / "tests" / part).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@each(MODULES, named)
def test_every_room_of_the_core_has_its_tests(path: Path) -> None:
    tests = ROOT / "tests" / "core"
    assert (tests / f"test_{path.stem}.py").exists() or list((tests / path.stem).rglob("test_*.py"))


def test_both_pumps_of_the_engine_have_their_tests() -> None:
    for path in (CORE / "engine").glob("*.py"):
        assert path.stem in ("__init__", "instant") or (ROOT / "tests" / "core" / f"test_{path.stem}.py").exists()


@pytest.mark.parametrize("transport", ["kombu", "zmq"])
def test_a_folder_of_tests_for_a_transport_mirrors_it(transport: str) -> None:
    rooms = {path.stem for path in (ROOT / "transports" / f"treaty_{transport}").glob("*.py")}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "transports" / transport).glob("test_*.py")}
    assert tests
    assert tests <= rooms


@each(SOURCES, named)
def test_a_room_is_small_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= WALL
    assert not text or ast.get_docstring(ast.parse(text))


@each(TESTS, named)
def test_a_law_has_a_name_of_its_own(path: Path) -> None:
    names = [
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    ]
    laws = [name for name in names if name.startswith("test_")]
    assert len(set(laws)) == len(laws)
