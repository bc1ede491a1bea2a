"""Messages to bytes and back: strict, typed, bounded, and never an error but our own."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treaty import DecodingError, EncodingError, Request
from treaty.codec import BODIES, MAX_DEPTH, addressee, decode, depth, encode
from treaty.messages import Message
from treaty_contracts.alphabet import CHARACTERS

from .strategies import buried, lost_numbers, messages, plain

REQUEST: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": "1",
    "method": "slow.echo",
    "params": {"text": "hi"},
    "treaty": {"created": 1, "ttl": 2, "sender": "me"},
}
RESPONSE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": "1",
    "treaty": {"status": {"code": 200}, "to": "0" * 32, "sender": "me", "created": 1},
}


def request(**changed: Any) -> Request:
    fields: dict[str, Any] = {"id": "1", "method": "a.b", "params": [], "created": 1, "ttl": 1, "sender": "me"}
    return Request(**{**fields, **changed})


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def is_request(body: bytes) -> bool:
    try:
        decode(b"q", body)
    except DecodingError:
        return False
    return True


@settings(deadline=None)
@given(messages)
def test_every_message_round_trips(message: Message) -> None:
    assert decode(message.kind, encode(message)) == message


@settings(deadline=None)
@given(messages)
def test_every_body_is_json_rpc_that_any_tool_can_read(message: Message) -> None:
    body = json.loads(encode(message))
    assert body["jsonrpc"] == "2.0"
    assert "method" in body or ("result" in body) is not ("error" in body)


@settings(deadline=None)
@given(
    messages,
    st.dictionaries(st.text(CHARACTERS, min_size=1, max_size=5).map(lambda name: f"x-{name}"), plain, max_size=3),
)
def test_unknown_members_are_ignored(message: Message, unknown: dict[str, Any]) -> None:
    body = json.loads(encode(message))
    body.update(unknown)
    body["treaty"].update(unknown)
    assert decode(message.kind, json.dumps(body).encode()) == message


def test_a_one_way_request_is_a_notification_of_json_rpc() -> None:
    assert "id" not in json.loads(encode(request(one_way=True)))


@pytest.mark.parametrize(
    "changed",
    [
        {"jsonrpc": "1.0"},
        {"jsonrpc": 2.0},
        {"jsonrpc": None},
        {"id": ""},
        {"id": 7},
        {"id": None},
        {"id": "x" * 65},
        {"method": None},
        {"params": "text"},
        {"params": None},
        {"treaty": None},
        {"treaty": {}},
        {"treaty": {**REQUEST["treaty"], "created": -1}},
        {"treaty": {**REQUEST["treaty"], "created": 1.5}},
        {"treaty": {**REQUEST["treaty"], "created": True}},
        {"treaty": {**REQUEST["treaty"], "ttl": "10"}},
        {"treaty": {**REQUEST["treaty"], "ttl": 2**53 + 1}},
        {"treaty": {**REQUEST["treaty"], "headers": {"a": 1}}},
        {"treaty": {**REQUEST["treaty"], "sender": "x" * 256}},
    ],
    ids=str,
)
def test_a_request_of_another_shape_is_refused(changed: dict[str, Any]) -> None:
    assert is_request(json.dumps(REQUEST).encode())
    assert not is_request(json.dumps({**REQUEST, **changed}).encode())


@pytest.mark.parametrize("name", ["jsonrpc", "id", "method", "treaty"])
def test_a_request_without_one_of_its_members_is_refused(name: str) -> None:
    assert not is_request(json.dumps({key: value for key, value in REQUEST.items() if key != name}).encode())


@pytest.mark.parametrize("outcome", [{}, {"result": 1, "error": {"code": 1, "message": ""}}], ids=["neither", "both"])
def test_a_response_holds_either_a_result_or_an_error(outcome: dict[str, Any]) -> None:
    with pytest.raises(DecodingError):
        decode(b"r", json.dumps({**RESPONSE, **outcome}).encode())


def test_of_duplicate_members_the_last_counts() -> None:
    body = json.dumps(REQUEST).encode().replace(b'"id": "1"', b'"id": "1", "id": "2"')
    message = decode(b"q", body)
    assert message.id == "2"


@pytest.mark.parametrize(
    "value", [b"NaN", b"Infinity", b"1e999", b"9" * 5000, b'"\\ud800"', b'"\xff"', b"'a'", b"01", b"[1,]", b"tru"]
)
def test_what_is_no_json_is_refused(value: bytes) -> None:
    assert not is_request(json.dumps(REQUEST).encode().replace(b'"hi"', value))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**4000], ids=["2^63", "-2^63-1", "2^64", "10^4000"])
def test_whole_numbers_have_no_limit_but_length(number: int) -> None:
    message = request(params=[number])
    assert decode(b"q", encode(message)) == message


@settings(deadline=None)
@given(buried(lost_numbers))
def test_a_number_that_json_lacks_is_refused_and_never_lost(value: Any) -> None:
    with pytest.raises(EncodingError):
        encode(request(params=[value]))


@settings(deadline=None)
@given(buried(st.just(None)))
def test_null_is_no_lost_number(value: Any) -> None:
    assert decode(b"q", encode(request(params=[value]))) == request(params=[value])


@dataclasses.dataclass
class Point:
    x: float


class Pair(msgspec.Struct):
    x: float


@pytest.mark.parametrize("record", [Point, Pair])
def test_records_are_written_as_objects_and_hide_no_lost_number(record: type[Any]) -> None:
    assert json.loads(encode(request(params=[record(1.5)])))["params"] == [{"x": 1.5}]
    with pytest.raises(EncodingError):
        encode(request(params=[record(math.nan)]))


@pytest.mark.parametrize(
    "value",
    [object(), "\ud800", {"\ud800": 1}, {None: 1}, {(1, 2): 3}, 1j, 10**5000, memoryview(b"abcd")[::2], nested(65)],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_carry_is_an_encoding_error(value: Any) -> None:
    with pytest.raises(EncodingError):
        encode(request(params=[value]))


def test_a_value_that_contains_itself_is_an_encoding_error() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(EncodingError):
        encode(request(params=value))


def test_nesting_up_to_the_limit_is_carried() -> None:
    message = request(params=nested(MAX_DEPTH - 1))
    assert decode(b"q", encode(message)) == message
    with pytest.raises(EncodingError):
        encode(request(params=nested(MAX_DEPTH)))


@pytest.mark.parametrize("bomb", [b"[" * 10_000, b'{"a":' * 10_000, b"[" * 10_000 + b"]" * 10_000, b'["\\"",' * 10_000])
def test_a_depth_bomb_is_refused_before_it_is_parsed(bomb: bytes) -> None:
    for kind in BODIES:
        with pytest.raises(DecodingError, match="nested deeper"):
            decode(kind, bomb)


def test_brackets_in_a_string_are_no_depth() -> None:
    text = '[{"\\' * 10_000
    assert is_request(json.dumps({**REQUEST, "params": {"text": text}}).encode())


def model_depth(body: bytes) -> int:
    """How deep the brackets are, read byte by byte."""
    level = deepest = 0
    in_string = escaped = False
    for byte in body.decode("latin-1"):
        if in_string:
            in_string = escaped or byte != '"'
            escaped = byte == "\\" and not escaped
        elif byte == '"':
            in_string = True
        elif byte in "[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in "]}":
            level -= 1
    return deepest


@settings(deadline=None)
@given(st.lists(st.sampled_from([*'[]{}"\\', '\\"', "a", "[" * 50, "{" * 50, '"', "\n"]), max_size=60))
def test_depth_agrees_with_a_reader_that_goes_byte_by_byte(parts: list[str]) -> None:
    body = "".join(parts).encode()
    exact, found = model_depth(body), max(0, depth(body))
    assert found == exact or exact <= found <= MAX_DEPTH


@settings(deadline=None)
@given(st.sampled_from(sorted(BODIES)), st.lists(st.binary(max_size=200), min_size=10, max_size=10))
def test_any_bytes_are_a_message_or_a_decoding_error(kind: bytes, bodies: list[bytes]) -> None:
    for body in bodies:
        try:
            decode(kind, body)
        except DecodingError:
            continue


@settings(deadline=None)
@given(messages, st.sampled_from(sorted(BODIES)), st.data())
def test_nearly_right_json_is_a_message_or_a_decoding_error(message: Message, kind: bytes, data: st.DataObject) -> None:
    body = json.loads(encode(message))
    part = body[data.draw(st.sampled_from(sorted(k for k in body if isinstance(body[k], dict))))]
    where = data.draw(st.sampled_from([body, part]))
    where[data.draw(st.sampled_from([*where, "id"]))] = data.draw(plain)
    try:
        decode(kind, json.dumps(body).encode())
    except DecodingError:
        return


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(DecodingError):
        decode(b"z", b"{}")


@pytest.mark.parametrize(
    "changed",
    [
        {"jsonrpc": "CANARY"},
        {"params": "CANARY"},
        {"CANARY": 1, "id": 2},
        {"treaty": {**REQUEST["treaty"], "headers": {"CANARY": 1}}},
        {"treaty": {**REQUEST["treaty"], "created": "CANARY"}},
    ],
    ids=str,
)
def test_an_error_does_not_repeat_the_content(changed: dict[str, Any]) -> None:
    with pytest.raises(DecodingError) as caught:
        decode(b"q", json.dumps({**REQUEST, **changed}).encode())
    assert "CANARY" not in str(caught.value)


def test_whom_an_answer_is_for_can_be_told_of_what_cannot_be_read() -> None:
    body = msgspec.json.encode({**RESPONSE, "result": msgspec.Raw(b"1e999")})
    with pytest.raises(DecodingError):
        decode(b"r", body)
    assert addressee(body) == "0" * 32
    deep = msgspec.json.encode({**RESPONSE, "result": nested(MAX_DEPTH + 1)})
    for other in (b"", b"\xff", b"{}", b'{"treaty": {"to": 5}}', body[:-1], deep):
        assert addressee(other) == ""
