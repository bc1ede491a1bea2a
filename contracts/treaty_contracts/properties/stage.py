"""The world of one drawn case: transports in a namespace of their own, services whose handlers tell what ran, clients.

All of it is opened for the case and closed with it, so that what one case leaves behind cannot be the fault of the
next. It must not know what is expected of it.
"""

# ruff: noqa: ARG002 - every handler takes the message

from __future__ import annotations

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from typing import Any, Final

from treaty import Client, Inbox, Incoming, Key, Service, Transport
from treaty_contracts.bench import Bench
from treaty_contracts.recording import Recorder, Trace
from treaty_contracts.subject import SampleError

#: How many handlers run at once, in each service.
CONCURRENCY: Final = 6
#: How long a handler waits for its gate at most: longer than anybody who asks.
_FOREVER: Final = 120.0


class Logbook:
    """Which handlers ran for which token, and which of them still run. Handlers write, whoever judges reads."""

    def __init__(self, ran: Callable[[str, int, str], None] | None = None) -> None:
        #: The ids of the requests for which a handler ran, by token.
        self.runs: dict[int, list[str]] = defaultdict(list)
        self.running: set[int] = set()
        self.gates: dict[int, Future[None]] = defaultdict(Future)
        self._lock = threading.Lock()
        self._ran = ran

    def enter(self, worker: str, token: int, request: str) -> None:
        """A handler begins."""
        with self._lock:
            self.runs[token].append(request)
            self.running.add(token)
        if self._ran is not None:
            self._ran(worker, token, request)

    def leave(self, token: int) -> None:
        """A handler ends."""
        with self._lock:
            self.running.discard(token)

    def gate(self, token: int) -> Future[None]:
        """Return what a handler waits for."""
        with self._lock:
            return self.gates[token]

    def open(self, token: int) -> None:
        """Let the handler of that token go, or the one that comes."""
        with suppress(InvalidStateError):
            self.gate(token).set_result(None)

    def open_all(self) -> None:
        """Let everybody go."""
        with self._lock:
            tokens = [*self.gates, *self.running]
        for token in tokens:
            self.open(token)


class Actor(Service):
    """What is called: every handler takes a token, which says whose call this is, and puts it down."""

    def __init__(self, transport: Transport, *, book: Logbook, worker: str = "", **options: Any) -> None:
        super().__init__(transport, **options)
        self._book = book
        self.worker = worker

    def on_echo(self, message: Incoming, token: int, value: Any = None) -> Any:
        """Return what came."""
        with self._written(message, token):
            return [token, value]

    async def on_echo_later(self, message: Incoming, token: int, value: Any = None) -> Any:
        """Return what came, from a coroutine."""
        with self._written(message, token):
            return [token, value]

    def on_nested(self, message: Incoming, token: int, value: Any = None) -> Any:
        """Return what another method returns, which is called."""
        with self._written(message, token):
            return [token, message.client.call(f"{self.name}.inner", [value])]

    def on_inner(self, message: Incoming, value: Any) -> Any:
        """Return what came, to another handler."""
        return value

    def on_typed(self, message: Incoming, token: int, value: Any = None) -> None:
        """Raise a registered error."""
        with self._written(message, token):
            raise SampleError(f"no {token}", token, ["a", "b"])

    def on_fail(self, message: Incoming, token: int, value: Any = None) -> None:
        """Raise an error that nobody registered."""
        with self._written(message, token):
            raise LookupError(f"no {token}")

    def on_report(self, message: Incoming, token: int, value: Any = None) -> Any:
        """Push three status messages."""
        with self._written(message, token):
            for number in range(3):
                message.status(102, f"{token}/{number}", progress=number / 4)
            return [token, value]

    def on_hold(self, message: Incoming, token: int, value: Any = None) -> Any:
        """Return what came when the gate is open."""
        with self._written(message, token):
            self._book.gate(token).result(_FOREVER)
            return [token, value]

    async def on_hold_later(self, message: Incoming, token: int, value: Any = None) -> Any:
        """Return what came when the gate is open, from a coroutine; it may be cancelled."""
        with self._written(message, token):
            await asyncio.wrap_future(self._book.gate(token))
            return [token, value]

    def _written(self, message: Incoming, token: int) -> ExitStack:
        self._book.enter(self.worker, token, message.id)
        stack = ExitStack()
        stack.callback(self._book.leave, token)
        return stack


class Stage:
    """What a case works on.

    Args:
        bench: of the rule.
        trace: where the frames of this case are written down.
        book: what the handlers write.
    """

    def __init__(self, bench: Bench, trace: Trace, book: Logbook) -> None:
        self.bench: Final = bench
        self.book: Final = book
        self.namespace: Final = bench.name("m")
        self._trace = trace
        self._transports: list[Transport] = []
        self._clients: list[Client] = []
        self._actors: list[Actor] = []

    def transport(self, role: str) -> Transport:
        """Open a transport object."""
        made = Recorder(self.bench.target.opened(self.bench.context(role, self.namespace)), self._trace, role)
        self._transports.append(made)
        return made

    def actor(self, transport: Transport, label: str = "s", **options: Any) -> Actor:
        """Make a service that is not started yet."""
        named = type("Actor", (Actor,), {"name": f"{self.namespace}-{label}"})
        chosen = {"secret": self.bench.secret, "concurrency": CONCURRENCY, "drain": 0.2, "book": self.book, **options}
        actor: Actor = named(transport, **chosen)
        self._actors.append(actor)
        return actor

    def client(self, transport: Transport, *, wrong: bool = False) -> Client:
        """Make a client, which holds another secret if it is the wrong one."""
        secret = stranger() if wrong else self.bench.secret
        client = Client(transport, secret=secret, timeout=self.bench.times.arrive)
        self._clients.append(client)
        return client

    def keeper(self, transport: Transport) -> Inbox:
        """Serve something else beside, so that the address stays though the service stops."""
        return transport.serve(f"{self.namespace}-keeper", 1)

    def close(self) -> None:
        """Close everything. What goes wrong with that is for other rules to judge."""
        self.book.open_all()
        for client in self._clients:
            _quietly(client.close)
        # A service whose inbox is closed has nothing left to wait for.
        for transport in self._transports:
            _quietly(transport.close)
        for actor in self._actors:
            _quietly(actor.stop)


def stranger() -> str:
    """Return a secret that nobody else holds."""
    return Key.generate(os.urandom).text()


def _quietly(action: Callable[[], object]) -> None:
    with suppress(Exception):
        action()
