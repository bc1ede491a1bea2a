"""The contract on this transport: ``treaty check treaty_kombu.contract:redis``, and the same for the other brokers.

Copy it with the folder and it works there. It is the one module here that imports the contract suite, and is imported
by no other. Where a rule uses a hook, a relay stands between both ends and the broker.
"""

from __future__ import annotations

import atexit
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from kombu import Connection  # type: ignore[attr-defined]  # kombu exports lazily

from treaty import TreatyError
from treaty_contracts import Context, Target
from treaty_contracts.relay import Address
from treaty_contracts.relays import Relays

from . import KombuTransport, connect
from .embedded import embedded_redis
from .settings import Settings, read_url

# Each rule runs in a fork of this process: what is only imported when it is used would be imported again in each of them.
for _name in (
    ".over_redis",
    ".over_amqp",
    ".over_memory",
    "kombu.transport.redis",
    "kombu.transport.pyamqp",
    "kombu.transport.memory",
    "kombu.serialization",
    "encodings.idna",
    "secrets",
):
    with suppress(ImportError):
        import_module(_name, __package__)

#: Where the brokers are. Rules share them, and keep apart by the names of services and channels.
_REDIS: Final = "kombu+" + os.environ.get("TREATY_TEST_REDIS", "redis://127.0.0.1:6379/0")
_AMQP: Final = "kombu+" + os.environ.get("TREATY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//")
_AT_END: Final = ExitStack()


def _through(url: str, address: Address) -> str:
    """The same URL with another host and port."""
    parts = urlsplit(url)
    who, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{who}{at}{address[0]}:{address[1]}"))


def _place(url: str) -> tuple[str, int]:
    settings = read_url(url)
    return settings.host, settings.port


def _opener(url: Callable[[Context], str], relays: Relays) -> Callable[[Context], KombuTransport]:
    return lambda context: connect(_through(url(context), relays.address(context)))


def _to_redis(url: Callable[[Context], str]) -> Callable[[Context, str, bytes], None]:
    """Puts bytes into the list of a service."""

    def inject(context: Context, service: str, data: bytes) -> None:
        from redis import Redis

        settings = read_url(url(context))
        with Redis(
            settings.host, settings.port, int(settings.path), password=settings.password, username=settings.user or None
        ) as client:
            client.lpush(settings.service_queue(service), data)

    return inject


def _to_amqp(url: Callable[[Context], str]) -> Callable[[Context, str, bytes], None]:
    """Puts bytes into the queue of a service: as a stranger's message, and as one that looks like ours."""

    def inject(context: Context, service: str, data: bytes) -> None:
        settings = read_url(url(context))
        with _amqp(settings) as connection, closing(connection.channel()) as channel:
            for kind in ("text/plain", "application/x-treaty"):
                message = channel.prepare_message(data, content_type=kind, content_encoding="binary")
                channel.basic_publish_confirm(message, exchange="", routing_key=settings.service_queue(service))

    return inject


def _amqp(settings: Settings) -> Any:
    return Connection(  # type: ignore[no-untyped-call]  # kombu has no annotations
        transport="pyamqp",
        hostname=settings.host,
        port=settings.port,
        userid=settings.user or None,
        password=settings.password or None,
        virtual_host=settings.path,
    )


def _on_server(name: str, url: str, inject: Callable[[Callable[[Context], str]], Any]) -> Target:
    relays = Relays(lambda _: _place(url))
    return Target(
        name=name,
        open=_opener(lambda _: url, relays),
        parallel=True,
        tap=relays.tap,
        inject=inject(lambda _: url),
        # The server itself is everybody's: what restarts is the way to it.
        restart_peer=relays.restart_peer,
        cut_link=relays.cut_link,
    )


class _Embedded:
    """The embedded broker: one for all rules, and one of its own for a rule that restarts it."""

    def __init__(self) -> None:
        self._shared = _AT_END.enter_context(embedded_redis())
        self._own: dict[str, tuple[ExitStack, str]] = {}
        self.relays: Final = Relays(lambda context: _place(self.url(context)))

    def url(self, context: Context) -> str:
        if "restart_peer" not in context.hooks:
            return self._shared
        if context.namespace not in self._own:
            self._start(context.namespace)
        return self._own[context.namespace][1]

    def restart(self, context: Context) -> None:
        """End the broker with all that it holds, and start another one in its place."""
        self.url(context)
        relay = self.relays.of(context)
        relay.cut()
        self._own.pop(context.namespace)[0].close()
        relay.upstream = _place(self.url(context))
        relay.mend()

    def _start(self, namespace: str) -> None:
        stack = _AT_END.enter_context(ExitStack())
        self._own[namespace] = (stack, stack.enter_context(embedded_redis()))


def _fakeredis() -> Target:
    broker = _Embedded()
    return Target(
        name="kombu/fakeredis",
        open=_opener(broker.url, broker.relays),
        parallel=True,
        time_scale=1.5,  # it answers slowly, and shares the processors with everything else
        tap=broker.relays.tap,
        inject=_to_redis(broker.url),
        restart_peer=broker.restart,
        cut_link=broker.relays.cut_link,
    )


#: Nothing stands between two ends in one process, so there is nothing to cut, to restart or to listen in on.
memory: Final = Target(
    name="kombu/memory", open=lambda context: connect(f"kombu+memory://{context.namespace}"), parallel=True
)
redis: Final = _on_server("kombu/redis", _REDIS, _to_redis)
rabbitmq: Final = _on_server("kombu/rabbitmq", _AMQP, _to_amqp)

if TYPE_CHECKING:
    #: The broker is started with the first look at this name, by the process that runs the rules in its children.
    fakeredis: Target


def __getattr__(name: str) -> Target:
    if name != "fakeredis":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()["fakeredis"] = _fakeredis()
    return made


def targets() -> list[Target]:
    """Return the targets that can be run here; :func:`missing` says why others cannot."""
    without = missing()
    found = [memory, *(one for one in (redis, rabbitmq) if one.name not in without)]
    return found if "kombu/fakeredis" in without else [*found, __getattr__("fakeredis")]


def missing() -> dict[str, str]:
    """Return the names of the targets that cannot be run here, and why."""
    found = {}
    for target, url in ((redis, _REDIS), (rabbitmq, _AMQP)):
        try:
            socket.create_connection(_place(url), timeout=1).close()
        except OSError as error:
            host, port = _place(url)
            found[target.name] = f"{host}:{port} cannot be reached: {error}"
    try:
        if "fakeredis" not in globals():
            __getattr__("fakeredis")
    except TreatyError as error:
        found["kombu/fakeredis"] = str(error)
    return found


def _at_end(owner: int) -> None:
    if os.getpid() == owner:  # what was started here is not a forked child's to stop
        _AT_END.close()


atexit.register(_at_end, os.getpid())
