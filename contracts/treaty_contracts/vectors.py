"""Known-answer frames, so that other languages can check theirs: a key, messages, and the bytes they are sealed into.

``python -m treaty_contracts.vectors`` writes ``vectors.json`` beside this file, from the core. It is part of the wire's
description: a change to it is another version of the wire. It must not know transports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from treaty import DecodingError, FrameRefused, Key, Keyring, Notification, Request, Response, Status, StatusLine
from treaty.codec import decode, encode
from treaty.messages import Cancel, ErrorData, ErrorInfo, Message
from treaty.sealing import PREFIX, refusal

PATH: Final = Path(__file__).with_name("vectors.json")

_CLASSES: Final[dict[str, type[Message]]] = {
    cls.kind.decode(): cls for cls in (Request, Response, Status, Notification, Cancel)
}
_KEY: Final = Key(bytes(range(32)), id=bytes.fromhex("0123456789abcdef"))
_CREATED: Final = 1_790_000_000_000
_ID: Final = "000102030405060708090a0b0c0d0e0f"


class Good(Struct, frozen=True):
    """A frame that every implementation writes so, and reads so."""

    name: str
    frame: bytes
    message: Message


class Bad(Struct, frozen=True):
    """A frame that every implementation refuses, at the same step of the check."""

    name: str
    frame: bytes
    #: Which kinds are expected where it arrives.
    kinds: bytes
    #: One of :data:`treaty.sealing.REASONS`, or ``"body"`` for what is sealed well and says nothing.
    reason: str


class Vectors(Struct, frozen=True):
    """All of them, with the key."""

    key: Key
    good: list[Good]
    bad: list[Bad]

    @property
    def keyring(self) -> Keyring:
        """The keyring that opens the good ones."""
        return Keyring(self.key)


def load(path: Path = PATH) -> Vectors:
    """Read the vectors from a file as :func:`write` makes it."""
    tree = msgspec.json.decode(path.read_bytes())
    return Vectors(
        key=Key.read(tree["key"]),
        good=[
            Good(one["name"], bytes.fromhex(one["frame"]), msgspec.convert(one["message"], _CLASSES[one["kind"]]))
            for one in tree["good"]
        ],
        bad=[
            Bad(one["name"], bytes.fromhex(one["frame"]), one["kinds"].encode(), one["reason"]) for one in tree["bad"]
        ],
    )


def verify(vectors: Vectors) -> list[str]:
    """Return what does not hold: each line names a vector and what the core makes of it."""
    ring = vectors.keyring
    found = []
    for good in vectors.good:
        opened = ring.open(good.frame, good.message.kind)
        if decode(opened.kind, opened.body) != good.message:
            found.append(f"{good.name}: means something else")
        if ring.seal(good.message.kind, encode(good.message)) != good.frame:
            found.append(f"{good.name}: is written in another way")
    found += [
        f"{bad.name}: {outcome} instead of {bad.reason}"
        for bad in vectors.bad
        if (outcome := _outcome(ring, bad)) != bad.reason
    ]
    return found


def make() -> Vectors:
    """Make the vectors anew."""
    ring = Keyring(_KEY)
    good = [Good(name, ring.seal(message.kind, encode(message)), message) for name, message in _messages().items()]
    frames = {one.name: one.frame for one in good}
    return Vectors(_KEY, good, _bad(ring, frames["request by name"]))


def write(path: Path = PATH) -> None:
    """Write the vectors to a file."""
    made = make()
    tree = {
        "about": "Known-answer frames of the Treaty wire, version 1. Frames and key ids are hexadecimal.",
        "key": made.key.text(),
        "good": [
            {
                "name": one.name,
                "kind": one.message.kind.decode(),
                "message": msgspec.to_builtins(one.message),
                "frame": one.frame.hex(),
            }
            for one in made.good
        ],
        "bad": [
            {"name": one.name, "kinds": one.kinds.decode(), "reason": one.reason, "frame": one.frame.hex()}
            for one in made.bad
        ],
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(tree), indent=2) + b"\n")


def _messages() -> dict[str, Message]:
    to, sender = "00112233445566778899aabbccddeeff", "0badc0de0badc0de"
    asked: dict[str, Any] = {"id": _ID, "created": _CREATED, "ttl": 10_000, "sender": sender}
    answered: dict[str, Any] = {"id": _ID, "to": to, "created": _CREATED + 5, "sender": sender}
    fault = ErrorInfo(
        code=-32000,
        message="none left",
        data=ErrorData(type="inventory.out-of-stock", fields={"left": 0}, args=["none left"], error_id="0123456789ab"),
    )
    return {
        "request by name": Request(method="slow.echo", params={"text": "hi"}, **asked),
        "request by position": Request(method="slow.echo", params=["hi", 1, 1.5, None, True], **asked),
        "request with everything": Request(
            method="slow.echo", params={"text": "\x00 é ✓ 😀"}, reply="line-1", headers={"trace": "42"}, **asked
        ),
        "request one way": Request(method="slow.echo", params={}, one_way=True, **asked),
        "response with a result": Response(status=StatusLine(), result={"RETURN_DATA": "hi"}, **answered),
        "response with null": Response(status=StatusLine(code=204, reason="No Content"), took=1.5, **answered),
        "response with an error": Response(
            status=StatusLine(code=409, reason="Conflict"), error=fault, headers={"retry": "no"}, **answered
        ),
        "response to what could not be read": Response(
            status=StatusLine(code=400, reason="Bad Request"),
            error=ErrorInfo(code=-32600, message="no JSON"),
            **{**answered, "id": ""},
        ),
        "status": Status(seq=1, code=102, reason="half way", progress=0.5, **answered),
        "notification": Notification(topic="storage.Host.created", data={"address": "10.0.0.1"}, **asked),
        "cancel": Cancel(service="slow", **asked),
    }


def _bad(ring: Keyring, good: bytes) -> list[Bad]:
    def changed(at: int, to: bytes) -> bytes:
        return good[:at] + to + good[at + len(to) :]

    stranger = Keyring(Key(bytes(range(1, 33)), id=_KEY.id))
    body = good[PREFIX:]
    reflected = ring.open(good, b"q").body
    fixed = refusal(good)
    assert fixed is not None
    return [
        Bad("empty", b"", b"qc", "size"),
        Bad("a prefix and no body", good[:PREFIX], b"qc", "size"),
        Bad("a refusal", fixed, b"qc", "size"),
        Bad("another magic", changed(0, b"XY"), b"qc", "magic"),
        Bad("another version", changed(2, b"\x02"), b"qc", "version"),
        Bad("an unknown key", changed(4, bytes(8)), b"qc", "key"),
        Bad("another secret under the same id", stranger.seal(b"q", body), b"qc", "tag"),
        Bad("one bit of the body changed", good[:-1] + bytes([good[-1] ^ 1]), b"qc", "tag"),
        Bad("one bit of the tag changed", changed(12, bytes([good[12] ^ 128])), b"qc", "tag"),
        Bad("cut by one byte", good[:-1], b"qc", "tag"),
        Bad("one byte longer", good + b" ", b"qc", "tag"),
        Bad("the kind changed to response", changed(3, b"r"), b"rs", "tag"),
        Bad("the kind changed to an unknown one", changed(3, b"z"), b"qc", "kind"),
        Bad("a request where answers are expected", good, b"rs", "kind"),
        Bad("a response where requests are expected", ring.seal(b"r", reflected), b"qc", "kind"),
        Bad("no JSON", ring.seal(b"q", b"{"), b"qc", "body"),
        Bad("not UTF-8", ring.seal(b"q", body.replace(b"hi", b"\xff\xfe")), b"qc", "body"),
        Bad("another JSON-RPC", ring.seal(b"q", body.replace(b'"2.0"', b'"1.0"')), b"qc", "body"),
        Bad("no extension member", ring.seal(b"q", body.replace(b'"treaty"', b'"x"')), b"qc", "body"),
        Bad("too deep", ring.seal(b"q", b"[" * 100 + b"]" * 100), b"qc", "body"),
    ]


def _outcome(ring: Keyring, bad: Bad) -> str:
    try:
        opened = ring.open(bad.frame, bad.kinds)
        decode(opened.kind, opened.body)
    except FrameRefused as refused:
        return refused.reason
    except DecodingError:
        return "body"
    return "accepted"


def main(say: Callable[[str], object] = sys.stdout.write) -> None:
    """Write the file and say so."""
    write()
    say(f"{PATH}: {len(make().good)} good and {len(make().bad)} bad frames\n")


if __name__ == "__main__":
    main()
