"""What is judged without a transport: exceptions, and secrets among bytes. Good samples and bad ones."""

from __future__ import annotations

import os
from base64 import b64encode, urlsafe_b64encode

import pytest

import treaty_memory
from treaty import ClosedError, ConnectionLost, InvalidTarget, Key, Unavailable, check_name
from treaty_contracts.witness import Witness, crossed, derived, foreign, spellings, unchained


def raised(action: str) -> Exception:
    """What comes out when a library's error is turned into one of ours, in several ways."""
    try:
        try:
            os.write(-1, b"x")
        except OSError as error:
            match action:
                case "chained":
                    raise ConnectionLost("lost") from error
                case "left to the context":
                    raise ConnectionLost("lost")  # noqa: B904 - that is the defect
                case "hidden":
                    raise ConnectionLost("lost") from None
                case "led to by ours":
                    try:
                        check_name("!")
                    except InvalidTarget:
                        raise ClosedError("closed")  # noqa: B904 - that is the sample
                case _:
                    raise
    except Exception as found:
        return found
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("action", ["chained", "led to by ours"])
def test_a_cause_that_is_named(action: str) -> None:
    assert unchained([raised(action), ConnectionLost("nothing was behind it")]) == []


@pytest.mark.parametrize("action", ["left to the context", "hidden"])
def test_a_cause_that_is_not_named(action: str) -> None:
    found = unchained([raised(action)])
    assert len(found) == 1
    assert "Bad file descriptor" in found[0]


def test_foreign_ones() -> None:
    assert foreign([ConnectionLost("ours"), ClosedError("ours")]) == []
    assert "Bad file descriptor" in foreign([raised("not at all")])[0]


def test_a_witness_keeps_what_crosses() -> None:
    witness = Witness(treaty_memory.connect("memory://witness"))
    line, inbox = witness.dial(), witness.serve("s")
    line.send("s", b"x", 1)
    delivery = inbox.receive(1)
    assert delivery is not None
    delivery.reply(b"y")
    delivery.settle()
    assert line.receive(1) == b"y"
    assert witness.raised == []
    with pytest.raises(Unavailable):
        line.send("nobody", b"x", 0)
    witness.close()
    with pytest.raises(ClosedError):
        line.receive(0)
    with pytest.raises(ClosedError):
        witness.dial()
    assert [type(one) for one in witness.raised] == [Unavailable, ClosedError, ClosedError]


def test_derived_keys_are_those_of_the_core() -> None:
    key = Key(bytes(range(32)), id=b"12345678")
    for direction, kind in zip(derived(bytes(range(32)), b"12345678"), (b"q", b"r", b"n"), strict=True):
        stamp = Key(bytes(32), id=b"12345678").stamps[kind]
        made = type(stamp)(direction, stamp.head)
        assert made.tag(b"body") == key.stamps[kind].tag(b"body")


@pytest.mark.parametrize("size", [16, 31, 32, 33])
@pytest.mark.parametrize("before", range(4))
def test_every_spelling_is_found(size: int, before: int) -> None:
    held = os.urandom(size)
    text = os.urandom(before) + held + os.urandom(5)
    for medium in (
        text,
        b"x" + held.hex().encode(),
        held.hex().upper().encode(),
        b64encode(text),
        urlsafe_b64encode(text),
    ):
        assert crossed(medium, [held])
        assert not crossed(medium, [os.urandom(size)])
    assert all(len(spelled) >= size for spelled in spellings(held))
