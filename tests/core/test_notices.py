"""Notifications: what one is sealed as, and which frames of a channel are news."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from treaty import EncodingError, FrameTooLarge, InvalidTarget, Keyring, Notification
from treaty.codec import encode
from treaty.engine import SKEW_MS, Instant
from treaty.guard import Guard
from treaty.notices import LIFETIME_MS, Listener, announce

from .strategies import damaged, plain
from .world import KEYRING, NOW, OTHER_KEY, later, numbers

WALL = NOW.wall


def notice(
    topic: str = "storage.Host.created", data: object = None, *, keyring: Keyring = KEYRING, seed: int = 0
) -> bytes:
    return announce(keyring, topic, data, sender="me", random=numbers(seed), wall=WALL)


def heard(frame: bytes, pattern: str = "storage.#", wall: int = WALL) -> tuple[bool, dict[str, int]]:
    listener = Listener(KEYRING, pattern)
    return listener.receive(frame, Instant(wall, NOW.steady)) is not None, dict(listener.counters)


@settings(deadline=None)
@given(plain)
def test_a_notification_arrives_as_it_was_said(data: object) -> None:
    news = Listener(KEYRING, "storage.Host.*").receive(notice(data=data), NOW)
    assert news is not None
    assert (news.topic, news.data, news.sender, news.created) == ("storage.Host.created", data, "me", WALL)


def test_what_does_not_fit_the_pattern_is_no_news_and_no_fault() -> None:
    assert heard(notice(), "storage.Container.*") == (False, {})


def test_a_notification_is_news_once() -> None:
    listener = Listener(KEYRING, "storage.#")
    assert listener.receive(notice(), NOW)
    assert listener.receive(notice(), later(1)) is None
    assert listener.counters == {"replayed": 1}
    assert listener.receive(notice(seed=1), NOW)


@pytest.mark.parametrize("age", [0, LIFETIME_MS + SKEW_MS, -SKEW_MS])
def test_within_its_lifetime_it_is_news_however_the_clocks_differ(age: int) -> None:
    assert heard(notice(), wall=WALL + age) == (True, {})


@pytest.mark.parametrize("age", [LIFETIME_MS + SKEW_MS + 1, -SKEW_MS - 1])
def test_outside_its_lifetime_it_is_taken_for_a_replay(age: int) -> None:
    assert heard(notice(), wall=WALL + age) == (False, {"freshness": 1})


def test_a_frame_on_the_wrong_channel_is_ignored() -> None:
    assert heard(notice("other.Host.created")) == (False, {"audience": 1})


def test_a_frame_of_another_key_kind_or_shape_is_ignored() -> None:
    assert heard(notice(keyring=Keyring(OTHER_KEY))) == (False, {"key": 1})
    assert heard(KEYRING.seal(b"q", b"{}")) == (False, {"kind": 1})
    assert heard(KEYRING.seal(b"n", b"{}")) == (False, {"body": 1})


@settings(deadline=None)
@given(st.data())
def test_a_damaged_notification_is_ignored(data: st.DataObject) -> None:
    frame = notice(data={"some": "data"})
    other = data.draw(damaged(frame))
    assume(other != frame)
    assert not heard(other)[0]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200) | st.binary(min_size=1, max_size=200).map(lambda b: KEYRING.seal(b"n", b))))
def test_whatever_comes_is_news_or_ignored(frames: list[bytes]) -> None:
    listener = Listener(KEYRING, "storage.#")
    for frame in frames:
        assert listener.receive(frame, NOW) is None
    assert sum(listener.counters.values()) == len(frames)


def test_what_cannot_be_said_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidTarget):
        notice("storage")
    with pytest.raises(EncodingError):
        notice(data=math.nan)
    with pytest.raises(FrameTooLarge):
        announce(KEYRING, "a.b", "x" * 1000, sender="", random=numbers(), wall=WALL, max_frame=1000)


@pytest.mark.parametrize("pattern", ["", "storage", "*.x", "#", "Storage.x"])
def test_a_pattern_names_its_channel(pattern: str) -> None:
    with pytest.raises(InvalidTarget):
        Listener(KEYRING, pattern)


def test_a_topic_from_the_wire_need_not_be_well_formed() -> None:
    odd = Notification(id="1", topic="storage", data=None, created=WALL, ttl=1000, sender="")
    assert heard(KEYRING.seal(b"n", encode(odd))) == (True, {})


def test_news_is_handed_out_though_there_is_no_room_to_remember_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treaty.notices.Guard", lambda: Guard(capacity=1))
    listener = Listener(KEYRING, "storage.#")

    assert listener.receive(notice(seed=1), NOW) is not None
    assert listener.receive(notice(seed=2), NOW) is not None
    assert listener.receive(notice(seed=1), NOW) is None
    assert dict(listener.counters) == {"not remembered": 1, "replayed": 1}
