"""A small world for the core's tests: keys, the present, and the two ends of the conversation."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from typing import Any

from treaty import Key, Keyring
from treaty.engine import Answerer, Caller, Instant, Run
from treaty.guard import Guard
from treaty.routing import HandlerTable

ROOT = bytes(range(32))
KEY = Key(ROOT, id=b"\x01" * 8)
OTHER_KEY = Key(bytes(range(32, 64)), id=b"\x02" * 8)
KEYRING = Keyring(KEY)
NOW = Instant(wall=1_790_000_000_000, steady=1000.0)
ADDRESS = "line-1"


def tagged(root: bytes, head: bytes, body: bytes, kind: bytes = b"") -> bytes:
    """A frame with this head (magic, version, kind and key id), sealed as RFC 5869 and RFC 2104 say, written out anew."""
    directions = {b"q": b"request", b"c": b"request", b"r": b"response", b"s": b"response", b"n": b"notification"}
    label = b"treaty frame v1\x00"
    direction = directions.get(kind or head[3:4], b"request")
    pseudorandom = hmac.new(bytes(32), root, hashlib.sha256).digest()
    key = hmac.new(pseudorandom, label + head[4:] + b"\x00" + direction + b"\x01", hashlib.sha256).digest()
    return head + hmac.new(key, label + head + body, hashlib.sha256).digest() + body


def later(seconds: float, since: Instant = NOW) -> Instant:
    """The present, some seconds on."""
    return Instant(since.wall + round(seconds * 1000), since.steady + seconds)


def numbers(seed: int = 0) -> Callable[[int], bytes]:
    """Random bytes that are the same in each run."""
    return random.Random(seed).randbytes


def echo(message: object, text: str = "NO DATA") -> str:
    return text


def caller(**options: Any) -> Caller:
    return Caller(options.pop("keyring", KEYRING), sender="caller", random=numbers(), **options)


def answerer(**options: Any) -> Answerer:
    table = HandlerTable({"echo": echo})
    name, keys = options.pop("service", "slow"), options.pop("keyring", KEYRING)
    return Answerer(name, keys, table, sender="answerer", guard=options.pop("guard", Guard(1000)), **options)


def run(end: Answerer, frame: bytes, now: Instant = NOW) -> Run:
    """Give a frame to the answerer, which must want to run a handler."""
    asked = end.receive(frame, now=now, reply_to=ADDRESS)
    assert isinstance(asked, Run), asked
    return asked
