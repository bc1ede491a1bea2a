"""The public surface is listed once, sorted, and is all that there is."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import pytest

import treaty
from treaty import errors


def test_the_list_is_sorted_and_says_nothing_twice() -> None:
    kinds = [(not name.isupper(), not name[:1].isupper(), name) for name in treaty.__all__]
    assert len(set(treaty.__all__)) == len(treaty.__all__)
    assert kinds == sorted(kinds)


def test_the_list_is_what_can_be_imported() -> None:
    public = {
        name
        for name, value in vars(treaty).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }
    assert public | {"__version__"} == set(treaty.__all__)


def test_every_error_is_public() -> None:
    tree = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert tree <= set(treaty.__all__)


@pytest.mark.parametrize("name", treaty.__all__)
def test_every_public_class_and_function_is_described(name: str) -> None:
    thing = getattr(treaty, name)
    if isinstance(thing, type | types.FunctionType):
        assert thing.__doc__


def test_nothing_is_public_that_does_not_say_where_it_is_from() -> None:
    for name in treaty.__all__:
        thing = getattr(treaty, name)
        if isinstance(thing, type | types.FunctionType):
            assert thing.__module__.startswith("treaty."), name


def test_a_public_name_is_what_type_checkers_take_it_for() -> None:
    source = ast.parse(Path(treaty.__file__).read_text(encoding="utf-8"))
    told = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    names = [alias.name for node in told for alias in node.names]
    assert {*names, "__version__"} == set(treaty.__all__)
    for node in told:
        room = import_module(str(node.module))
        assert all(getattr(treaty, alias.name) is getattr(room, alias.name) for alias in node.names)


def test_the_command_line_begins_before_anything_else_is_loaded() -> None:
    loaded = "import sys, treaty.cli; print(*(name for name in sys.modules if name.startswith(('treaty.', 'msgspec'))))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=20)
    assert set(done.stdout.split()) == {"treaty.cli", "treaty.cli.signals"}


def test_the_rooms_of_the_public_names_are_there_as_soon_as_treaty_is() -> None:
    code = "import treaty; treaty.errors.TreatyError; treaty.client.Client; print(treaty.Unheard)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert "AttributeError: module 'treaty' has no attribute 'Unheard'" in done.stderr
