"""Cores that are broken where messages are read and notifications heard: no transport could do what these do.

Each has one defect and no other. It must not know rules.
"""

# ruff: noqa: SLF001 - a core is broken from inside

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

import treaty.codec as codec_module
import treaty.engine.answerer as answerer_module
import treaty.notices as notices_module
from treaty import DecodingError, Request, Subscription
from treaty.codec import decode
from treaty.engine import Answerer
from treaty.guard import Admission
from treaty_contracts.zoo.animals import broken_core
from treaty_contracts.zoo.patching import patched


@broken_core("sends-no-sender", kills=("WIRE-001",), shows="a sender")
def sends_no_sender() -> Iterator[None]:
    """An answer does not say which instance it is of."""
    before = Answerer.__init__

    def init(self: Answerer, *args: Any, **more: Any) -> None:
        before(self, *args, **{**more, "sender": ""})

    with patched(Answerer, "__init__", init):
        yield


@broken_core("rejects-unknown-members", kills=("WIRE-002",), shows="the result of a request with unknown members")
def rejects_unknown_members() -> Iterator[None]:
    """A request with a member that this version does not know is malformed."""

    def strict(kind: bytes, body: bytes) -> Any:
        if not {"jsonrpc", "id", "method", "params", "treaty"} >= msgspec.json.decode(body, type=dict[str, Any]).keys():
            raise DecodingError("an unknown member")
        return decode(kind, body)

    with patched(answerer_module, "decode", strict):
        yield


@broken_core("forgets-headers", kills=("WIRE-003",), shows="what 'request with everything' means")
def forgets_headers() -> Iterator[None]:
    """The headers of a request are not read."""
    decoder, build = codec_module._READERS[b"q"]

    def bare(body: Any) -> Any:
        message = build(body)
        assert isinstance(message, Request)
        return msgspec.structs.replace(message, headers={})

    with patched(codec_module, "_READERS", {**codec_module._READERS, b"q": (decoder, bare)}):
        yield


@broken_core("keeps-listening", kills=("NOTE-003",), shows="the one that was closed hears")
def keeps_listening() -> Iterator[None]:
    """Closing a subscription does nothing."""
    with patched(Subscription, "close", lambda self: None):  # noqa: ARG005 - that is the defect
        yield


@broken_core("hears-replays", kills=("NOTE-007",), shows="what is heard after the first was published again")
def hears_replays() -> Iterator[None]:
    """A subscriber does not remember the ids of what it heard."""

    class Forgetful:
        def admit(self, *_: object) -> Admission:
            return Admission.NEW

    with patched(notices_module, "Guard", Forgetful):
        yield


@broken_core("unsubscribes-on-raise", kills=("NOTE-008",), shows="a notification that was published is heard")
def unsubscribes_on_raise() -> Iterator[None]:
    """A callback that raises ends its subscription."""
    before = Subscription._hand_over

    def hand_over(self: Subscription, notification: Any) -> None:
        callback = self._callback

        def watched(heard: Any) -> None:
            assert callback is not None
            try:
                callback(heard)
            except Exception:
                self._closed = True
                raise

        if callback is None:
            before(self, notification)
            return
        self._callback = watched
        try:
            before(self, notification)
        finally:
            self._callback = callback

    with patched(Subscription, "_hand_over", hand_over):
        yield


@broken_core("patterns-are-prefixes", kills=("NOTE-004",), shows="hears after")
def patterns_are_prefixes() -> Iterator[None]:
    """A topic fits a pattern when it begins with what stands before the first wildcard."""

    def matches(pattern: str, topic: str) -> bool:
        return topic.startswith(pattern.partition("*")[0].partition("#")[0].rstrip("."))

    with patched(notices_module, "matches", matches):
        yield
