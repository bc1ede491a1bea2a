"""What lies in a list of Redis."""

from __future__ import annotations

import json
from collections.abc import Callable

from treaty import Transport
from treaty_kombu.envelope import pack, unpack

from .outside import Connection, Redis


def test_kombu_can_read_what_lies_in_a_list(redis_broker: Redis, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(redis_broker.url)
    with transport.serve("echo"), transport.dial() as line:
        line.send("echo", b"\x00frame", 5)
        with Connection(redis_broker.url.removeprefix("kombu+")) as connection:
            message = connection.default_channel.basic_get(f"{prefix}.service.echo", no_ack=True)
            assert message.body == b"\x00frame"
            assert message.properties["reply_to"] == line.address


def test_the_envelope_reads_only_what_it_wrote() -> None:
    packed = pack(b"frame", "", "q", "r")
    arrived = unpack(packed, 100)
    assert arrived is not None
    assert (arrived.frame, arrived.reply_to) == (b"frame", "r")
    assert unpack(packed, 4) is None
    message = json.loads(packed)
    for change in (
        {"content-type": "application/json"},
        {"body": "not base64!"},
        {"body": None},
        {"properties": {**message["properties"], "reply_to": 7}},
        {"properties": {**message["properties"], "body_encoding": "utf-8"}},
        {"properties": None},
    ):
        assert unpack(json.dumps({**message, **change}).encode(), 100) is None
