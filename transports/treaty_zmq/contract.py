"""The contract on this transport: ``treaty check treaty_zmq.contract:tcp``, and the same for ``ipc`` and ``inproc``.

Copy it with the folder and it works there. It is the one module here that imports the contract suite, and is imported
by no other. Where a rule uses a hook, a relay stands between the callers and the endpoint.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

import zmq

from treaty_contracts import Context, Target
from treaty_contracts.relay import Address
from treaty_contracts.relays import Relays

from . import ZmqTransport, connect, parse
from .wire import ABSENT, END_OF_NAME, PUBLISH, SUBSCRIBE

#: Absence is noticed after the time for connecting; a second is enough on a busy machine as well.
_CONNECT_TIMEOUT: Final = 1.0
#: Seconds after which the endpoint must have dealt with what a stranger sent.
_PATIENCE: Final = 10.0
_LAST: Final = b"the last of it"
#: About how many ports a process has for itself.
_PORTS: Final = 16
_numbers: Final = count()


class _Addresses:
    """One address for each namespace: both ends ask for it, and get the same."""

    def __init__(self, make: Callable[[str], Address]) -> None:
        self._make = make
        self._known: dict[str, Address] = {}

    def __call__(self, context: Context) -> Address:
        if context.namespace not in self._known:
            self._known[context.namespace] = self._make(context.namespace)
        return self._known[context.namespace]


def _free_port(_: str) -> Address:
    """A port that is free, below those that the system gives to outgoing connections by itself.

    Rules that run at once, each in a process, draw from ports of their own: a service that stops and starts again leaves
    its port free meanwhile, and nobody else may take it.
    """
    while True:
        port = 20_000 + (os.getpid() * _PORTS + next(_numbers)) % 12_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return "127.0.0.1", port


def _directory() -> str:
    """A directory for sockets, gone at the end of this process: the rules run in children, which may be killed."""
    made, owner = tempfile.mkdtemp(prefix="treaty-"), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(remove)
    return made


_DIRECTORY: Final = _directory()


def _url(address: Address) -> str:
    return f"zmq+ipc://{address}" if isinstance(address, str) else f"zmq+tcp://{address[0]}:{address[1]}"


def _target(name: str, upstream: Callable[[Context], Address]) -> Target:
    relays = Relays(upstream)

    def open_end(context: Context) -> ZmqTransport:
        # The service binds the address; whoever connects goes through the relay, if there is one.
        address = upstream(context) if context.role == "service" else relays.address(context)
        return connect(_url(address), connect_timeout=_CONNECT_TIMEOUT)

    def inject(context: Context, service: str, data: bytes) -> None:
        _knock(upstream(context), data)
        _write(_url(upstream(context)), service.encode(), data)

    return Target(
        name=name,
        open=open_end,
        parallel=True,
        tap=relays.tap,
        inject=inject,
        restart_peer=relays.restart_peer,
        cut_link=relays.cut_link,
    )


def _knock(address: Address, data: bytes) -> None:
    """Send bytes to an endpoint on a connection that does not speak ZMTP."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as stranger:
        stranger.settimeout(_PATIENCE)
        stranger.connect(address)
        with suppress(OSError):  # it may hang up in the middle
            stranger.sendall(data)


def _write(url: str, service: bytes, data: bytes) -> None:
    """Send messages of another layout to an endpoint, and return when it has dealt with them."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.connect(parse(url).to_connect())
        odd = ([data], [b"", data], [service, data], [SUBSCRIBE, data], [PUBLISH, data, data], [data] * 10, [data, b""])
        for parts in odd:
            stranger.send_multipart(parts)
        # Whatever comes back for these, the answer to the last one comes last.
        stranger.send_multipart([b"nobody" + END_OF_NAME + _LAST])
        while stranger.poll(round(_PATIENCE * 1000)):
            if stranger.recv_multipart() == [ABSENT, _LAST]:
                return
        raise TimeoutError("the endpoint does not answer a stranger any more")


tcp: Final = _target("zmq/tcp", _Addresses(_free_port))
ipc: Final = _target("zmq/ipc", _Addresses(lambda namespace: str(Path(_DIRECTORY, namespace))))
#: Nothing stands between two ends in one process, so there is nothing to cut, to restart or to listen in on.
inproc: Final = Target(
    name="zmq/inproc",
    parallel=True,
    open=lambda context: connect(f"zmq+inproc://{context.namespace}", connect_timeout=_CONNECT_TIMEOUT),
)

targets: Final = (tcp, ipc, inproc)
