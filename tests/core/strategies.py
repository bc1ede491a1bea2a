"""What Hypothesis draws for the core: a strategy for each message, and for what may stand inside one."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from treaty import Notification, Request, Response, Status, StatusLine
from treaty.messages import Cancel, ErrorData, ErrorInfo, Message
from treaty_contracts.alphabet import CHARACTERS

#: What JSON can carry and gives back unchanged.
plain: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS, max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS, max_size=10), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(CHARACTERS, max_size=10), plain, max_size=4)
params: SearchStrategy[dict[str, Any] | list[Any]] = objects | st.lists(plain, max_size=4)
headers = st.dictionaries(st.text(CHARACTERS, max_size=10), st.text(CHARACTERS, max_size=20), max_size=3)

identifiers = st.text(CHARACTERS, min_size=1, max_size=64)
addresses = st.text(CHARACTERS, max_size=255)
milliseconds = st.integers(0, 2**53)
status_codes = st.integers(100, 599)
tags = st.binary(min_size=16, max_size=16).map(bytes.hex)
tokens = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)

status_lines = st.builds(StatusLine, code=status_codes, reason=st.text(CHARACTERS, max_size=20))
error_data = st.builds(
    ErrorData,
    type=st.text(CHARACTERS, max_size=20),
    fields=objects,
    args=st.lists(plain, max_size=3),
    error_id=st.text(CHARACTERS, max_size=12),
)
error_infos = st.builds(
    ErrorInfo, code=st.integers(-(2**31), 2**31), message=st.text(CHARACTERS, max_size=40), data=error_data
)

requests = st.builds(
    Request,
    id=identifiers,
    method=st.text(CHARACTERS, max_size=40),
    params=params,
    created=milliseconds,
    ttl=milliseconds,
    sender=addresses,
    reply=addresses,
    headers=headers,
    one_way=st.booleans(),
)


@st.composite
def responses(draw: st.DrawFn) -> Response:
    failed = draw(st.booleans())
    return Response(
        id=draw(st.just("") | identifiers),
        to=draw(tags),
        status=draw(status_lines),
        sender=draw(addresses),
        created=draw(milliseconds),
        result=None if failed else draw(plain),
        error=draw(error_infos) if failed else None,
        headers=draw(headers),
        took=draw(st.floats(0, 1e9)),
    )


statuses = st.builds(
    Status,
    id=identifiers,
    to=tags,
    seq=st.integers(1, 2**31),
    code=status_codes,
    reason=st.text(CHARACTERS, max_size=20),
    progress=st.none() | st.floats(0, 1),
    sender=addresses,
    created=milliseconds,
)
notifications = st.builds(
    Notification,
    id=identifiers,
    topic=st.text(CHARACTERS, max_size=40),
    data=plain,
    created=milliseconds,
    ttl=milliseconds,
    sender=addresses,
)
cancels = st.builds(
    Cancel,
    id=identifiers,
    service=st.text(CHARACTERS, max_size=40),
    created=milliseconds,
    ttl=milliseconds,
    sender=addresses,
)

#: A new kind of message must enter here: a test compares the keys with the members of the union.
MESSAGES: dict[type, SearchStrategy[Any]] = {
    Request: requests,
    Response: responses(),
    Status: statuses,
    Notification: notifications,
    Cancel: cancels,
}
messages: SearchStrategy[Message] = st.one_of(*MESSAGES.values())

lost_numbers = st.sampled_from([math.nan, math.inf, -math.inf])


@st.composite
def buried(draw: st.DrawFn, core: SearchStrategy[Any]) -> Any:
    """Something drawn from ``core`` somewhere inside a value that JSON can otherwise carry."""
    value = draw(core)
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            value = [*draw(st.lists(plain, max_size=2)), value, *draw(st.lists(plain, max_size=2))]
        else:
            value = {**draw(objects), draw(st.text(CHARACTERS, max_size=5)): value}
    return value


@st.composite
def damaged(draw: st.DrawFn, frame: bytes) -> bytes:
    """Another frame: one byte or stretch of ``frame`` was changed, cut, moved, inserted, deleted or swapped."""
    at = draw(st.integers(0, len(frame) - 1))
    other = draw(st.integers(0, len(frame) - 1))
    low, high = sorted((at, other))
    some = draw(st.binary(min_size=1, max_size=8))
    how = draw(st.sampled_from(["change", "cut", "behead", "move", "insert", "delete", "swap", "append", "repeat"]))
    match how:
        case "change":
            result = frame[:at] + bytes([frame[at] ^ draw(st.integers(1, 255))]) + frame[at + 1 :]
        case "cut":
            result = frame[:at]
        case "behead":
            result = frame[at + 1 :]
        case "move":
            rest = frame[:at] + frame[at + 1 :]
            result = rest[:other] + frame[at : at + 1] + rest[other:]
        case "insert":
            result = frame[:at] + some + frame[at:]
        case "delete":
            result = frame[:low] + frame[high + 1 :]
        case "swap":
            swapped = bytearray(frame)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            result = bytes(swapped)
        case "append":
            result = frame + some
        case _:
            result = frame[:high] + frame[low:high] + frame[high:]
    return result
