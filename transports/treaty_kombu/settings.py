"""What a URL and its options mean, and the names of everything that this transport creates on a broker.

This room opens nothing and knows no broker's protocol. No password leaves it: what is shown is masked.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from treaty import InvalidTarget, InvalidURL, check_name

#: Scheme: (kind of broker, default port, TLS).
_SCHEMES: Final = {
    "kombu+redis": ("redis", 6379, False),
    "kombu+rediss": ("redis", 6379, True),
    "kombu+amqp": ("amqp", 5672, False),
    "kombu+amqps": ("amqp", 5671, True),
    "kombu+memory": ("memory", 0, False),
}
_USAGE: Final = (
    "write 'kombu+redis://host:6379/0', 'kombu+amqp://user:password@host:5672/vhost' or 'kombu+memory://name'"
)
_REPLY: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the broker is and how to behave there. Times are in seconds, sizes in bytes."""

    kind: str  # "redis", "amqp" or "memory"
    host: str
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = ""  # the database of Redis, the virtual host of RabbitMQ
    tls: bool = False
    # ---- options -----------------------------------------------------------------------------------------------
    #: The first part of every name on the broker: two applications with different prefixes never meet.
    prefix: str = "treaty"
    #: How long connecting may take.
    connect_timeout: float = 5.0
    #: How long one write, or the broker's answer to it, may take before the connection counts as broken.
    io_timeout: float = 5.0
    #: How long what nobody reads any more outlives its reader: replies, and RabbitMQ's queues of services.
    expires: float = 60.0
    #: The largest frame: the core's own 8 MiB and a little room, so that the core's limit speaks first.
    max_frame: int = 8 * 1024 * 1024 + 64 * 1024
    #: RabbitMQ: how many requests may wait for one service. One more is refused with ``Unavailable``.
    max_queued: int = 10_000
    #: RabbitMQ: the interval after which two silent ones count as a broken connection.
    heartbeat: int = 10
    #: RabbitMQ: have it confirm each request. Nobody waits for that, but it costs about a tenth of a call; without it, a
    #: request that finds the queue full is dropped silently.
    confirm: bool = True
    #: TLS: the file with the certificates of the authorities to trust.
    ca: str = ""
    #: TLS: do not check who is at the other end. For tests.
    insecure: bool = False

    @cached_property
    def shown(self) -> str:
        """The address for logs, reprs and errors."""
        who = f"{self.user}:***@" if self.password else f"{self.user}@" if self.user else ""
        if self.kind == "memory":
            return f"kombu+memory://{self.host}"
        return f"kombu+{self.kind}{'s' * self.tls}://{who}{self.host}:{self.port}/{self.path}"

    # The names. None of the parts may contain a dot, so two different things never share a name.

    def service_queue(self, service: str) -> str:
        """The queue that all inboxes of a service share."""
        return f"{self.prefix}.service.{check_name(service)}"

    def reply_queue(self, token: str) -> str:
        """The queue of one line."""
        return f"{self.prefix}.reply.{token}"

    def is_reply_queue(self, name: str) -> bool:
        """Whether a name has the form of :meth:`reply_queue`: the only thing that replies are ever sent to."""
        head = f"{self.prefix}.reply."
        return name.startswith(head) and bool(_REPLY.fullmatch(name, len(head)))

    def channel_exchange(self, channel: str) -> str:
        """The fanout exchange of a channel."""
        return f"{self.prefix}.channel.{check_name(channel)}"

    def own_name(self, what: str, token: str) -> str:
        """The name of something that only one end uses."""
        return f"{self.prefix}.{what}.{token}"


_OPTIONS: Final[dict[str, Any]] = {option.name: type(option.default) for option in fields(Settings)[7:]}


def read_url(url: str, **options: Any) -> Settings:
    """Read a transport URL and its options, or raise ``InvalidURL`` with a text that says what to write."""
    try:
        parts = urlsplit(url)
        kind, default_port, tls = _SCHEMES[parts.scheme]
        host, port = parts.hostname or "", parts.port or default_port
        user, password, path = (
            unquote(part, errors="strict") for part in (parts.username or "", parts.password or "", parts.path[1:])
        )
    except (KeyError, ValueError) as error:
        # Neither the URL nor the cause is repeated: either may hold a password.
        raise InvalidURL(f"this is no address for the kombu transport: {_USAGE}") from (
            None if isinstance(error, ValueError) else error
        )
    if not host or parts.fragment:
        raise InvalidURL(f"the host is missing or something follows a '#': {_USAGE}; write '#' as %23 in a password")
    if kind == "redis":
        path = path or "0"
        if not path.isdecimal():
            raise InvalidURL("what follows the host of a Redis is the number of a database: kombu+redis://host:6379/0")
    elif kind == "amqp":
        path = path or "/"
    elif parts.port or parts.username or path.strip("/"):
        raise InvalidURL("a broker in memory has a name and nothing else: kombu+memory://name")
    written = parse_qsl(parts.query, keep_blank_values=True)
    for name, times in Counter(name for name, _ in written).items():
        if times > 1:
            raise InvalidURL(f"option {name} is given {times} times")
    for name, value in written:
        if not value:
            raise InvalidURL(f"option {name} is empty")
    given = {name: _option(name, value) for name, value in [*written, *options.items()]}
    settings = Settings(
        kind=kind,
        host=host,
        port=port,
        user=user,
        password=password,
        path=path,
        tls=tls,
        **given,
    )
    _check(settings)
    return settings


#: The most that an option may be: brokers and systems count milliseconds and bytes in 32 bits, AMQP its beats in 16.
_MOST: Final = {
    "connect_timeout": 2_000_000,
    "io_timeout": 2_000_000,
    "expires": 2_000_000,
    "max_frame": 2_000_000_000,
    "max_queued": 2_000_000_000,
    "heartbeat": 65_535,
}


def _option(name: str, value: Any) -> Any:
    kind = _OPTIONS.get(name)
    if kind is None:
        raise InvalidURL(f"the kombu transport has no option {name!r}: there are {', '.join(_OPTIONS)}")
    try:
        if kind is bool:
            return value if isinstance(value, bool) else {"1": True, "true": True, "0": False, "false": False}[value]
        return kind(value)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidURL(f"option {name} must be a {kind.__name__}, not {value!r}") from error


def _check(settings: Settings) -> None:
    try:
        check_name(settings.prefix)
        if settings.kind == "memory":
            check_name(settings.host)
    except InvalidTarget as error:
        raise InvalidURL(f"prefix, or name of a broker in memory: {error}") from error
    for name, most in _MOST.items():
        if not 0 < getattr(settings, name) <= most:
            raise InvalidURL(f"option {name} must be above 0 and at most {most:,}, not {getattr(settings, name)!r}")
    if settings.tls and not settings.insecure and not settings.ca:
        raise InvalidURL(
            "TLS without a check of the other end protects nothing: give ca=<file with the trusted certificates>, "
            "or insecure=True to do without"
        )
    if settings.ca and not Path(settings.ca).is_file():
        raise InvalidURL(f"option ca: there is no file {settings.ca!r}")
