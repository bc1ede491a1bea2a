"""Words that every file and screen can take, whatever was raised or returned."""

from __future__ import annotations

import pytest

from treaty_contracts import judging
from treaty_contracts.expect import Expectations, Violated, plain, said, shown


class Mute(Exception):
    """An error that cannot be printed."""

    def __str__(self) -> str:
        raise LookupError("no words")


def test_half_a_character_is_spelled_out() -> None:
    assert plain("ü \udc80") == "ü \\udc80"
    assert shown("\udc80") == "\\udc80"


def test_what_was_raised() -> None:
    assert said(ValueError("no \udc80")) == "ValueError: no \\udc80"
    assert said(Mute()) == "Mute: (its text cannot be had: LookupError)"


def test_another_error_than_the_one_that_is_due() -> None:
    def fail() -> None:
        raise Mute

    with pytest.raises(Violated, match="Mute: "):
        Expectations().raises(ValueError, fail, "an attempt")


class Carrier(bytes):
    """Bytes that are not exactly bytes."""


def test_a_judge_tells_types_that_read_the_same() -> None:
    verdict = judging.faithful([(b"x", Carrier(b"x"))], "a frame")
    assert verdict.observed == f"1 changed: b'x', of type bytes, became b'x', of type {Carrier.__module__}.Carrier"


def test_what_reads_the_same_is_told_apart_by_its_type() -> None:
    with pytest.raises(Violated) as told:
        Expectations().equal(Carrier(b"fence"), b"fence", "the frame")
    assert told.value.expected == "the frame: b'fence', of type bytes"
    assert told.value.observed == f"b'fence', of type {Carrier.__module__}.Carrier"
    with pytest.raises(Violated) as told:
        Expectations().equal(1.0, 1, "the number")
    assert (told.value.expected, told.value.observed) == ("the number: 1", "1.0")
