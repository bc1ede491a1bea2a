"""What a stranger puts into a message is JSON, or refused at the end that gave it."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from treaty import EncodingError
from treaty.values import kept, part, write

from .strategies import buried, lost_numbers, plain

BAD = [b"nul", b'{"a":', b"01", b"NaN", b"'a'", b'"\xff"', b'"\\q"', b"[1", b"[" * 100_000]
#: With what stands around it, it may read as JSON.
MORE_OR_LESS = [b"", b"1,2", b'1,"error":{}', b'1],"method":["x"', b"1}"]


class Page(msgspec.Struct):
    text: Any


@dataclasses.dataclass
class Leaf:
    text: Any


@settings(deadline=None)
@given(plain)
def test_what_stands_for_a_value_is_written_like_the_value(value: Any) -> None:
    assert msgspec.json.encode(part(value)) == write(value) == msgspec.json.encode(value)


@settings(deadline=None)
@given(buried(lost_numbers))
def test_a_number_that_json_lacks_is_refused(value: Any) -> None:
    with pytest.raises(EncodingError, match="NaN and the infinities"):
        part(value)


@pytest.mark.parametrize("number", [0, -1, 2**70, 0.5, 1e300, True, None, "null", ""], ids=repr)
def test_what_can_hold_nothing_else_is_left_alone(number: Any) -> None:
    assert part(number) is number


@settings(deadline=None, max_examples=20)
@given(st.data())
@pytest.mark.parametrize("text", BAD, ids=repr)
def test_a_raw_that_is_no_json_is_refused_wherever_it_is(text: bytes, data: st.DataObject) -> None:
    raw = Raw(text)
    holder = data.draw(st.sampled_from([raw, Page(raw), Leaf(raw), {"a": Page([raw])}]))
    with pytest.raises(EncodingError):
        part(data.draw(buried(st.just(holder))))


@pytest.mark.parametrize("text", MORE_OR_LESS, ids=repr)
def test_no_raw_reaches_out_of_its_value(text: bytes) -> None:
    with pytest.raises(EncodingError):
        part(Raw(text))


@pytest.mark.parametrize("text", [b"null", b'{"a": [null]}', b' "\xc3\xa9" ', b"[[1], 2.5]"], ids=repr)
def test_a_raw_that_is_json_is_written_as_it_stands(text: bytes) -> None:
    for value, written in (
        (Raw(text), text),
        ([Raw(text)], b"[" + text + b"]"),
        (Page(Raw(text)), b'{"text":%b}' % text),
    ):
        assert msgspec.json.encode(part(value)) == written


def test_a_lost_number_beside_a_raw_is_seen() -> None:
    with pytest.raises(EncodingError, match="NaN and the infinities"):
        part([Raw(b"null"), math.nan])


class Shade(enum.Enum):
    DARK = "a"


@pytest.mark.parametrize(
    "value",
    [{"1": 1, 1: 2}, {"x": {"1": "t", 1: "n"}}, [{"deep": [{Shade.DARK: 1, "a": 2}]}], Page({1: 2, "1": 3})],
    ids=["top", "inside", "deep", "struct"],
)
@pytest.mark.parametrize("beside", [0, Raw(b"[1e999, 1.50]")], ids=["number", "raw"])
def test_keys_that_become_the_same_text_are_refused(value: Any, beside: Any) -> None:
    with pytest.raises(EncodingError, match="two keys of a dict are the same text"):
        write([value, beside])


def test_keys_of_one_text_in_different_places_are_fine() -> None:
    value = [{"a": {"a": [{"a": 1}]}, "b": {1: {"1": 2}}}, {"a": 2**70}, {"a": 0.1}]
    assert msgspec.json.decode(write(value)) == [
        {"a": {"a": [{"a": 1}]}, "b": {"1": {"1": 2}}},
        {"a": 2**70},
        {"a": 0.1},
    ]


@pytest.mark.parametrize("kind", [dict, list])
def test_parameters_that_are_kept_stay_what_they_are(kind: type) -> None:
    params: Any = {"a": [1]} if kind is dict else [[1]]
    before = write(params)
    own = kept(params)
    (params["a"] if isinstance(params, dict) else params[0]).append(2)
    params.clear()
    assert write(own) == before


@pytest.mark.parametrize("blank", [b"", b" ", b"\t\n\r"], ids=repr)
@pytest.mark.parametrize("around", [lambda raw: [raw], lambda raw: {"a": [[raw]]}, lambda raw: [1, [raw]]])
def test_a_raw_that_holds_nothing_is_refused_where_it_would_vanish(blank: bytes, around: Callable[[Raw], Any]) -> None:
    with pytest.raises(EncodingError, match="holds nothing"):
        write(around(Raw(blank)))


@pytest.mark.parametrize("key", [math.nan, math.inf, -math.inf], ids=repr)
@pytest.mark.parametrize("around", [lambda one: one, lambda one: [{"a": one}]])
def test_a_number_that_json_lacks_is_no_key(key: float, around: Callable[[Any], Any]) -> None:
    with pytest.raises(EncodingError, match="infinities"):
        write(around({key: 1}))


def test_what_only_looks_like_it_is_written() -> None:
    assert write({"nan": [], "-inf": [[]], "a": None, "b": "[ "}) == b'{"nan":[],"-inf":[[]],"a":null,"b":"[ "}'
    assert write([Raw(b" [ ] ")]) == b"[ [ ] ]"
