"""The settings of the ZeroMQ transport, in seconds, bytes and counts.

This room knows what may be set and what is sensible. It must not know sockets, nor what the figures are used for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from treaty import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What ``connect`` takes as options."""

    #: Seconds that ``send``, ``publish`` and ``subscribe`` wait for an endpoint to be there.
    connect_timeout: float = 2.0
    #: Seconds that close waits for what was already handed over.
    linger: float = 1.0
    #: Seconds that a reply waits for room when its caller does not read: the service waits with it.
    patience: float = 0.1
    #: Seconds that a thread looks again before it sleeps, while messages keep coming within about that time. Saves the
    #: wake-up, costs processor time. 0 turns it off.
    spin: float = 0.0003
    #: Seconds between ZMTP heartbeats on a connection; a peer that misses three is disconnected. Off, because libzmq
    #: up to 4.3.5 at least aborts the process when they meet a peer that sends and does not read (libzmq issues 3937,
    #: 4364, 4767). TCP keep-alive finds a dead network all the same.
    heartbeat: float = 0.0
    #: Seconds of silence after which TCP asks whether the peer is there, and a third of that between three more tries.
    keepalive: float = 15.0
    #: The largest frame in bytes: the limit of the core, 8 MiB, and some headroom.
    max_frame: int = 8 * 1024 * 1024 + 64 * 1024
    #: Frames that libzmq may hold for one connection, per direction.
    queue: int = 1_000
    #: Requests that may wait in one inbox, by count and by bytes; what comes on top is refused.
    backlog: int = 10_000
    backlog_bytes: int = 64 * 1024 * 1024
    #: Subscriptions that one endpoint holds.
    max_subscriptions: int = 10_000

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Self:
        """Make settings of options, or raise ``ConfigurationError`` that says which one is wrong."""
        known = {field.name: field for field in fields(cls)}
        for name, value in options.items():
            if name not in known:
                raise ConfigurationError(f"{name!r} is no option of the ZeroMQ transport: {', '.join(known)} are")
            whole = known[name].type == "int"
            fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not fits or value < whole:  # counts start at 1, seconds at 0
                raise ConfigurationError(f"{name} is a {'whole number from 1' if whole else 'number of seconds'}")
        return cls(**options)
