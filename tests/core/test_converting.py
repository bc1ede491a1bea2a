"""What JSON gave, made into what was declared."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import attrs
import msgspec
import pytest

from treaty.converting import convert, described


@dataclasses.dataclass
class Address:
    host: str
    port: int = 80
    tags: list[str] = dataclasses.field(default_factory=list)
    next: Address | None = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    of: int = 1


@dataclasses.dataclass(slots=True)
class Slotted:
    of: int = 1


@dataclasses.dataclass
class Heir(Address):
    weight: float = 0.5


class Record(msgspec.Struct):
    address: Address
    of: int = 1


@attrs.define(slots=False)
class Made:
    address: Address
    of: int = 1


HOST = {"host": "h"}
WHOLE = {"host": "h", "port": 80, "tags": [], "next": None}


@pytest.mark.parametrize(
    ("value", "annotation", "written"),
    [
        (HOST, Address, WHOLE),
        ({"host": "h", "next": HOST}, Address, {**WHOLE, "next": WHOLE}),
        ([HOST], list[Address], [WHOLE]),
        ([HOST, 1], tuple[Address, int], [WHOLE, 1]),
        ({"k": HOST}, dict[str, Address], {"k": WHOLE}),
        (HOST, Address | None, WHOLE),
        (None, Address | None, None),
        (HOST, Annotated[Address, ["not", "hashed"]], WHOLE),
        (HOST, Heir, {**WHOLE, "weight": 0.5}),
        ({"address": HOST}, Record, {"address": WHOLE, "of": 1}),
        ({"address": HOST}, Made, {"address": WHOLE, "of": 1}),
        ({}, Frozen, {"of": 1}),
        ([{}], set[Frozen], [{"of": 1}]),
        ({}, Slotted, {"of": 1}),
        ({"of": 2}, Frozen, {"of": 2}),
        ("text", str, "text"),
        (HOST, Any, HOST),
    ],
)
def test_what_was_not_given_travels_on_as_well(value: Any, annotation: Any, written: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(convert(value, annotation))) == written


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        convert({"host": 1}, Address)


def test_every_type_in_a_type_is_described_once() -> None:
    kinds = [type(one) for one in described(list[Address])]
    assert kinds.count(msgspec.inspect.DataclassType) == 1  # though it holds itself
    assert {msgspec.inspect.ListType, msgspec.inspect.StrType, msgspec.inspect.IntType} <= set(kinds)
