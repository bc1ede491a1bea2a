"""Which types are keys, and how keys are written as text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import pytest
from msgspec import Meta

from treaty.storage import keys

from .things import Colour, Host, Paper

NUMBER = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass
class Odd:
    """Annotations that cannot be read, and one that cannot be read yet."""

    missing: NoSuchName  # type: ignore[name-defined]  # noqa: F821 - that is what it is about
    later: Later
    version: int = 0


class Later:
    """Defined below what names it."""


@pytest.mark.parametrize(
    ("key", "text"),
    [("a", "a"), (5, "5"), (NUMBER, str(NUMBER)), (date(2026, 1, 2), "2026-01-02"), (Colour.RED, "red")],
)
def test_a_key_is_written_as_json_writes_it(key: object, text: str) -> None:
    assert keys.text_of(key) == text


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (1.5, "not float"),
        (True, "not bool"),
        (None, "not NoneType"),
        (object(), "not object"),
        ("", "not 0"),
        ("x" * 256, "not 256"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogates"),
    ],
)
def test_what_is_no_key_is_refused(key: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        keys.text_of(key)


def test_a_key_is_of_its_declared_type_or_its_json() -> None:
    assert keys.of_type(NUMBER, UUID) == keys.of_type(str(NUMBER).upper(), UUID) == NUMBER
    assert keys.of_type("red", Colour) is keys.of_type(Colour.RED, Colour) is Colour.RED
    assert keys.of_type("anything", Any) == "anything"
    assert keys.of_type("anything", str | UUID) == "anything"  # msgspec cannot tell these apart
    for key, kind in ((5, str), ("5", int), ("no", UUID), ("green", Colour), ("", Annotated[str, Meta(min_length=1)])):
        with pytest.raises(ValueError):
            keys.of_type(key, kind)


def test_types_are_read_where_that_is_possible() -> None:
    assert keys.type_of(Host, "address") is str
    assert keys.type_of(Paper, "number") is int
    assert keys.type_of(Odd, "later") is Later
    assert keys.type_of(Odd, "missing") is Any
    assert keys.type_of(Odd, "no such field") is Any


@pytest.mark.parametrize("kind", [float, bool, None, list[int], dict[str, int], tuple[int, int], Odd, Host])
def test_some_types_cannot_be_keys(kind: Any) -> None:
    assert keys.unsuited(kind) == (kind is not Odd)  # of Odd nothing can be known
    assert not keys.is_whole_number(kind)


@pytest.mark.parametrize(
    "kind", [str, int, UUID, date, Colour, Any, str | int, Annotated[str, Meta(max_length=9)], Later]
)
def test_the_others_can(kind: Any) -> None:
    assert not keys.unsuited(kind)


@pytest.mark.parametrize("kind", [int, Annotated[int, Meta(ge=0)], Any])
def test_a_version_is_a_whole_number_or_of_a_type_that_is_not_known(kind: Any) -> None:
    assert keys.is_whole_number(kind)
