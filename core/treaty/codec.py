"""Messages to bytes and back: one JSON-RPC 2.0 object each, UTF-8, with the extension member ``treaty``.

``docs/wire.md`` describes the bytes. This room must not know about seals, handlers or time. Decoding is strict and
typed; unknown members are ignored; data formats only, nothing on the wire can name a class.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from treaty.errors import DecodingError, EncodingError
from treaty.messages import (
    Address,
    Cancel,
    ErrorInfo,
    Identifier,
    Message,
    Milliseconds,
    Notification,
    Params,
    Request,
    Response,
    Status,
    StatusCode,
    StatusLine,
    TagPrefix,
)
from treaty.values import part, write

#: The deepest nesting of arrays and objects in a body.
MAX_DEPTH: Final = 64


class RequestMeta(Struct, omit_defaults=True, kw_only=True):
    """What JSON-RPC lacks in a request. ``id`` is there only when the request is one-way, as JSON-RPC then has none."""

    created: Milliseconds
    ttl: Milliseconds
    sender: Address
    reply: Address = ""
    headers: dict[str, str] = {}
    id: str = ""


class RequestBody(Struct, omit_defaults=True, kw_only=True):
    """Kind ``q``: a JSON-RPC 2.0 request object, or a JSON-RPC notification when it is one-way."""

    jsonrpc: Literal["2.0"]
    id: Identifier | UnsetType = UNSET
    method: str
    params: Params = {}
    treaty: RequestMeta


class ResponseMeta(Struct, omit_defaults=True, kw_only=True):
    """What JSON-RPC lacks in a response."""

    status: StatusLine
    to: TagPrefix
    sender: Address
    created: Milliseconds
    headers: dict[str, str] = {}
    took: float = 0.0


class ResponseBody(Struct, kw_only=True):
    """Kind ``r``: a JSON-RPC 2.0 response object with either ``result`` or ``error``; ``id`` is null when the request
    could not be read (section 5 of its specification).
    """

    jsonrpc: Literal["2.0"]
    id: Identifier | None
    result: Any | UnsetType = UNSET
    error: ErrorInfo | UnsetType = UNSET
    treaty: ResponseMeta


class StatusParams(Struct, omit_defaults=True, kw_only=True):
    """The news itself."""

    id: Identifier
    seq: int
    code: StatusCode
    reason: str = ""
    progress: float | None = None


class StatusMeta(Struct, kw_only=True):
    """Which request this is about, and who says so."""

    to: TagPrefix
    sender: Address
    created: Milliseconds


class StatusBody(Struct, kw_only=True):
    """Kind ``s``: a JSON-RPC notification."""

    jsonrpc: Literal["2.0"]
    method: Literal["$/status"]
    params: StatusParams
    treaty: StatusMeta


class NotificationParams(Struct, kw_only=True):
    """Topic and data."""

    topic: str
    data: Any


class StampMeta(Struct, kw_only=True):
    """Freshness, for what is not answered."""

    id: Identifier
    created: Milliseconds
    ttl: Milliseconds
    sender: Address


class NotificationBody(Struct, kw_only=True):
    """Kind ``n``: a JSON-RPC notification."""

    jsonrpc: Literal["2.0"]
    method: Literal["$/notify"]
    params: NotificationParams
    treaty: StampMeta


class CancelParams(Struct, kw_only=True):
    """Which service is to stop working on a request."""

    service: str


class CancelBody(Struct, kw_only=True):
    """Kind ``c``: a JSON-RPC notification; ``treaty.id`` is the id of the request."""

    jsonrpc: Literal["2.0"]
    method: Literal["$/cancel"]
    params: CancelParams
    treaty: StampMeta


#: What stands in a frame of each kind, for the published JSON Schema.
BODIES: Final[dict[bytes, type[Struct]]] = {
    b"q": RequestBody,
    b"r": ResponseBody,
    b"s": StatusBody,
    b"n": NotificationBody,
    b"c": CancelBody,
}

_ENCODER: Final = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """Write a message as JSON-RPC.

    Values may be whatever msgspec can write as JSON: the JSON types, structs, dataclasses, enums, dates, UUIDs,
    decimals, bytes (as base64) and ``msgspec.Raw`` (as it stands, when that is JSON).

    Raises:
        EncodingError: there is something in the message that JSON cannot carry.
    """
    try:
        encoded = _ENCODER.encode(_TO_WIRE[type(message)](message))
    except EncodingError:
        raise
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise EncodingError(f"cannot be written as JSON: {error}") from error
    if depth(encoded) > MAX_DEPTH:
        raise EncodingError(f"nested deeper than {MAX_DEPTH} levels")
    return encoded


def carries(value: Any) -> bool:
    """Whether a message may hold this value, a few levels below its top."""
    try:
        return depth(write(value)) <= MAX_DEPTH - 8
    except EncodingError:
        return False


def decode(kind: bytes, body: bytes) -> Message:
    """Read a message of the given kind (a frame's fourth byte).

    Raises:
        DecodingError: malformed, of another shape, or nested too deeply. The text never repeats the content.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise DecodingError("a kind of message that this version does not know")
    if depth(body) > MAX_DEPTH:
        raise DecodingError(f"nested deeper than {MAX_DEPTH} levels")
    decoder, build = reader
    try:
        return build(decoder.decode(body))
    except RecursionError:
        raise DecodingError(f"nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        # Of msgspec's texts one repeats what was read, between single quotes: "Invalid enum value 'x'".
        text = _QUOTED.sub("", str(error)) if isinstance(error, msgspec.ValidationError) else str(error)
        raise DecodingError(f"not a message of kind {kind.decode('ascii')!r}: {text}") from error


class _Addressed(Struct):
    class Meta(Struct):
        to: TagPrefix

    treaty: Meta


_ADDRESSED: Final = msgspec.json.Decoder(_Addressed)


def addressee(body: bytes) -> str:
    """Return which request a body answers that :func:`decode` cannot read, or ``""`` if not even that can be told."""
    try:
        return _ADDRESSED.decode(body).treaty.to if depth(body) <= MAX_DEPTH else ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


_QUOTED: Final = re.compile(r" '.*'", re.DOTALL)
_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")


def depth(body: bytes) -> int:
    """Return how deeply arrays and objects are nested in JSON text, or an upper bound that is within the limit.

    Needs no parser: it is what keeps a deep body away from the parser.
    """
    opened = body.count(b"[") + body.count(b"{")
    if opened <= MAX_DEPTH:
        return opened
    steps = array("b", _STRINGS.sub(b"", body).translate(_STEPS, _NOT_BRACKETS))
    return max(accumulate(steps), default=0)


def _request_to_wire(message: Request) -> RequestBody:
    return RequestBody(
        jsonrpc="2.0",
        id=UNSET if message.one_way else message.id,
        method=message.method,
        params=part(message.params) if message.params else message.params,
        treaty=RequestMeta(
            created=message.created,
            ttl=message.ttl,
            sender=message.sender,
            reply=message.reply,
            headers=message.headers,
            id=message.id if message.one_way else "",
        ),
    )


def _request_from_wire(body: RequestBody) -> Request:
    meta = body.treaty
    one_way = body.id is UNSET
    identifier = meta.id if body.id is UNSET else body.id
    if not identifier:
        raise DecodingError("not a message of kind 'q': there is no id")
    return Request(
        id=identifier,
        method=body.method,
        params=body.params,
        created=meta.created,
        ttl=meta.ttl,
        sender=meta.sender,
        reply=meta.reply,
        headers=meta.headers,
        one_way=one_way,
    )


def _response_to_wire(message: Response) -> ResponseBody:
    return ResponseBody(
        jsonrpc="2.0",
        id=message.id or None,
        result=UNSET if message.error else part(message.result),
        error=part(message.error) if message.error else UNSET,
        treaty=ResponseMeta(
            status=message.status,
            to=message.to,
            sender=message.sender,
            created=message.created,
            headers=message.headers,
            took=part(message.took),
        ),
    )


def _response_from_wire(body: ResponseBody) -> Response:
    if (body.result is UNSET) is (body.error is UNSET):
        raise DecodingError("not a message of kind 'r': exactly one of result and error must be there")
    meta = body.treaty
    return Response(
        id=body.id or "",
        to=meta.to,
        status=meta.status,
        sender=meta.sender,
        created=meta.created,
        result=None if body.result is UNSET else body.result,
        error=None if body.error is UNSET else body.error,
        headers=meta.headers,
        took=meta.took,
    )


def _status_to_wire(message: Status) -> StatusBody:
    return StatusBody(
        jsonrpc="2.0",
        method="$/status",
        params=StatusParams(
            id=message.id, seq=message.seq, code=message.code, reason=message.reason, progress=part(message.progress)
        ),
        treaty=StatusMeta(to=message.to, sender=message.sender, created=message.created),
    )


def _status_from_wire(body: StatusBody) -> Status:
    news, meta = body.params, body.treaty
    return Status(
        id=news.id,
        to=meta.to,
        seq=news.seq,
        code=news.code,
        reason=news.reason,
        progress=news.progress,
        sender=meta.sender,
        created=meta.created,
    )


def _stamp(message: Notification | Cancel) -> StampMeta:
    return StampMeta(id=message.id, created=message.created, ttl=message.ttl, sender=message.sender)


def _notification_to_wire(message: Notification) -> NotificationBody:
    params = NotificationParams(topic=message.topic, data=part(message.data))
    return NotificationBody(jsonrpc="2.0", method="$/notify", params=params, treaty=_stamp(message))


def _notification_from_wire(body: NotificationBody) -> Notification:
    meta = body.treaty
    return Notification(
        id=meta.id,
        topic=body.params.topic,
        data=body.params.data,
        created=meta.created,
        ttl=meta.ttl,
        sender=meta.sender,
    )


def _cancel_to_wire(message: Cancel) -> CancelBody:
    params = CancelParams(service=message.service)
    return CancelBody(jsonrpc="2.0", method="$/cancel", params=params, treaty=_stamp(message))


def _cancel_from_wire(body: CancelBody) -> Cancel:
    meta = body.treaty
    return Cancel(id=meta.id, service=body.params.service, created=meta.created, ttl=meta.ttl, sender=meta.sender)


_TO_WIRE: Final[dict[type, Callable[[Any], Struct]]] = {
    Request: _request_to_wire,
    Response: _response_to_wire,
    Status: _status_to_wire,
    Notification: _notification_to_wire,
    Cancel: _cancel_to_wire,
}

_FROM_WIRE: Final[dict[bytes, Callable[[Any], Message]]] = {
    b"q": _request_from_wire,
    b"r": _response_from_wire,
    b"s": _status_from_wire,
    b"n": _notification_from_wire,
    b"c": _cancel_from_wire,
}

_READERS: Final[dict[bytes, tuple[msgspec.json.Decoder[Any], Callable[[Any], Message]]]] = {
    kind: (msgspec.json.Decoder(body), _FROM_WIRE[kind]) for kind, body in BODIES.items()
}
