"""A request on its way through a running service: what the handler sees of it, and what the service must remember.

It must not know threads, or how the answer is sent.
"""

from __future__ import annotations

import asyncio

from treaty.engine import Exchange, Run
from treaty.incoming import Host, Incoming
from treaty.routing import Bound
from treaty.transport import Delivery


class Job(Incoming):
    """A request whose handler runs, or waits to run."""

    __slots__ = ("bound", "delivery", "exchange", "over", "started", "task")

    def __init__(self, run: Run, delivery: Delivery, host: Host) -> None:
        self.exchange: Exchange = run.exchange
        super().__init__(run.exchange.request, until=run.exchange.deadline, host=host)
        self.bound: Bound = run.bound
        self.delivery = delivery
        self.started = 0.0
        self.task: asyncio.Task[None] | None = None
        #: Whether the one answer was sent, or is not wanted any more.
        self.over = False
