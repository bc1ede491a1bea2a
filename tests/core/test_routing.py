"""Targets, topics and patterns, and the table of a service's handlers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property, lru_cache, partialmethod
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treaty import InvalidHandler, InvalidParams, InvalidTarget, UnknownMethod, matches
from treaty.messages import Params
from treaty.routing import HandlerTable, split_target, split_topic
from treaty_contracts.alphabet import CHARACTERS

from .strategies import tokens

# Targets and topics


@settings(deadline=None)
@given(tokens, st.text(CHARACTERS, min_size=1, max_size=100))
def test_a_target_is_a_service_and_whatever_it_calls_its_method(service: str, method: str) -> None:
    assert split_target(f"{service}.{method}") == (service, method)


@pytest.mark.parametrize(
    "target", ["", ".", "slow", "slow.", ".echo", "Slow.echo", "sl ow.echo", "-x.echo", "slöw.echo", "a." + "x" * 254]
)
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(InvalidTarget):
        split_target(target)


@pytest.mark.parametrize("target", [None, 7, b"slow.echo", ["slow", "echo"]], ids=str)
@pytest.mark.parametrize("split", [split_target, split_topic])
def test_a_target_or_topic_is_text(split: Callable[[Any], object], target: object) -> None:
    with pytest.raises(InvalidTarget):
        split(target)


@settings(deadline=None)
@given(
    tokens,
    st.lists(
        st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=9), min_size=1
    ),
)
def test_a_topic_is_a_channel_and_tokens(channel: str, rest: list[str]) -> None:
    topic = ".".join([channel, *rest])
    if len(topic) <= 255:
        assert split_topic(topic) == (channel, ".".join(rest))


@pytest.mark.parametrize(
    "topic", ["", "storage", "storage.", "storage..x", "storage.x.", ".x", "*.x", "S.x", "a." + "x" * 254]
)
def test_what_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(InvalidTarget):
        split_topic(topic)


# Patterns


def oracle(pattern: str, topic: str) -> bool:
    """The definition, read off word by word: recursion over both, one token at a time."""

    @lru_cache(None)
    def fits(p: tuple[str, ...], t: tuple[str, ...]) -> bool:
        match p:
            case ():
                return t == ()
            case ("#", *rest):
                return any(fits(tuple(rest), t[taken:]) for taken in range(len(t) + 1))
            case (token, *rest):
                return t != () and token in ("*", t[0]) and fits(tuple(rest), t[1:])
        raise AssertionError

    return fits(tuple(pattern.split(".")), tuple(topic.split(".")))


def sequences(words: str, longest: int) -> list[str]:
    return [".".join(chosen) for length in range(1, longest + 1) for chosen in product(words, repeat=length)]


def test_matching_agrees_with_an_independent_oracle_on_every_short_pair() -> None:
    pairs = list(product(sequences("ab*#", 4), sequences("ab", 4)))
    assert len(pairs) > 5000
    assert [pair for pair in pairs if matches(*pair) is not oracle(*pair)] == []


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "Host", "", "*", "#"]), min_size=1, max_size=9).map(".".join),
    st.lists(st.sampled_from(["a", "b", "Host", "", "ab"]), min_size=1, max_size=9).map(".".join),
)
def test_matching_agrees_with_an_independent_oracle_on_longer_pairs(pattern: str, topic: str) -> None:
    assert matches(pattern, topic) is oracle(pattern, topic)


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("storage.Host.*", "storage.Host.created", True),
        ("storage.Host.*", "storage.Host", False),
        ("storage.Host.*", "storage.Host.a.b", False),
        ("storage.#", "storage.Host.created", True),
        ("storage.#", "storage", True),
        ("#.created", "storage.Host.created", True),
        ("storage.#.created", "storage.created", True),
        ("storage.Ho*", "storage.Host", False),
        ("storage.host", "storage.Host", False),
        ("storage.[a-z]", "storage.a", False),
    ],
)
def test_a_pattern_is_whole_tokens(pattern: str, topic: str, fits: bool) -> None:
    assert matches(pattern, topic) is fits


def test_no_pattern_takes_long() -> None:
    assert not matches(".".join(["#", "a"] * 60), ".".join(["a"] * 120 + ["b"]))


# Handlers


class Colour(Enum):
    RED = "red"


class Size(msgspec.Struct):
    width: int
    height: int = 1


class Base:
    def on_inherited(self, message: object) -> None: ...

    def helper(self, message: object) -> None: ...


class Shop(Base):
    on_number = 7

    def on_buy(self, message: object, item: str, count: int = 1) -> tuple[str, int]:
        """Buy something.

        At once.
        """
        return item, count

    def on_measure(
        self, message: object, size: Size, *, unit: Literal["m", "ft"], at: datetime | None = None
    ) -> object:
        return size, unit, at

    def on_sum(self, message: object, *numbers: int, **named: float) -> object:
        return numbers, named

    def on_strict(self, message: object, text: str = "", /, colour: Colour = Colour.RED) -> object:
        return text, colour

    def on_loose(self, message, anything, more=None):  # type: ignore[no-untyped-def]
        return anything, more

    def on_bounded(self, message: object, percent: Annotated[int, msgspec.Meta(ge=0, le=100)]) -> int:
        return percent

    async def on_later(self, message: object) -> None: ...

    @staticmethod
    def on_static(_: object, x: int) -> int:
        return x

    @classmethod
    def on_class(cls, _: object, x: int) -> int:
        return x

    @property
    def on_sale(self) -> bool:
        raise AssertionError("nobody asked")

    @cached_property
    def on_offer(self) -> bool:
        raise AssertionError("nobody asked")

    def on_(self, message: object) -> None: ...

    def on__private(self, message: object) -> None: ...

    def _on_hidden(self, message: object) -> None: ...


TABLE = HandlerTable.of(Shop())


def called(method: str, params: Params) -> Any:
    bound = TABLE.find(method).bind(params)
    return bound.handler.function(None, *bound.args, **bound.kwargs)


def test_the_table_holds_the_handlers_and_nothing_else() -> None:
    assert TABLE.names == [
        "bounded", "buy", "class", "inherited", "later", "loose", "measure", "static", "strict", "sum",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "__init__",
        "__class__",
        "__dict__",
        "_on_hidden",
        "on_buy",
        "helper",
        "number",
        "sale",
        "offer",
        "_private",
        "",
        "find",
        "buy ",
        "BUY",
    ],
)
def test_private_inherited_and_made_up_names_are_unknown(name: str) -> None:
    with pytest.raises(UnknownMethod):
        TABLE.find(name)


@settings(deadline=None)
@given(st.sampled_from(dir(Shop)) | st.text(CHARACTERS, max_size=20))
def test_a_name_is_in_the_table_or_unknown(name: str) -> None:
    if name not in TABLE.names:
        with pytest.raises(UnknownMethod):
            TABLE.find(name)


def test_an_attribute_that_is_set_later_is_no_method() -> None:
    shop = Shop()
    shop.on_late = print  # type: ignore[attr-defined]
    table = HandlerTable.of(shop)
    Shop.on_later_still = print  # type: ignore[attr-defined]
    try:
        assert "late" not in table.names and "later_still" not in table.names
    finally:
        del Shop.on_later_still  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("buy", ["tea"], ("tea", 1)),
        ("buy", ["tea", 2], ("tea", 2)),
        ("buy", {"count": 2, "item": "tea"}, ("tea", 2)),
        ("measure", {"size": {"width": 2}, "unit": "m"}, (Size(2), "m", None)),
        ("sum", [1, 2, 3], ((1, 2, 3), {})),
        ("sum", {"a": 1.5, "b": 2}, ((), {"a": 1.5, "b": 2.0})),
        ("strict", ["x", "red"], ("x", Colour.RED)),
        ("strict", {"colour": "red"}, ("", Colour.RED)),
        ("loose", [{"a": [None]}], ({"a": [None]}, None)),
        ("bounded", [100], 100),
        ("static", [1], 1),
        ("class", {"x": 1}, 1),
    ],
)
def test_parameters_find_their_place(method: str, params: Params, result: object) -> None:
    assert called(method, params) == result


@pytest.mark.parametrize(
    ("method", "params", "culprit"),
    [
        ("buy", [], "'item'"),
        ("buy", {}, "'item'"),
        ("buy", {"count": 2}, "'item'"),
        ("buy", ["tea", 1, 2], "at most 2 positional parameters, 3 were given"),
        ("buy", {"item": "tea", "colour": "red"}, "'colour'"),
        ("buy", {"item": "tea", "self": 1}, "'self'"),
        ("buy", {"item": "tea", "message": 1}, "'message'"),
        ("buy", ["tea", "two"], "'count'"),
        ("buy", ["tea", 1.5], "'count'"),
        ("buy", ["tea", True], "'count'"),
        ("buy", ["tea", None], "'count'"),
        ("buy", {"item": 7}, "'item'"),
        ("measure", [{"width": 1}], "'unit'"),
        ("measure", [{"width": 1}, "m"], "at most 1"),
        ("measure", {"size": {"width": "wide"}, "unit": "m"}, "'size'"),
        ("measure", {"size": {"width": 1}, "unit": "km"}, "'unit'"),
        ("measure", {"size": {"width": 1}, "unit": "m", "at": "noon"}, "'at'"),
        ("sum", [1, "2"], "'numbers'"),
        ("sum", {"a": "x"}, "'a'"),
        ("strict", {"text": "x"}, "'text'"),
        ("strict", ["x", "blue"], "'colour'"),
        ("bounded", [101], "'percent'"),
        ("later", [1], "at most 0"),
    ],
)
def test_parameters_that_do_not_fit_are_named(method: str, params: Params, culprit: str) -> None:
    with pytest.raises(InvalidParams, match=re.escape(culprit)) as caught:
        TABLE.find(method).bind(params)
    assert caught.value.text.startswith(method)


def test_coroutines_are_told_apart() -> None:
    assert TABLE.find("later").is_async and not TABLE.find("buy").is_async


def without_message(self: object) -> None: ...


def only_keywords(self: object, *, message: object) -> None: ...


def unreadable(self: object, message: object, stream: re.Pattern[str]) -> None: ...


def not_by_name(self: object, message: object, text: str, /) -> None: ...


def piece_by_piece(self: object, message: object) -> Iterator[int]:
    yield 1


async def piece_by_piece_later(self: object, message: object) -> AsyncIterator[int]:
    yield 1


class Vague:
    """A descriptor that has no value."""

    def __get__(self, instance: object, owner: type) -> object:
        raise LookupError("no value")


@dataclass
class Shelf:
    things: list[Shelf] | dict[str, Path]


def deep_inside(self: object, message: object, shelf: list[Shelf] | None = None) -> None: ...


def of_unknown_type(self: object, message: object, text: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821
    ...


@pytest.mark.parametrize(
    ("handler", "complaint"),
    [
        (without_message, "message"),
        (only_keywords, "message"),
        (unreadable, "'stream'"),
        (not_by_name, "'text'"),
        (of_unknown_type, "Missing"),
        (deep_inside, r"'shelf': Path, in list\[.*Shelf\] \| None, cannot be read from JSON"),
        (piece_by_piece, r"return the result as a whole, and send what comes before it with message\.status"),
        (piece_by_piece_later, r"return the result as a whole, and send what comes before it with message\.status"),
        (Vague(), "LookupError"),
    ],
)
def test_a_handler_that_cannot_be_called_is_refused_when_the_table_is_made(handler: object, complaint: str) -> None:
    broken = type("Broken", (), {"on_broken": handler})()
    with pytest.raises(InvalidHandler, match=complaint) as caught:
        HandlerTable.of(broken)
    assert "'broken'" in str(caught.value)


def test_the_table_describes_itself() -> None:
    described = {entry["name"]: entry for entry in TABLE.describe()}
    assert described["buy"] == {
        "name": "buy",
        "parameters": [
            {"name": "item", "type": "str", "required": True},
            {"name": "count", "type": "int", "required": False},
        ],
        "doc": "Buy something.",
    }
    assert [parameter["name"] for parameter in described["measure"]["parameters"]] == ["size", "unit", "at"]
    assert described["sum"]["parameters"] == [
        {"name": "*numbers", "type": "int", "required": False},
        {"name": "**named", "type": "float", "required": False},
    ]


def test_handlers_can_be_added_without_changing_the_table() -> None:
    more = TABLE.with_handlers({"$ping": lambda _: "pong"})
    assert set(more.names) == {"$ping", *TABLE.names}
    assert "$ping" not in TABLE.names


def test_what_goes_by_any_name_does_not_stand_in_for_a_parameter() -> None:
    def handler(message: object, needed: int, **rest: int) -> None: ...

    bound = HandlerTable({"take": handler}).find("take")
    assert bound.bind({"needed": 1, "other": 2}).kwargs == {"needed": 1, "other": 2}
    with pytest.raises(InvalidParams, match="take lacks the parameter 'needed'"):
        bound.bind({"other": 1, "another": 2})


def test_a_name_that_is_taken_by_the_call_itself_is_no_parameter() -> None:
    class Service:
        def on_take(self, message: object, **rest: int) -> None: ...

    bound = HandlerTable.of(Service()).find("take")
    for name in ("self", "message"):
        with pytest.raises(InvalidParams, match=f"take has no parameter '{name}'"):
            bound.bind({name: 1})
    assert bound.bind({"other": 1}).kwargs == {"other": 1}


def test_a_long_target_is_not_repeated() -> None:
    for split in (split_target, split_topic):
        with pytest.raises(InvalidTarget) as caught:
            split("x." + "y" * 100_000)
        assert len(str(caught.value)) < 200


class Partial:
    def brew(self, message: object, leaf: str, minutes: int = 3) -> str:
        """Brew it."""
        return f"{leaf} {minutes}"

    async def pour(self, message: object, leaf: str) -> None: ...

    on_brew = partialmethod(brew, minutes=5)
    on_pour = partialmethod(pour)


def test_a_partial_method_is_a_handler() -> None:
    table = HandlerTable.of(Partial())
    bound = table.find("brew").bind({"leaf": "assam"})
    assert bound.handler.function(None, *bound.args, **bound.kwargs) == "assam 5"
    assert [(entry["name"], entry["doc"]) for entry in table.describe()] == [("brew", "Brew it."), ("pour", "")]
    assert (table.find("brew").is_async, table.find("pour").is_async) == (False, True)
    with pytest.raises(InvalidParams, match="leaf"):
        table.find("pour").bind({"leaf": 1})
    with pytest.raises(InvalidParams, match="self"):
        table.find("pour").bind({"leaf": "assam", "self": 1})
