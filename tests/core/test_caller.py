"""The end that asks: requests go out, and each frame that comes back means one thing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from treaty import (
    AuthenticationError,
    Cancelled,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    EncodingError,
    FrameTooLarge,
    InvalidResult,
    InvalidTarget,
    Keyring,
    Request,
    Response,
    Status,
    StatusLine,
    Unavailable,
)
from treaty.codec import decode, encode
from treaty.engine import Caller, Ended, Ignored, Outgoing, Progressed
from treaty.sealing import refusal, tag_of

from .strategies import damaged, messages, plain
from .world import ADDRESS, KEYRING, NOW, OTHER_KEY, caller, later


def ask(end: Caller, target: str = "slow.echo", timeout: float = 10, **options: Any) -> Outgoing:
    return end.request(target, {"text": "hi"}, timeout=timeout, now=NOW, reply=ADDRESS, **options)


def key_of(outgoing: Outgoing) -> str:
    return tag_of(outgoing.frame)[:16].hex()


def reply(outgoing: Outgoing, *, keyring: Keyring = KEYRING, **changed: Any) -> bytes:
    """The answer to a request, or something like it."""
    assert outgoing.call is not None
    fields = {"id": outgoing.call.id, "to": key_of(outgoing), "status": StatusLine(), "sender": "s", "created": 0}
    return keyring.seal(b"r", encode(Response(**{**fields, **changed})))


def news(outgoing: Outgoing, seq: int) -> bytes:
    assert outgoing.call is not None
    status = Status(id=outgoing.call.id, to=key_of(outgoing), seq=seq, code=102, sender="s", created=0)
    return KEYRING.seal(b"s", encode(status))


def ignored(end: Caller, frame: bytes) -> str:
    happened = end.receive(frame)
    assert isinstance(happened, Ignored), happened
    assert end.counters[f"ignored: {happened.reason}"]
    return happened.reason


def test_a_request_says_what_was_asked() -> None:
    outgoing = ask(caller(), headers={"a": "b"})
    opened = KEYRING.open(outgoing.frame, b"q")
    message = decode(b"q", opened.body)
    assert outgoing.call is not None
    assert outgoing.service == "slow"
    assert message == Request(
        id=outgoing.call.id,
        method="slow.echo",
        params={"text": "hi"},
        created=NOW.wall,
        ttl=10_000,
        sender="caller",
        reply=ADDRESS,
        headers={"a": "b"},
    )


def test_a_one_way_request_opens_no_call() -> None:
    end = caller()
    assert ask(end, one_way=True).call is None
    assert end.open_calls == 0


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, 86_401])
def test_a_timeout_is_a_number_in_range(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        ask(caller(), timeout=timeout)


@pytest.mark.parametrize(
    ("target", "params", "error"),
    [
        ("slow", {}, InvalidTarget),
        ("Slow.echo", {}, InvalidTarget),
        ("slow.echo", "text", EncodingError),
        ("slow.echo", None, EncodingError),
        ("slow.echo", [math.nan], EncodingError),
        ("slow.echo", [object()], EncodingError),
        ("slow.echo", ["x" * 1000], FrameTooLarge),
    ],
)
def test_what_cannot_be_asked_leaves_nothing_open(target: str, params: Any, error: type[Exception]) -> None:
    end = caller(max_frame=1000)
    with pytest.raises(error):
        end.request(target, params, timeout=1, now=NOW)
    assert end.open_calls == 0


def test_too_many_open_calls_are_not_sent() -> None:
    end = caller(max_open=1)
    ask(end)
    with pytest.raises(Unavailable, match="not sent"):
        ask(end)


def test_an_answer_ends_its_call_once() -> None:
    end = caller()
    outgoing = ask(end)
    happened = end.receive(reply(outgoing, result=7))
    assert isinstance(happened, Ended) and isinstance(happened.outcome, Response)
    assert (happened.call, happened.outcome.result) == (outgoing.call, 7)
    assert ignored(end, reply(outgoing, result=8)) == "late"


def test_each_answer_ends_its_own_call() -> None:
    end = caller()
    first, second = ask(end), ask(end)
    for outgoing in (second, first):
        happened = end.receive(reply(outgoing))
        assert isinstance(happened, Ended) and happened.call is outgoing.call


def test_an_answer_that_names_another_call_is_ignored() -> None:
    end = caller()
    first, second = ask(end), ask(end)
    assert second.call is not None
    assert ignored(end, reply(first, id=second.call.id)) == "id"
    assert ignored(end, reply(first, to="0" * 32)) == "late"
    assert end.open_calls == 2


def test_an_answer_without_an_id_is_matched_by_its_tag() -> None:
    end = caller()
    assert isinstance(end.receive(reply(ask(end), id="")), Ended)


def test_status_messages_come_in_order_and_never_twice() -> None:
    end = caller()
    outgoing = ask(end)
    for seq, fresh in ((1, True), (1, False), (3, True), (2, False), (4, True)):
        assert isinstance(end.receive(news(outgoing, seq)), Progressed if fresh else Ignored)


def test_a_status_after_the_end_is_ignored() -> None:
    end = caller()
    outgoing = ask(end)
    end.receive(reply(outgoing))
    assert ignored(end, news(outgoing, 1)) == "late"


def test_a_refusal_ends_the_call_that_it_names() -> None:
    end = caller()
    outgoing = ask(end)
    fixed = refusal(outgoing.frame) or b""
    happened = end.receive(fixed)
    assert isinstance(happened, Ended) and isinstance(happened.outcome, AuthenticationError)
    assert ignored(end, fixed) == "refusal of no open call"


def test_an_answer_sealed_with_a_strange_key_is_ignored() -> None:
    end = caller()
    outgoing = ask(end)
    assert ignored(end, reply(outgoing, keyring=Keyring(OTHER_KEY))) == "key"
    assert end.open_calls == 1


def test_its_own_request_reflected_is_ignored() -> None:
    end = caller()
    assert ignored(end, ask(end).frame) == "kind"


def test_an_answer_of_another_shape_is_ignored() -> None:
    assert ignored(caller(), KEYRING.seal(b"r", b"{}")) == "body"


@pytest.mark.parametrize("result", [Raw(b"1e999"), [1, {"deep": Raw(b"-1e400")}]])
def test_an_answer_that_cannot_be_held_ends_its_call_with_a_typed_error(result: object) -> None:
    end = caller()
    outgoing = ask(end)
    happened = end.receive(reply(outgoing, result=result))
    assert isinstance(happened, Ended) and happened.call is outgoing.call
    assert isinstance(happened.outcome, InvalidResult)
    assert "cannot be read: not a message of kind 'r': Number out of range" in str(happened.outcome)
    assert ignored(end, reply(outgoing, result=result)) == "body"


def test_calls_expire_at_their_deadline_and_not_before() -> None:
    end = caller()
    late, soon = ask(end, timeout=5), ask(end, timeout=1)
    assert end.next_deadline() == NOW.steady + 1
    assert end.expire(later(0.999)) == []
    assert [ended.call for ended in end.expire(later(1))] == [soon.call]
    assert [type(ended.outcome) for ended in end.expire(later(9))] == [DeadlineExceeded]
    assert ignored(end, reply(late)) == "late"
    assert end.next_deadline() is None


def test_the_driver_may_end_a_call_once() -> None:
    end = caller()
    call = ask(end).call
    assert call is not None
    ended = end.give_up(call, Cancelled("enough"))
    assert ended is not None and isinstance(ended.outcome, Cancelled)
    assert end.give_up(call, Cancelled("enough")) is None


@pytest.mark.parametrize("length", [44, 64, None])
def test_a_request_that_came_back_ends_its_call(length: int | None) -> None:
    end = caller()
    outgoing = ask(end)
    ended = end.undelivered(outgoing.frame[:length], Unavailable("nobody is there"))
    assert ended is not None and ended.call is outgoing.call
    assert isinstance(ended.outcome, Unavailable)
    assert str(ended.outcome) == f"{outgoing.call.target}: not executed: nobody is there"
    assert end.undelivered(outgoing.frame, Unavailable("nobody is there")) is None


def test_a_close_ends_every_call_and_a_lost_connection_those_that_were_sent() -> None:
    for end_all, kind, left in (
        (lambda end: end.lost(ConnectionLost(), NOW), ConnectionLost, 1),
        (Caller.close, ClosedError, 0),
    ):
        end = caller()
        first, second, unsent = (ask(end).call for _ in range(3))
        assert first is not None and second is not None and unsent is not None
        first.sent = second.sent = True
        ended = end_all(end)
        assert [one.call for one in ended] == [first, second, unsent][: 3 - left]
        assert {type(one.outcome) for one in ended} == {kind}
        assert end.open_calls == left


def told_while_sent(end: Caller, said_after: float = 0.1) -> tuple[Outgoing, ConnectionLost]:
    """A request whose thread says only after a loss was told that it has handed it over."""
    outgoing, loss = ask(end), ConnectionLost("cut")
    assert outgoing.call is not None
    assert end.lost(loss, NOW) == []
    outgoing.call.sent = True
    end.sent_beside_loss(outgoing.call, later(said_after))
    return outgoing, loss


def test_a_call_that_was_handed_over_beside_a_loss_ends_with_it_if_nothing_comes() -> None:
    end = caller()
    outgoing, loss = told_while_sent(end)
    assert end.expire(later(1.0)) == []
    assert [(ended.call, ended.outcome) for ended in end.expire(later(1.11))] == [(outgoing.call, loss)]
    assert end.open_calls == 0


def test_news_of_a_call_that_was_handed_over_beside_a_loss_keep_it_until_its_deadline() -> None:
    end = caller()
    outgoing, _ = told_while_sent(end)
    assert isinstance(end.receive(news(outgoing, 1)), Progressed)
    assert end.expire(later(9.9)) == []
    assert [type(ended.outcome) for ended in end.expire(later(10))] == [DeadlineExceeded]


def test_a_call_that_is_handed_over_well_after_a_loss_is_not_of_it() -> None:
    end = caller()
    outgoing, _ = told_while_sent(end, said_after=0.3)
    assert end.expire(later(9.9)) == []
    assert isinstance(end.receive(reply(outgoing)), Ended)


def test_a_call_is_over_at_its_deadline_whatever_was_lost_beside_it() -> None:
    end = caller()
    outgoing, _ = told_while_sent(end, said_after=0.2)
    assert outgoing.call is not None
    other = ask(end, timeout=1).call
    assert other is not None
    end.lost(ConnectionLost("cut"), NOW)
    other.sent = True
    end.sent_beside_loss(other, later(0.2))
    assert [(ended.call, type(ended.outcome)) for ended in end.expire(later(1))] == [(other, DeadlineExceeded)]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=100), min_size=5, max_size=5), st.lists(plain, min_size=5, max_size=5), st.data())
def test_whatever_comes_back_the_open_call_is_not_harmed(
    noise: list[bytes], values: list[Any], data: st.DataObject
) -> None:
    end = caller()
    outgoing = ask(end)
    other = data.draw(messages)
    bodies = [encode(Response(id="", to="0" * 32, status=StatusLine(), sender="", created=0, result=v)) for v in values]
    kind = data.draw(st.sampled_from([b"r", b"s", b"q"]))
    for frame in [
        *noise,
        *(KEYRING.seal(kind, body) for body in [*filter(None, noise), *bodies, encode(other)]),
        *(data.draw(damaged(reply(outgoing))) for _ in range(3)),
    ]:
        assert isinstance(end.receive(frame), Ignored) or frame == reply(outgoing)
    if end.open_calls:
        assert isinstance(end.receive(reply(outgoing)), Ended)


def test_headers_are_text() -> None:
    with pytest.raises(EncodingError, match="header"):
        caller().request("slow.echo", [], timeout=10, now=NOW, headers={"a": 1})  # type: ignore[dict-item]
