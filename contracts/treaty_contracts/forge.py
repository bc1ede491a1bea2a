"""Frames made by hand, for rules that play one of the two ends themselves: good ones, bad ones, and odd ones.

It uses the core's own codec and seals, so that a probe differs from a good frame in one point and no other. It must
not know transports.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from treaty import Keyring, Notification, Request, Response, Status, StatusLine
from treaty.codec import decode, encode
from treaty.messages import Message
from treaty.sealing import PREFIX, tag_of


def now() -> int:
    """Return the present, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def request(target: str, params: Any = None, *, reply: str = "", age: float = 0.0, ttl: float = 10.0) -> Request:
    """Make a request that was sent ``age`` seconds ago."""
    return Request(
        id=os.urandom(16).hex(),
        method=target,
        params={} if params is None else params,
        created=now() - round(age * 1000),
        ttl=round(ttl * 1000),
        sender="contract",
        reply=reply,
    )


def sealed(keyring: Keyring, message: Message, extra: Mapping[str, Any] | None = None) -> bytes:
    """Seal a message, with members that no version knows, if any: at the top, in ``treaty`` and in ``error``."""
    body = encode(message)
    if extra:
        tree = msgspec.json.decode(body)
        for part in (tree, tree["treaty"], tree.get("error") or {}):
            part.update(extra)
        body = msgspec.json.encode(tree)
    return keyring.seal(type(message).kind, body)


def opened(keyring: Keyring, frame: bytes, kinds: bytes = b"qrsnc") -> Message:
    """Open a frame, or raise what the core raises."""
    found = keyring.open(frame, kinds)
    return decode(found.kind, found.body)


def asked(keyring: Keyring, frame: bytes) -> Any:
    """Open the frame of a request."""
    message = opened(keyring, frame, b"q")
    assert isinstance(message, Request)
    return message


def answer(question: bytes, value: Any, keyring: Keyring) -> Response:
    """Make the answer to a request's frame."""
    message = asked(keyring, question)
    return Response(
        id=message.id, to=_to(question), status=StatusLine(), sender="contract", created=now(), result=value
    )


def news(question: bytes, reason: str, keyring: Keyring, *, seq: int = 1) -> Status:
    """Make a status message about a request's frame."""
    message = asked(keyring, question)
    return Status(id=message.id, to=_to(question), seq=seq, code=102, reason=reason, sender="contract", created=now())


def notification(topic: str, data: Any) -> Notification:
    """Make a notification."""
    return Notification(id=os.urandom(16).hex(), topic=topic, data=data, created=now(), ttl=60_000, sender="contract")


def damaged(good: bytes) -> dict[str, bytes]:
    """Return frames that are wrong in one point each, by what is wrong."""
    flipped = bytearray(good)
    flipped[-1] ^= 1
    return {
        "one byte": b"\x00",
        "random bytes": bytes(range(255, 0, -1)),
        "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "prefix alone": good[:PREFIX],
        "cut in the prefix": good[: PREFIX // 2],
        "cut in the body": good[:-1],
        "one byte longer": good + b" ",
        "one bit of the body changed": bytes(flipped),
        "another version": good[:2] + b"\x02" + good[3:],
        "unknown kind": good[:3] + b"z" + good[4:],
        "a response where requests go": good[:3] + b"r" + good[4:],
        "unknown key": good[:4] + bytes(range(1, 9)) + good[12:],
    }


def _to(question: bytes) -> str:
    return tag_of(question)[:16].hex()
