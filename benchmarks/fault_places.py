"""Where the fault run can be made: an endpoint of ZeroMQ, or a corner of a broker's own that nobody else uses."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import quote

from benchmarks.faults import Place
from benchmarks.processes import free_port
from treaty_contracts.relay import Address
from treaty_kombu.settings import Settings, read_url

REDIS: Final = "kombu+" + os.environ.get("TREATY_TEST_REDIS", "redis://127.0.0.1:6379/0")
AMQP: Final = "kombu+" + os.environ.get("TREATY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//")
#: A database of its own, so that the connections of the run can be told from all others.
_DATABASE: Final = 11
#: Seconds that a command to a broker may take.
_COMMAND: Final = 60.0


@contextmanager
def zmq_tcp() -> Iterator[Place]:
    address: Address = ("127.0.0.1", free_port())
    yield Place("zmq tcp", address, lambda address: f"zmq+tcp://{address[0]}:{address[1]}")


@contextmanager
def redis() -> Iterator[Place]:
    from redis import Redis

    settings = _reachable(REDIS)

    def drop() -> None:
        with Redis(settings.host, settings.port, password=settings.password or None) as control:
            for client in control.client_list():
                if client["db"] == str(_DATABASE):
                    with suppress(Exception):  # it may be gone by itself
                        control.client_kill_filter(_id=client["id"])

    options = f"{_DATABASE}?prefix=faults{os.getpid()}"
    yield Place(
        "kombu on redis", (settings.host, settings.port), _url(settings, "redis", options), brokered=True, drop=drop
    )


@contextmanager
def amqp() -> Iterator[Place]:
    settings = _reachable(AMQP)
    virtual = f"treaty-faults-{os.getpid()}"

    def drop() -> None:
        _rabbitmqctl("close_all_connections", "--vhost", virtual, "the fault run")

    if not _commands("add_vhost", virtual):
        # Whoever may not command the broker cuts the links to it, which is most of a restart.
        options = f"{quote(settings.path, safe='')}?prefix=faults{os.getpid()}"
        yield Place("kombu on amqp", (settings.host, settings.port), _url(settings, "amqp", options), brokered=True)
        return
    try:
        _rabbitmqctl("set_permissions", "-p", virtual, settings.user or "guest", ".*", ".*", ".*")
        yield Place(
            "kombu on amqp", (settings.host, settings.port), _url(settings, "amqp", virtual), brokered=True, drop=drop
        )
    finally:
        _rabbitmqctl("delete_vhost", virtual)


PLACES: Final = {"zmq": zmq_tcp, "redis": redis, "amqp": amqp}


def _url(settings: Settings, scheme: str, path: str) -> Callable[[Address], str]:
    who = f"{quote(settings.user, safe='')}:{quote(settings.password, safe='')}@" if settings.password else ""
    return lambda address: f"kombu+{scheme}://{who}{address[0]}:{address[1]}/{path}"


def _reachable(url: str) -> Settings:
    """Read a URL and connect to it once.

    Raises:
        OSError: nobody is there.
    """
    settings = read_url(url)
    socket.create_connection((settings.host, settings.port), timeout=2).close()
    return settings


def _rabbitmqctl(*arguments: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *arguments], check=True, capture_output=True, timeout=_COMMAND)


def _commands(*arguments: str) -> bool:
    """Whether the broker did what it was told."""
    try:
        _rabbitmqctl(*arguments)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
