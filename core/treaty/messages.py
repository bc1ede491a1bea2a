"""The messages: what two ends say to each other, as frozen, keyword-only records.

This room must not know how a message is written on the wire (codec), who may read it (sealing) or what it is for
(engine). Times are integers in milliseconds: ``created`` since the Unix epoch by the sender's clock, ``ttl`` from then.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from msgspec import Meta, Struct

#: What JSON-RPC 2.0 allows as parameters: by name or by position (section 4.2 of its specification).
Params: TypeAlias = dict[str, Any] | list[Any]

#: A message id: 128 random bits in hexadecimal where Treaty makes it.
Identifier: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
#: A name of a sender, or an address: opaque here.
Address: TypeAlias = Annotated[str, Meta(max_length=255)]
#: Milliseconds.
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
#: An HTTP-like status code (RFC 9110, section 15).
StatusCode: TypeAlias = Annotated[int, Meta(ge=100, le=599)]
#: The first 16 bytes of a request's tag, in hexadecimal: binds an answer to its question.
TagPrefix: TypeAlias = Annotated[str, Meta(min_length=32, max_length=32)]


def reason_for(code: int) -> str:
    """Return the usual text for an HTTP-like status code, or ``""`` where there is none."""
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Client Closed Request" if code == 499 else ""


class StatusLine(Struct, frozen=True, kw_only=True):
    """An HTTP-like status code with its text."""

    code: StatusCode = 200
    reason: str = "OK"


class ErrorData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a JSON-RPC error carries besides code and message."""

    #: A registered error code such as ``"inventory.out-of-stock"``, or the name of an exception class.
    type: str = ""
    #: The public attributes of the exception.
    fields: dict[str, Any] = {}
    #: Its positional arguments, where they are not just the message.
    args: list[Any] = []
    #: Under which id the service logged the traceback.
    error_id: str = ""


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """A JSON-RPC 2.0 error object (section 5.1 of its specification)."""

    code: int
    message: str
    data: ErrorData = ErrorData()


class Request(Struct, frozen=True, kw_only=True):
    """A question to a service: run ``method`` with ``params``, and answer unless ``one_way``."""

    kind: ClassVar[bytes] = b"q"

    id: Identifier
    #: ``service.method``
    method: str
    params: Params
    created: Milliseconds
    ttl: Milliseconds
    sender: Address
    #: Where the answer goes; empty: on the asking connection.
    reply: Address = ""
    headers: dict[str, str] = {}
    one_way: bool = False

    @property
    def service(self) -> str:
        """The part of ``method`` before the first dot."""
        return self.method.partition(".")[0]

    @property
    def name(self) -> str:
        """The part of ``method`` after the first dot."""
        return self.method.partition(".")[2]


class Response(Struct, frozen=True, kw_only=True):
    """The one and only answer to a request: a result, or an error."""

    kind: ClassVar[bytes] = b"r"

    #: The id of the request; empty when the request could not be read.
    id: str
    to: TagPrefix
    status: StatusLine
    sender: Address
    created: Milliseconds
    result: Any = None
    error: ErrorInfo | None = None
    headers: dict[str, str] = {}
    #: How long the handler ran, in milliseconds by the service's clock.
    took: float = 0.0


class Status(Struct, frozen=True, kw_only=True):
    """News of a call that is still running."""

    kind: ClassVar[bytes] = b"s"

    #: The id of the request.
    id: Identifier
    to: TagPrefix
    #: 1 for the first status of a call, then one more each.
    seq: Annotated[int, Meta(ge=1)]
    code: StatusCode
    reason: str = ""
    #: Between 0 and 1 by convention; ``None`` when unknown.
    progress: float | None = None
    sender: Address
    created: Milliseconds


class Notification(Struct, frozen=True, kw_only=True):
    """Something that happened, for whoever listens to the channel."""

    kind: ClassVar[bytes] = b"n"

    id: Identifier
    #: ``channel.topic``, where the topic may have dots of its own.
    topic: str
    data: Any
    created: Milliseconds
    ttl: Milliseconds
    sender: Address


class Cancel(Struct, frozen=True, kw_only=True):
    """The caller has given up: the service may stop, and need not start."""

    kind: ClassVar[bytes] = b"c"

    #: The id of the request.
    id: Identifier
    service: str
    created: Milliseconds
    ttl: Milliseconds
    sender: Address


Message: TypeAlias = Request | Response | Status | Notification | Cancel

#: The kind of a refusal, which has no message inside: it names the tag that was refused, and nothing else.
REFUSAL: Final = b"x"
