"""Treaty: Python services that call each other over any transport.

A **service** answers requests, a **client** sends them, a **transport** carries sealed frames and never opens one.
"""

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
