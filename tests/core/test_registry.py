"""Errors keep their type through registered codes, and whatever a handler raises can be written."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any, Self

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treaty import (
    ConfigurationError,
    DeadlineExceeded,
    InvalidParams,
    RemoteError,
    Response,
    StatusLine,
    TreatyError,
    Unavailable,
    UnknownMethod,
    error,
)
from treaty.codec import decode, encode
from treaty.errors import ANSWERED
from treaty.messages import ErrorData, ErrorInfo
from treaty.registry import answer, is_expected, read_error, write_error

from .strategies import error_infos, objects, plain, status_lines


@error("tests.out-of-stock", status=409)
class OutOfStock(Exception):
    limits: tuple[int, ...]

    def __init__(self, item: str, left: int, limits: tuple[int, ...] = ()) -> None:
        super().__init__(f"{left} of {item} left")
        self.item, self.left, self.limits = item, left, limits

    @property
    def gone(self) -> bool:
        return self.left == 0


class SoldOut(OutOfStock):
    """Not registered itself: it travels as what it derives from."""


@error("tests.bag")
class Bag(Exception):
    """Takes any attributes."""


def travelled(raised: BaseException, error_id: str = "") -> Exception:
    """What the caller raises: written, encoded, decoded, read."""
    info, status = write_error(raised, error_id=error_id)
    response = Response(id="1", to="0" * 32, status=status, sender="", created=0, error=info)
    back = decode(b"r", encode(response))
    assert isinstance(back, Response) and back.error is not None
    return read_error(back.error, back.status)


def test_a_registered_error_keeps_class_text_fields_and_annotated_types() -> None:
    back = travelled(OutOfStock("tea", 0, (1, 2)))
    assert type(back) is OutOfStock
    assert (str(back), back.args) == ("0 of tea left", ("0 of tea left",))
    assert (back.item, back.left, back.limits, back.gone) == ("tea", 0, (1, 2), True)


def test_a_registered_error_has_its_status() -> None:
    assert write_error(OutOfStock("tea", 0))[1] == StatusLine(code=409, reason="Conflict")


def test_a_subclass_arrives_as_the_registered_base() -> None:
    assert type(travelled(SoldOut("tea", 0))) is OutOfStock


@settings(deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(lambda n: n != "args"), plain), st.lists(plain)
)
def test_fields_and_arguments_round_trip(fields: dict[str, Any], args: list[Any]) -> None:
    bag = Bag(*args)
    vars(bag).update(fields)
    back = travelled(bag)
    assert type(back) is Bag
    assert (vars(back), back.args) == (fields, tuple(args))


@pytest.mark.parametrize(
    "value", [object(), "\ud800", 1j, math.nan, [math.inf], 10**5000], ids=lambda value: type(value).__name__
)
def test_a_field_that_json_cannot_carry_stays_behind_alone(value: object) -> None:
    bag = Bag("text")
    vars(bag).update(good=1, bad=value)
    back = travelled(bag)
    assert type(back) is Bag
    assert (vars(back), str(back)) == ({"good": 1}, "text")


def test_private_fields_stay_behind() -> None:
    bag = Bag()
    vars(bag).update(_secret=1, public=2)
    assert vars(travelled(bag)) == {"public": 2}


def test_an_argument_that_json_cannot_carry_leaves_the_text() -> None:
    back = travelled(Bag("of", object))
    assert back.args == (str(("of", object)),)


def test_an_unregistered_error_arrives_by_name_and_text() -> None:
    back = travelled(NotImplementedError("I was never created"), error_id="abc")
    assert type(back) is RemoteError
    assert (back.type, back.text, back.error_id, back.status_code) == (
        "NotImplementedError",
        "I was never created",
        "abc",
        500,
    )


def test_nothing_on_the_wire_names_a_class() -> None:
    for name in ("KeyboardInterrupt", "builtins.SystemExit", "treaty.errors.ClosedError", "OutOfStock", "ClosedError"):
        info = ErrorInfo(code=-32000, message="x", data=ErrorData(type=name))
        assert type(read_error(info, StatusLine(code=500))) is RemoteError


@settings(deadline=None)
@given(error_infos, status_lines)
def test_whatever_is_answered_can_be_read(info: ErrorInfo, status: StatusLine) -> None:
    assert isinstance(read_error(info, status), ANSWERED.get(info.code, RemoteError))


@settings(deadline=None)
@given(objects, st.lists(plain, max_size=3))
def test_whatever_is_said_of_a_registered_error_can_be_read(fields: dict[str, Any], args: list[Any]) -> None:
    for hostile in ({}, {"gone": 1, "limits": "x", "with_traceback": 1, "args": [], "__class__": 1, "add_note": 2}):
        data = ErrorData(type="tests.out-of-stock", fields={**fields, **hostile}, args=args)
        back = read_error(ErrorInfo(code=-32000, message="x", data=data), StatusLine(code=500))
        assert type(back) is OutOfStock
        assert back.args == tuple(args)


def test_every_error_of_the_service_arrives_as_its_class() -> None:
    for code, cls in ANSWERED.items():
        info, status = answer(cls("text"))
        assert info.code == code
        back = read_error(info, status)
        assert type(back) is cls
        assert "text" in str(back)
        assert status.code == cls.status


def test_a_handler_may_complain_of_its_parameters() -> None:
    complaint = InvalidParams("the parameter 'x' is odd")
    assert is_expected(complaint)
    assert type(travelled(complaint)) is InvalidParams


@pytest.mark.parametrize("cls", [InvalidParams, UnknownMethod])
def test_what_a_nested_call_ended_with_does_not_pass_for_an_answer_to_this_one(cls: type[RemoteError]) -> None:
    nested = travelled_answer(cls("about the other call"))
    assert type(nested) is cls
    back = travelled(nested)
    assert type(back) is RemoteError
    assert back.type == cls.__name__
    assert not is_expected(nested)


@pytest.mark.parametrize("raised", [Unavailable("nobody"), DeadlineExceeded("late")])
def test_nor_does_a_local_failure_of_a_nested_call(raised: TreatyError) -> None:
    assert type(travelled(raised)) is RemoteError


def travelled_answer(verdict: TreatyError) -> Exception:
    return read_error(*answer(verdict))


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


@error("tests.unprintable")
class RegisteredUnprintable(Unprintable):
    @property
    def trap(self) -> int:
        raise ValueError("no")


class Trap(Exception):
    """Registered below; an annotated attribute of it raises when it is read."""

    trap: int

    def __getattr__(self, name: str) -> object:
        raise ValueError(name)


error("tests.trap")(Trap)


@pytest.mark.parametrize("cls", [Unprintable, RegisteredUnprintable, Trap, SystemExit, KeyboardInterrupt])
def test_whatever_was_raised_can_be_written(cls: type[BaseException]) -> None:
    assert isinstance(travelled(cls()), Exception)


def test_an_unprintable_exception_says_so() -> None:
    assert "unprintable Unprintable" in str(travelled(Unprintable()))


def test_a_text_that_utf8_cannot_carry_is_replaced() -> None:
    assert str(travelled(Bag("a\ud800b"))) == "a?b"
    assert "a?b" in str(travelled(ValueError("a\ud800b")))


@pytest.mark.parametrize("code", ["", "word", "Upper.case", "a..b", ".a", "a.", "a b.c", "ä.b"])
def test_a_malformed_code_is_refused(code: str) -> None:
    with pytest.raises(ConfigurationError):
        error(code)


@pytest.mark.parametrize("status", [200, 399, 600, 0])
def test_a_status_that_is_no_error_is_refused(status: int) -> None:
    with pytest.raises(ConfigurationError):
        error("tests.status", status=status)


def test_a_code_belongs_to_one_class() -> None:
    with pytest.raises(ConfigurationError, match="OutOfStock"):
        error("tests.out-of-stock")(Bag)
    assert error("tests.out-of-stock", status=409)(OutOfStock) is OutOfStock


@pytest.mark.parametrize("thing", [7, "text", int, SystemExit, OutOfStock("x", 1)], ids=str)
def test_only_exception_classes_are_registered(thing: Any) -> None:
    with pytest.raises(ConfigurationError):
        error("tests.thing")(thing)


@error("tests.made-its-own-way")
class MadeItsOwnWay(Exception):
    def __new__(cls, item: str, left: int) -> Self:
        return super().__new__(cls, item, left)

    def __init__(self, item: str, left: int) -> None:
        super().__init__(f"{left} of {item}")
        self.item, self.left = item, left


@error("tests.a-group")
class Group(ExceptionGroup[Exception]):
    """An exception that cannot be made of what JSON carries."""


def test_a_class_with_a_new_of_its_own_is_rebuilt() -> None:
    back = travelled(MadeItsOwnWay("tea", 2))
    assert type(back) is MadeItsOwnWay
    assert (str(back), back.item, back.left) == ("2 of tea", "tea", 2)


def test_a_class_that_cannot_be_rebuilt_arrives_as_a_remote_error() -> None:
    back = travelled(Group("many", [ValueError("one")]))
    assert type(back) is RemoteError
    assert back.type == "tests.a-group"


@error("tests.frozen")
@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    item: str


def test_a_frozen_class_is_rebuilt() -> None:
    info, status = write_error(Frozen("tea"))
    rebuilt = read_error(info, status)
    assert isinstance(rebuilt, Frozen)
    assert (rebuilt.item, rebuilt.args) == ("tea", ("tea",))


@error("tests.half-known")
class HalfKnown(Exception):
    when: datetime
    what: "Nowhere | None" = None  # type: ignore[name-defined]  # noqa: F821, UP037 - as if it were imported for types

    def __init__(self, when: datetime) -> None:
        super().__init__("then")
        self.when = when


def test_an_annotation_that_cannot_be_evaluated_costs_no_other_field_its_type() -> None:
    when = datetime(2020, 1, 1, tzinfo=UTC)
    info, status = write_error(HalfKnown(when))
    rebuilt = read_error(msgspec.json.decode(msgspec.json.encode(info), type=ErrorInfo), status)
    assert isinstance(rebuilt, HalfKnown)
    assert rebuilt.when == when
