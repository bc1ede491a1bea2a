"""Words that every file and screen can take, whatever was raised or returned."""

from __future__ import annotations

import pytest

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
