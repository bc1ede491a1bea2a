"""The end that is asked: what runs, what is answered without running, and what is dropped."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from treaty import (
    ClockSkew,
    ConnectionLost,
    DeadlineExceeded,
    EncodingError,
    FrameTooLarge,
    InvalidParams,
    InvalidRequest,
    InvalidResult,
    Key,
    Keyring,
    Response,
    Status,
    StatusLine,
    TreatyError,
    UnknownMethod,
    error,
)
from treaty.codec import decode, encode
from treaty.engine import Answer, Answerer, Asked, Caller, Dropped, Ended, Instant, Outgoing, Run, Stop
from treaty.engine.answerer import REFUSALS_PER_SECOND
from treaty.errors import ResourceExhausted
from treaty.guard import Guard
from treaty.messages import REFUSAL, Cancel
from treaty.registry import read_error
from treaty.sealing import refused_tag, tag_of

from .strategies import damaged, messages, plain
from .world import ADDRESS, KEY, KEYRING, NOW, OTHER_KEY, answerer, caller, later, run


@error("tests.large", status=409)
class Large(Exception):
    detail: str = ""


def ask(target: str = "slow.echo", params: Any = None, *, end: Caller | None = None, **options: Any) -> Outgoing:
    given = {"timeout": 10, "now": NOW, "reply": ADDRESS, **options}
    return (end or caller()).request(target, {"text": "hi"} if params is None else params, **given)


def give(
    end: Answerer, frame: bytes, now: Instant = NOW, reply_to: str = ADDRESS, *, redelivered: bool = False
) -> Asked:
    return end.receive(frame, now=now, reply_to=reply_to, redelivered=redelivered)


def verdict(asked: Asked) -> Exception:
    """The error that the caller raises for what was answered without running anything."""
    assert isinstance(asked, Answer) and asked.frame is not None, asked
    return heard(asked.frame)


def heard(frame: bytes, keyring: Keyring = KEYRING) -> Exception:
    response = decode(b"r", keyring.open(frame, b"r").body)
    assert isinstance(response, Response) and response.error is not None
    return read_error(response.error, response.status)


def dropped(asked: Asked) -> str:
    assert isinstance(asked, Dropped), asked
    return asked.reason


def test_a_request_runs_its_handler_with_its_parameters() -> None:
    asked = run(answerer(), ask().frame)
    assert asked.bound.kwargs == {"text": "hi"}
    assert asked.exchange.deadline == NOW.steady + 10


def test_a_result_comes_back_to_the_call_that_asked() -> None:
    end, asking = answerer(), caller()
    outgoing = ask(end=asking)
    exchange = run(end, outgoing.frame).exchange
    status = StatusLine(code=201, reason="Made")
    frame = end.result(exchange, {"a": 1}, now=NOW, status=status, headers={"x": "y"}, took=0.25)
    happened = asking.receive(frame)
    assert isinstance(happened, Ended) and isinstance(happened.outcome, Response)
    response = happened.outcome
    assert (response.result, response.status, response.headers, response.took) == ({"a": 1}, status, {"x": "y"}, 250.0)


def test_an_answer_is_sealed_with_the_key_of_its_question() -> None:
    end = answerer(keyring=Keyring(OTHER_KEY, accepted=[KEY]))
    exchange = run(end, ask().frame).exchange
    for frame in (end.result(exchange, 1, now=NOW), end.failure(exchange, ValueError(), now=NOW)):
        assert KEYRING.open(frame, b"r").key == KEY


# What does not run


def test_an_expired_request_is_not_run() -> None:
    assert isinstance(give(answerer(), ask(timeout=1).frame, later(0.999)), Run)
    assert isinstance(verdict(give(answerer(), ask(timeout=1).frame, later(1))), DeadlineExceeded)


def test_a_request_from_the_future_is_not_run() -> None:
    assert isinstance(give(answerer(), ask(now=later(30)).frame), Run)
    assert isinstance(verdict(give(answerer(), ask(now=later(30.001)).frame)), ClockSkew)


def test_a_request_that_may_take_for_ever_is_not_run() -> None:
    frame = forged(ttl=86_400_001)
    assert isinstance(verdict(give(answerer(), frame, reply_to="")), InvalidRequest)


@settings(deadline=None)
@given(skew=st.floats(-30, 9.9), delay=st.floats(0, 20), timeout=st.floats(0.01, 20))
def test_clocks_within_the_limits_never_lengthen_a_call(skew: float, delay: float, timeout: float) -> None:
    there = Instant(NOW.wall + round((delay + skew) * 1000), 50.0 + delay)
    asked = give(answerer(), ask(timeout=timeout).frame, there)
    if isinstance(asked, Run):
        assert 0 < asked.exchange.deadline - there.steady <= timeout + 0.001
    else:
        assert isinstance(verdict(asked), DeadlineExceeded)
        assert delay + skew + 0.002 >= timeout


def test_the_same_request_runs_once() -> None:
    end, frame = answerer(), ask().frame
    run(end, frame)
    for now in (NOW, later(5), later(9.999)):
        assert dropped(give(end, frame, now)) == "replayed"
    assert isinstance(verdict(give(end, frame, later(10))), DeadlineExceeded)


def test_a_captured_request_never_runs_again() -> None:
    end, asking = answerer(guard=Guard(2000)), caller()
    frames = [ask(end=asking).frame for _ in range(1000)]
    runs = sum(isinstance(give(end, frame, later(at)), Run) for at in (0, 1, 5, 9, 11, 3600) for frame in frames)
    assert runs == 1000


@pytest.mark.parametrize("step", [62, 3600, 172_800])
def test_a_clock_that_is_wrong_for_a_while_lets_nothing_run_again(step: int) -> None:
    end, asking = answerer(), caller()
    frame = ask(end=asking, timeout=60).frame
    run(end, frame)
    ahead = later(step)
    run(end, ask(end=asking, now=ahead).frame, Instant(ahead.wall, NOW.steady + 1))
    assert dropped(give(end, frame, later(2))) == "replayed"


def test_what_a_guard_remembers_outlives_the_answerer() -> None:
    guard, frame = Guard(10), ask().frame
    run(answerer(guard=guard), frame)
    assert dropped(give(answerer(guard=guard), frame)) == "replayed"


def test_noise_does_not_push_out_what_was_seen() -> None:
    guard = Guard(10)
    end, frame = answerer(guard=guard), ask().frame
    run(end, frame)
    for number in range(1000):
        give(end, frame[:-1] + bytes([number % 256]))
    assert len(guard) == 1


def test_a_full_memory_refuses_new_requests_and_forgets_none() -> None:
    end, asking = answerer(guard=Guard(1)), caller()
    first, second = ask(end=asking).frame, ask(end=asking).frame
    run(end, first)
    assert isinstance(verdict(give(end, second)), ResourceExhausted)
    assert dropped(give(end, first)) == "replayed"


def test_a_request_with_another_return_address_is_dropped() -> None:
    assert dropped(give(answerer(), ask().frame, reply_to="line-2")) == "redirected"


def test_a_redelivered_request_is_answered_and_not_run() -> None:
    assert isinstance(verdict(give(answerer(), ask().frame, redelivered=True)), ConnectionLost)


@pytest.mark.parametrize("name", ["no_such", "__init__", "_echo", "on_echo", "echo.more", " echo", "$ping"])
def test_an_unknown_method_is_answered(name: str) -> None:
    assert isinstance(verdict(give(answerer(), ask(f"slow.{name}").frame)), UnknownMethod)


def test_wrong_parameters_are_answered_with_the_culprit() -> None:
    raised = verdict(give(answerer(), ask(params={"txt": 1}).frame))
    assert isinstance(raised, InvalidParams) and "'txt'" in str(raised)


@pytest.mark.parametrize("body", [b"{}", b"\xff", b"null", b"[" * 10_000, b'{"jsonrpc":"2.0"}'])
def test_a_body_that_is_no_request_is_answered(body: bytes) -> None:
    assert isinstance(verdict(give(answerer(), KEYRING.seal(b"q", body))), InvalidRequest)


@pytest.mark.parametrize(("target", "options"), [("slow.nothing", {}), ("slow.echo", {"timeout": 0.001})])
def test_a_one_way_request_is_never_answered(target: str, options: dict[str, Any]) -> None:
    asked = give(answerer(), ask(target, one_way=True, **options).frame, later(1))
    assert isinstance(asked, Answer) and asked.frame is None


# Who fails the check


def refused(asked: Asked, frame: bytes) -> bool:
    return isinstance(asked, Answer) and asked.frame is not None and refused_tag(asked.frame) == tag_of(frame)


def test_a_strange_key_gets_a_refusal_that_says_nothing() -> None:
    for keyring in (Keyring(OTHER_KEY), Keyring(Key(bytes(32), id=KEY.id))):
        frame = ask(end=caller(keyring=keyring)).frame
        asked = give(answerer(), frame)
        assert refused(asked, frame)
        assert isinstance(asked, Answer) and len(asked.frame or b"") == 44


def test_a_request_to_another_service_is_refused() -> None:
    frame = ask("other.echo").frame
    assert refused(give(answerer(), frame), frame)


def test_its_own_answer_reflected_is_refused() -> None:
    end = answerer()
    frame = end.result(run(end, ask().frame).exchange, 1, now=NOW)
    assert refused(give(end, frame), frame)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_request_never_runs(data: st.DataObject) -> None:
    frame = ask().frame
    other = data.draw(damaged(frame))
    assume(other != frame)
    asked = give(answerer(), other)
    assert isinstance(asked, Dropped) or refused(asked, other)


def test_random_bytes_get_no_answer() -> None:
    for noise in (b"", b"GET / HTTP/1.1\r\n\r\n" + bytes(60), b"TY", bytes(100)):
        assert isinstance(give(answerer(), noise), Dropped)


def test_refusals_are_rationed_and_come_back_with_time() -> None:
    end, frame = answerer(), ask(end=caller(keyring=Keyring(OTHER_KEY))).frame

    def answered(now: Instant) -> int:
        return sum(isinstance(give(end, frame, now), Answer) for _ in range(5000))

    assert answered(NOW) == REFUSALS_PER_SECOND
    assert answered(NOW) == 0
    assert answered(later(0.5)) == REFUSALS_PER_SECOND / 2
    assert answered(later(0.1)) == 0
    assert answered(later(3600)) == REFUSALS_PER_SECOND


def test_a_refusal_is_not_answered_with_a_refusal() -> None:
    assert isinstance(give(answerer(), b"TY\x01" + REFUSAL + bytes(60)), Dropped)


def test_what_happened_is_counted() -> None:
    end, asking = answerer(), caller()
    outgoing = ask(end=asking)
    for frame in (outgoing.frame, outgoing.frame, b"noise", ask("slow.x", end=asking).frame, cancel(asking, outgoing)):
        give(end, frame)
    assert end.counters == {"requests": 1, "replayed": 1, "size": 1, "unknown method": 1, "cancels": 1}


# Cancelling


def cancel(asking: Caller, outgoing: Outgoing, now: Instant = NOW) -> bytes:
    assert outgoing.call is not None
    return asking.cancel(outgoing.call, now).frame


def test_a_cancel_names_the_request_to_stop() -> None:
    end, asking = answerer(), caller()
    outgoing = ask(end=asking)
    exchange = run(end, outgoing.frame).exchange
    assert give(end, cancel(asking, outgoing)) == Stop(exchange.request.id)


def test_a_cancel_that_overtakes_its_request_prevents_its_run() -> None:
    end, asking = answerer(), caller()
    outgoing = ask(end=asking)
    give(end, cancel(asking, outgoing))
    for at in (0, 5, 9.999):
        assert dropped(give(end, outgoing.frame, later(at))) == "replayed"


def test_a_cancel_for_another_service_or_of_another_time_is_dropped() -> None:
    asking = caller()
    outgoing = ask(end=asking)
    assert dropped(give(answerer(service="other"), cancel(asking, outgoing))) == "audience"
    assert dropped(give(answerer(), cancel(asking, outgoing), later(10.001))) == "freshness"
    assert dropped(give(answerer(), cancel(asking, outgoing, later(31)))) == "freshness"


# What is written


@pytest.mark.parametrize(
    "value",
    [object(), math.nan, "\ud800", {1: {2: {(): 3}}}, Raw(b'{"a":'), [Raw(b"\xff")], Raw(b'1,"error":{}')],
    ids=lambda value: type(value).__name__,
)
def test_a_result_that_json_cannot_carry_is_a_typed_error(value: object) -> None:
    end = answerer()
    raised = heard(end.result(run(end, ask().frame).exchange, value, now=NOW))
    assert isinstance(raised, InvalidResult) and "slow.echo was executed" in str(raised)


def test_a_result_over_the_limit_is_a_typed_error() -> None:
    end = answerer(max_frame=2000)
    raised = heard(end.result(run(end, ask().frame).exchange, "x" * 2000, now=NOW))
    assert isinstance(raised, FrameTooLarge) and "was executed" in str(raised)


def test_an_error_over_the_limit_is_shortened_and_keeps_its_type_and_id() -> None:
    end = answerer(max_frame=2000)
    exchange = run(end, ask().frame).exchange
    raised = heard(end.failure(exchange, ValueError("é" * 5000), now=NOW, error_id="abc"))
    assert str(raised).startswith("ValueError: éé") and str(raised).endswith("(error id abc)")
    large = Large("text")
    large.detail = "x" * 5000
    shortened = heard(end.failure(exchange, large, now=NOW))
    assert (type(shortened), str(shortened)) == (Large, "text")


@settings(deadline=None)
@given(plain)
def test_any_value_is_a_result(value: object) -> None:
    end = answerer()
    response = decode(b"r", KEYRING.open(end.result(run(end, ask().frame).exchange, value, now=NOW), b"r").body)
    assert isinstance(response, Response) and response.result == value


def test_status_messages_are_numbered_from_one() -> None:
    end = answerer()
    exchange = run(end, ask().frame).exchange
    frames = [end.status(exchange, 102, now=NOW, progress=part) for part in (None, 0.5, 1)]
    statuses = [decode(b"s", KEYRING.open(frame, b"s").body) for frame in frames]
    assert all(isinstance(status, Status) for status in statuses)
    assert [(s.seq, s.progress, s.reason) for s in statuses if isinstance(s, Status)] == [
        (1, None, "Processing"),
        (2, 0.5, "Processing"),
        (3, 1.0, "Processing"),
    ]


@pytest.mark.parametrize(
    ("code", "reason", "progress"),
    [(99, "", None), (600, "", None), ("102", "", None), (True, "", None), (102, 7, None), (102, "\ud800", None),
     (102, "", math.nan), (102, "", "half"), (102, "", True), (102, "", 5), (102, "", -0.01), (102, "", 1.01), (102, "", math.inf)],
)  # fmt: skip
def test_a_status_that_cannot_be_read_is_not_written(code: Any, reason: Any, progress: Any) -> None:
    end = answerer()
    exchange = run(end, ask().frame).exchange
    with pytest.raises(EncodingError):
        end.status(exchange, code, reason, progress=progress, now=NOW)


# Whatever comes


def nothing_but_ours(asked: Asked) -> None:
    assert not isinstance(asked, Run)
    if isinstance(asked, Answer) and asked.frame is not None and refused_tag(asked.frame) is None:
        assert isinstance(heard(asked.frame), TreatyError)


def forged(**changed: Any) -> bytes:
    """A request with the right seal, as somebody who holds the secret could write it."""
    meta = {"created": NOW.wall, "ttl": 1000, "sender": "me"}
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": "1", "method": "slow.echo", "params": {}}
    for name, value in changed.items():
        (body if name in body else meta)[name] = value
    return KEYRING.seal(b"q", json.dumps({**body, "treaty": meta}).encode())


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=10, max_size=10), st.sampled_from([b"q", b"c"]))
def test_arbitrary_bytes_run_nothing(frames: list[bytes], kind: bytes) -> None:
    end = answerer()
    for frame in frames:
        nothing_but_ours(give(end, frame))
        if frame:
            nothing_but_ours(give(end, KEYRING.seal(kind, frame)))


@settings(deadline=None)
@given(messages, st.lists(plain, min_size=8, max_size=8))
def test_arbitrary_json_with_the_right_seal_runs_nothing(message: Any, values: list[Any]) -> None:
    end = answerer()
    for kind in (b"q", b"c"):
        for body in [encode(message), *(json.dumps(value).encode() for value in values)]:
            nothing_but_ours(give(end, KEYRING.seal(kind, body)))


@settings(deadline=None)
@given(
    name=st.sampled_from(["id", "params", "created", "ttl", "sender", "reply", "headers", "method", "jsonrpc"]),
    value=plain | st.integers(NOW.wall - 10**5, NOW.wall + 10**5),
)
def test_a_request_with_one_odd_member_runs_or_is_answered(name: str, value: Any) -> None:
    asked = give(answerer(), forged(**{name: value}), reply_to="")
    if not isinstance(asked, Run):
        nothing_but_ours(asked)


@settings(deadline=None)
@given(ttl=st.integers(0, 2**53), created=st.integers(0, 2**53))
def test_a_cancel_of_any_time_is_obeyed_or_dropped(ttl: int, created: int) -> None:
    message = Cancel(id="1", service="slow", created=created, ttl=ttl, sender="me")
    assert isinstance(give(answerer(), KEYRING.seal(b"c", encode(message))), Stop | Dropped)


def test_a_request_that_comes_a_second_time_is_answered_unless_its_answer_is_to_come() -> None:
    end, outgoing = answerer(), ask()
    identifier = run(end, outgoing.frame).exchange.request.id

    def again(*running: str) -> Asked:
        return end.receive(outgoing.frame, now=NOW, reply_to=ADDRESS, redelivered=True, running=running)

    assert dropped(again(identifier)) == "replayed"
    assert isinstance(verdict(again("another")), ConnectionLost)
    # Who only repeats it hears nothing.
    assert dropped(give(end, outgoing.frame)) == "replayed"
    assert end.counters == {"requests": 1, "replayed": 2, "redelivered": 1}
