"""Every error that Treaty raises, and the table code - status - class.

This room knows nothing about messages, transports or clocks. The tree::

    TreatyError
    ├── ConfigurationError          the program or a setting is wrong; no message was involved
    │   ├── InvalidURL              a transport address that cannot be read
    │   ├── UnknownScheme           no installed transport answers to the URL's scheme
    │   ├── MissingExtra            the transport is known, its library is not installed
    │   ├── InvalidTarget           not of the form "service.method", or a name that is no plain token
    │   ├── InvalidHandler          a service whose handlers cannot be called as they are written
    │   └── InvalidSecret           a secret, key or keyring that cannot be used (an AuthenticationError too)
    ├── ClosedError                 used after close
    ├── ForkedError                 used in a process that did not make it
    ├── MessageError                local: this message cannot be written or read
    │   ├── EncodingError           a value that JSON cannot carry
    │   ├── DecodingError           bytes that are no message
    │   └── FrameTooLarge           over the size limit, here or at the other end
    ├── AuthenticationError         the other end did not accept our seal, or we hold no usable secret
    │   └── FrameRefused            this frame failed the check at this end; ``reason`` says at which step
    ├── DeadlineExceeded            the call's time ran out (a TimeoutError too)
    ├── Cancelled                   the caller gave the call up
    ├── TransportError              the world between the two ends
    │   ├── Unavailable             certainly not executed; asking again is safe
    │   ├── ConnectionLost          may have been executed
    │   ├── AddressInUse            somebody else serves on this endpoint
    │   └── Unsupported             the transport declares that it cannot do this
    └── RemoteError                 the service answered, and the answer is an error
        ├── InvalidRequest          the service could not make sense of the request
        ├── UnknownMethod           the service is there, the method is not
        ├── InvalidParams           the parameters do not fit the method; names the culprit
        ├── InvalidResult           the handler returned what JSON cannot carry
        ├── ResourceExhausted       the service has no room for this now; it was not executed
        └── ClockSkew               the two clocks disagree by more than is allowed

``MessageError``, ``TransportError`` and their kin are *local*; ``RemoteError`` and its kin were *answered*. An
application adds its own remote errors with :func:`treaty.error`; those need not derive from anything here.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final


class TreatyError(Exception):
    """The root. ``status`` is the HTTP-like status that stands for the class, ``code`` its JSON-RPC 2.0 error code."""

    status: ClassVar[int] = 500
    code: ClassVar[int] = -32603

    def __reduce__(self) -> tuple[Any, ...]:
        # The usual way calls the class with the one text that is in args, and few of these take that.
        return _remade, (type(self), self.args, {**vars(self)})


def _remade(cls: type[TreatyError], args: tuple[Any, ...], attributes: dict[str, Any]) -> TreatyError:
    """Return an error as it was before it was copied, or sent to another process by ``pickle``."""
    error = cls.__new__(cls, *args)
    error.args = args
    vars(error).update(attributes)
    return error


class ConfigurationError(TreatyError):
    """The program or one of its settings is wrong. Retrying does not help; the text says what to write instead."""


class InvalidURL(ConfigurationError, ValueError):
    """A transport address that cannot be read."""


class UnknownScheme(ConfigurationError):
    """No installed transport answers to this URL scheme. The text lists the schemes that are known."""


class MissingExtra(ConfigurationError, ImportError):
    """The transport is known, but the library that it stands on is not installed. The text says what to install."""


class InvalidTarget(ConfigurationError, ValueError):
    """A call target that is not ``service.method``, or a service or channel name that is no plain token."""


class InvalidHandler(ConfigurationError, TypeError):
    """A service whose handlers cannot be called as they are written."""


class ClosedError(TreatyError):
    """Used after close."""


class ForkedError(TreatyError):
    """Used in a forked child: sockets and locks belong to the process that made them. Make a new one there."""


class MessageError(TreatyError):
    """A message that cannot be written or read at this end."""


class EncodingError(MessageError, ValueError):
    """A value that JSON cannot carry: an unsupported type, NaN or an infinity, lone surrogates, too deep a nesting."""


class DecodingError(MessageError, ValueError):
    """Bytes that are no message of the expected kind."""


class FrameTooLarge(MessageError):
    """A frame over the size limit. Raised before anything is sent, or answered by the service for its result."""

    status = 413
    code = -32002


class AuthenticationError(TreatyError):
    """The other end refused our seal (wrong, unknown or retired key), or there is no usable secret at this end."""

    status = 401
    code = -32009


class FrameRefused(AuthenticationError):
    """A frame that failed the check. ``reason`` is one of the words in :data:`treaty.sealing.REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"frame refused: {reason}")
        self.reason = reason


class InvalidSecret(ConfigurationError, AuthenticationError):
    """A secret, key or keyring that cannot be used. The text never repeats it."""

    status = 401


class DeadlineExceeded(TreatyError, TimeoutError):
    """The call's time ran out. It may have been executed, unless the text says that it was not."""

    status = 504
    code = -32003


class Cancelled(TreatyError):
    """The caller gave the call up. It may have been executed."""

    status = 499
    code = -32004


class TransportError(TreatyError):
    """Something between the two ends failed. Every foreign exception is chained to one of these."""

    status = 502


class Unavailable(TransportError):
    """Nobody took the request: it was certainly not executed, and asking again is safe.

    ``frame`` is the frame that was not delivered, or its first 64 bytes or more; ``None`` when the error is raised by
    the very ``send`` that failed.
    """

    status = 503
    code = -32008

    def __init__(self, text: str = "", *, frame: bytes | None = None) -> None:
        super().__init__(text)
        self.frame = frame


class ConnectionLost(TransportError):
    """The connection broke, or the worker died: requests that were under way may have been executed."""

    status = 502
    code = -32007


class AddressInUse(TransportError):
    """Somebody else serves on this endpoint; they were not disturbed."""


class Unsupported(TransportError):
    """The transport declares in its ``Guarantees`` that it cannot do this."""

    status = 501


class RemoteError(TreatyError):
    """The service answered with an error.

    Attributes:
        type: the registered code or the class name of what was raised, such as ``"NotImplementedError"``.
        text: its message, as the service put it.
        fields: its public attributes, as plain JSON values.
        error_id: the id under which the service logged the traceback, or ``""``.
        status_code: the HTTP-like status of the answer.
    """

    status = 500
    code = -32000

    def __init__(
        self,
        text: str = "",
        *,
        type: str = "",  # noqa: A002 - the name of the wire's member, keyword only
        fields: dict[str, Any] | None = None,
        error_id: str = "",
        status_code: int | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.type = type
        self.fields = fields or {}
        self.error_id = error_id
        self.status_code = self.status if status_code is None else status_code

    def __str__(self) -> str:
        # The built-in kinds say by their class what they are.
        named = self.type if type(self) is RemoteError else ""
        head = f"{named}: {self.text}" if named and self.text else self.text or self.type
        return f"{head} (error id {self.error_id})" if self.error_id else head


class InvalidRequest(RemoteError):
    """The service held the right seal in its hands, but could not make sense of the request inside."""

    status = 400
    code = -32600


class UnknownMethod(RemoteError):
    """The service is there, the method is not."""

    status = 404
    code = -32601


class InvalidParams(RemoteError):
    """The parameters do not fit the method. The text names the culprit. A handler may raise it as well."""

    status = 400
    code = -32602


class InvalidResult(RemoteError):
    """The handler ran, but what it returned cannot be carried by JSON, or is more than this end can hold."""

    status = 500
    code = -32001


class ResourceExhausted(RemoteError):
    """The service has no room for this request now. It was not executed."""

    status = 429
    code = -32005


class ClockSkew(RemoteError):
    """The request is from the future by the service's clock. It was not executed; the text holds the difference."""

    status = 400
    code = -32006


class WeakSecretWarning(UserWarning):
    """A short passphrase stands in for a secret. It is stretched, but a recorded frame lets anybody guess it offline."""


#: The errors that a service may answer with, by JSON-RPC 2.0 code. Codes are permanent. -32700 to -32600 come from the
#: JSON-RPC 2.0 specification, section 5.1; -32000 to -32099 are the ones it leaves to the implementation.
ANSWERED: Final[dict[int, type[TreatyError]]] = {
    cls.code: cls
    for cls in (
        RemoteError,
        InvalidRequest,
        UnknownMethod,
        InvalidParams,
        InvalidResult,
        ResourceExhausted,
        ClockSkew,
        FrameTooLarge,
        DeadlineExceeded,
        Cancelled,
        ConnectionLost,
        Unavailable,
    )
}
