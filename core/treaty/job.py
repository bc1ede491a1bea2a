"""A request on its way through a running service: what the handler sees of it, and what the service must remember.

It must not know threads, or how the answer is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any

from treaty.driving import SERVING, Allowance
from treaty.engine import Exchange, Run
from treaty.incoming import Host, Incoming
from treaty.routing import Bound
from treaty.transport import Delivery


class Job(Incoming):
    """A request whose handler runs, or waits to run."""

    __slots__ = ("allowance", "awaited", "bound", "context", "delivery", "exchange", "over", "started", "task")

    def __init__(self, run: Run, delivery: Delivery, host: Host) -> None:
        self.exchange: Exchange = run.exchange
        super().__init__(run.exchange.request, until=run.exchange.deadline, host=host)
        self.bound: Bound = run.bound
        self.delivery = delivery
        self.started = 0.0
        self.task: asyncio.Task[None] | None = None
        self.allowance = Allowance(self.exchange.deadline)
        #: What the handler runs in.
        self.context: Context | None = None
        #: What a handler returned that is no coroutine function, and yet to be awaited: it was wrapped by another one.
        self.awaited: Awaitable[Any] | None = None
        #: Whether the one answer was sent, or is not wanted any more.
        self.over = False

    def enter(self, outer: Context) -> Context:
        """Return a context of its own for the handler: what one request leaves in it is not found by the next one."""
        self.context = context = outer.copy()
        context.run(SERVING.set, self.allowance)
        return context

    def call(self) -> Any:
        """Call the handler, and return what it returns."""
        return self.bound.handler.function(self, *self.bound.args, **self.bound.kwargs)
