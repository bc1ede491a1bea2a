"""The kombu transport: Redis, RabbitMQ, or one process's memory, as a broker between the two ends.

Copy this folder into another tree and it works there: it imports ``treaty`` and kombu, and needs no other room.
It must not know what is inside a frame.
"""

from __future__ import annotations

from typing import Any

from .settings import read_url
from .transport import KombuTransport

__all__ = ["KombuTransport", "connect"]


def connect(url: str, **options: Any) -> KombuTransport:
    """Make a transport from a URL. Nothing is connected yet.

    Args:
        url: ``kombu+redis://[user:password@]host[:6379][/0]``, ``kombu+amqp://[user:password@]host[:5672][/vhost]``,
            the same with ``rediss`` or ``amqps`` for TLS, or ``kombu+memory://name``.
        options: any field of :class:`treaty_kombu.settings.Settings` below the line; they may also stand in the
            query of the URL, as in ``?prefix=shop&expires=30``.

    Raises:
        InvalidURL: the URL or an option cannot be read; the text says what to write.
        MissingExtra: the driver of that broker is not installed.
    """
    return KombuTransport(read_url(url, **options))
