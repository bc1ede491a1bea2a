"""The public surface is listed once, sorted, and is all that there is."""

from __future__ import annotations

import types

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
