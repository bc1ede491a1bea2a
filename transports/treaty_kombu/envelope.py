"""How a frame lies in a Redis list or travels through a Redis channel: the JSON that kombu itself writes and reads.

Only the body, our content type and the reply address are read; every other header is ignored. It must not know about
connections.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from .link import CONTENT_TYPE, Arrived


def pack(frame: bytes, exchange: str, queue: str, reply_to: str = "") -> bytes:
    """A message as kombu's consumers expect it."""
    properties = {
        "body_encoding": "base64",
        "delivery_info": {"exchange": exchange, "routing_key": queue},
        "delivery_mode": 1,
        "delivery_tag": "",
        "priority": 0,
        "reply_to": reply_to,
    }
    head = json.dumps(
        {"content-type": CONTENT_TYPE, "content-encoding": "binary", "headers": {}, "properties": properties}
    )
    # The body goes in by hand: base64 needs no escaping, and the encoder would look at each of its characters.
    return b'%s, "body": "%s"}' % (head[:-1].encode(), b64encode(frame))


def unpack(data: bytes, limit: int) -> Arrived | None:
    """The frame and where it wants its replies; ``None`` for anything that :func:`pack` did not write."""
    try:
        message = json.loads(data)
        properties = message["properties"]
        if message["content-type"] != CONTENT_TYPE or properties["body_encoding"] != "base64":
            return None
        reply_to = properties.get("reply_to") or ""
        frame = b64decode(message["body"], validate=True)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    if not isinstance(reply_to, str) or len(frame) > limit:
        return None
    return Arrived(frame, reply_to)
