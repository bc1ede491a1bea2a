"""From ``zmq+tcp://host:port`` and its kin to what libzmq calls an endpoint, and back.

This room knows the spelling of addresses. It must not know sockets; whether an address is free is no question for it.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Final

from treaty import InvalidURL

#: ``sockaddr_un.sun_path`` has 108 bytes, the last of which is zero. The lock file beside it may be longer.
IPC_PATH_BYTES: Final = 107

_HOST_AND_PORT: Final = re.compile(r"(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%a-z]+\]):(\*|\d{1,5})", re.ASCII)
_NAME: Final = re.compile(r"[^\s\x00?#]{1,200}")
_SHAPES: Final = {
    "tcp": "zmq+tcp://127.0.0.1:5555",
    "ipc": "zmq+ipc:///run/app/treaty.sock",
    "inproc": "zmq+inproc://name",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is: the scheme (``tcp``, ``ipc``, ``inproc``) and what follows ``://``."""

    scheme: str
    rest: str

    @property
    def url(self) -> str:
        """The URL that leads here."""
        return f"zmq+{self.scheme}://{self.rest}"

    @property
    def endpoint(self) -> str:
        """What libzmq calls it."""
        return f"{self.scheme}://{self.rest}"

    @property
    def wildcard(self) -> bool:
        """Whether the operating system picks the port, so that nobody can dial it yet."""
        return self.scheme == "tcp" and self.rest.endswith((":0", ":*"))

    @property
    def ipv6(self) -> bool:
        """Whether the host is a literal IPv6 address."""
        return self.scheme == "tcp" and self.rest.startswith("[")

    def to_bind(self) -> str:
        """The endpoint to bind. libzmq binds numbers and interfaces only, so a host name is looked up.

        Raises:
            OSError: there is no such host.
        """
        if self.scheme != "tcp":
            return self.endpoint
        host, _, port = self.rest.rpartition(":")
        if re.search("[a-zA-Z]", host) and not self.ipv6 and host not in _interfaces():
            host = socket.gethostbyname(host)
        return f"tcp://{host}:{'*' if self.wildcard else port}"

    def to_connect(self) -> str:
        """The endpoint to connect to: every interface of this machine is reached through the loopback."""
        host, _, port = self.rest.rpartition(":")
        return f"tcp://127.0.0.1:{port}" if self.scheme == "tcp" and host in {"*", "0.0.0.0"} else self.endpoint  # noqa: S104 - compared, not bound

    def at_port_of(self, endpoint: str) -> Address:
        """This address with the port that a bound ``tcp`` endpoint got."""
        host, _, _ = self.rest.rpartition(":")
        return Address("tcp", f"{host}:{endpoint.rpartition(':')[2]}")


def parse(url: str) -> Address:
    """Read a URL, or raise ``InvalidURL`` that says what to write instead."""
    scheme, found, rest = url.partition("://")
    kind = scheme.lower().removeprefix("zmq+")
    if not found or kind not in _SHAPES or not scheme.lower().startswith("zmq+"):
        raise InvalidURL(f"{url!r} is no ZeroMQ address: write one of {', '.join(_SHAPES.values())}")
    if kind == "tcp" and "@" in rest:
        # Not repeated: what stands before the sign may be a password, meant for another transport.
        raise InvalidURL(f"ZeroMQ knows no users and no passwords: write something like {_SHAPES[kind]}")
    problem = {"tcp": _tcp, "ipc": _ipc, "inproc": _inproc}[kind](rest)
    if problem:
        raise InvalidURL(f"{url!r} {problem}: write something like {_SHAPES[kind]}")
    return Address(kind, rest)


def _tcp(rest: str) -> str:
    match = _HOST_AND_PORT.fullmatch(rest)
    if not match:
        odd = next((sign for sign in "?#/" if sign in rest), "")
        return f"has a {odd!r} behind host and port" if odd else "does not name a host and a port"
    return "names a port above 65535" if match[2] != "*" and int(match[2]) > 65535 else ""


def _ipc(rest: str) -> str:
    if not rest.startswith("/") or rest.endswith("/") or "\0" in rest:
        return "does not name a file by its absolute path"
    size = len(rest.encode("utf-8", "surrogateescape"))
    if size > IPC_PATH_BYTES:
        return f"names a path of {size} bytes, and the operating system takes {IPC_PATH_BYTES}; use a shorter one"
    return ""


def _inproc(rest: str) -> str:
    return "" if _NAME.fullmatch(rest) else "does not name anything"


def _interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}
