"""ZeroMQ for Treaty: services bind one ROUTER, callers and subscribers connect DEALERs to it. No broker, one URL.

This package carries sealed frames and never opens one. It knows ``treaty`` by its public names only and nothing of any
other adapter; copy the folder into another tree and it works there. The README says what it promises.
"""

from __future__ import annotations

import zmq

from .address import Address, parse
from .settings import Settings
from .transport import ZmqTransport

if zmq.zmq_version_info() < (4, 3, 3):  # before it, a stranger's raw connection can stop a service (CVE-2020-15166)
    raise ImportError(f"treaty_zmq needs libzmq 4.3.3 or newer, this is {zmq.zmq_version()}", name="zmq")

__all__ = ["Address", "Settings", "ZmqTransport", "connect", "parse"]


def connect(url: str, **options: object) -> ZmqTransport:
    """Make the transport for a ``zmq+tcp``, ``zmq+ipc`` or ``zmq+inproc`` URL. Nothing is bound or connected yet.

    Args:
        url: ``zmq+tcp://host:port``, ``zmq+ipc:///path`` or ``zmq+inproc://name``.
        options: the fields of :class:`Settings`.

    Raises:
        InvalidURL: the URL cannot be read; the text says what to write.
        ConfigurationError: an option is unknown or out of range.
    """
    return ZmqTransport(parse(url), Settings.read(options))
