"""Treaty: Python services that call each other over any transport.

A **service** answers requests, a **client** sends them, a **transport** carries sealed frames and never opens one.

The public names are imported when the first of them is asked for: ``treaty.cli`` has to begin before they are there.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from treaty.client import Client, Proxy
    from treaty.engine import MAX_TTL
    from treaty.errors import (
        AddressInUse,
        AuthenticationError,
        Cancelled,
        ClockSkew,
        ClosedError,
        ConfigurationError,
        ConnectionLost,
        DeadlineExceeded,
        DecodingError,
        EncodingError,
        ForkedError,
        FrameRefused,
        FrameTooLarge,
        InvalidHandler,
        InvalidParams,
        InvalidRequest,
        InvalidResult,
        InvalidSecret,
        InvalidTarget,
        InvalidURL,
        MessageError,
        MissingExtra,
        RemoteError,
        ResourceExhausted,
        TransportError,
        TreatyError,
        Unavailable,
        UnknownMethod,
        UnknownScheme,
        Unsupported,
        WeakSecretWarning,
    )
    from treaty.incoming import Incoming
    from treaty.messages import Notification, Request, Response, Status, StatusLine
    from treaty.pending import Pending, Reply
    from treaty.registry import error
    from treaty.routing import matches
    from treaty.sealing import MAX_FRAME, Key, Keyring
    from treaty.service import Service
    from treaty.subscription import Subscription
    from treaty.transport import Delivery, Guarantees, Inbox, Line, Resource, Transport, check_name, connect

__version__ = "0.1.0"

__all__ = [
    "MAX_FRAME",
    "MAX_TTL",
    "AddressInUse",
    "AuthenticationError",
    "Cancelled",
    "Client",
    "ClockSkew",
    "ClosedError",
    "ConfigurationError",
    "ConnectionLost",
    "DeadlineExceeded",
    "DecodingError",
    "Delivery",
    "EncodingError",
    "ForkedError",
    "FrameRefused",
    "FrameTooLarge",
    "Guarantees",
    "Inbox",
    "Incoming",
    "InvalidHandler",
    "InvalidParams",
    "InvalidRequest",
    "InvalidResult",
    "InvalidSecret",
    "InvalidTarget",
    "InvalidURL",
    "Key",
    "Keyring",
    "Line",
    "MessageError",
    "MissingExtra",
    "Notification",
    "Pending",
    "Proxy",
    "RemoteError",
    "Reply",
    "Request",
    "Resource",
    "ResourceExhausted",
    "Response",
    "Service",
    "Status",
    "StatusLine",
    "Subscription",
    "Transport",
    "TransportError",
    "TreatyError",
    "Unavailable",
    "UnknownMethod",
    "UnknownScheme",
    "Unsupported",
    "WeakSecretWarning",
    "__version__",
    "check_name",
    "connect",
    "error",
    "matches",
]

#: Where the public names are. The last one stands on all the others.
_ROOMS: typing.Final = (
    "errors",
    "messages",
    "sealing",
    "transport",
    "registry",
    "routing",
    "engine",
    "pending",
    "subscription",
    "client",
    "incoming",
    "service",
)

if not typing.TYPE_CHECKING:  # type checkers read the list above, and would take any name for one of ours

    def __getattr__(name: str) -> typing.Any:
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        rooms = [vars(importlib.import_module(f"{__name__}.{room}")) for room in reversed(_ROOMS)]
        for public in __all__:
            if public not in globals():
                globals()[public] = next(room[public] for room in rooms if public in room)
        if name in globals():
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
