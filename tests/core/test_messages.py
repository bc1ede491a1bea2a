"""The messages are frozen, keyword-only records."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treaty import Request
from treaty.messages import REFUSAL, Message, reason_for

from .strategies import MESSAGES, messages, requests

MEMBERS = get_args(Message)


def test_every_member_of_the_union_has_a_strategy() -> None:
    assert MESSAGES.keys() == set(MEMBERS)


def test_every_kind_is_one_byte_of_its_own() -> None:
    kinds = [member.kind for member in MEMBERS] + [REFUSAL]
    assert len(set(kinds)) == len(kinds)
    assert all(len(kind) == 1 for kind in kinds)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.__name__)
def test_a_message_is_not_made_by_position(member: type[Any]) -> None:
    with pytest.raises(TypeError):
        member("an id")


@settings(deadline=None)
@given(messages)
def test_a_message_does_not_change(message: Message) -> None:
    with pytest.raises(AttributeError):
        message.id = "another"  # type: ignore[misc]


@settings(deadline=None)
@given(requests)
def test_a_target_is_split_at_its_first_dot(message: Request) -> None:
    assert message.method in (f"{message.service}.{message.name}", message.service)
    assert "." not in message.service


@settings(deadline=None)
@given(st.integers())
def test_every_code_has_a_reason_or_none(code: int) -> None:
    assert isinstance(reason_for(code), str)


def test_the_reasons_are_the_usual_ones() -> None:
    assert (reason_for(404), reason_for(499), reason_for(599)) == ("Not Found", "Client Closed Request", "")
