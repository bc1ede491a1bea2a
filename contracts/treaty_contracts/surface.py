"""The two ways to call, blocking and asyncio, behind one façade: the same plan runs on both.

A rule that is judged on both surfaces is judged twice, once on each, and knows neither. It must not know transports.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, NamedTuple, Protocol

from treaty import Client, Status
from treaty_contracts.expect import Violated


class Ended(NamedTuple):
    """How a call ended: with a value or with an error, after how many seconds, and what was heard on the way."""

    value: Any
    error: BaseException | None
    seconds: float
    statuses: tuple[Status, ...] = ()


class Ticket:
    """A call that was started."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.future: Future[Ended] = Future()

    @property
    def done(self) -> bool:
        """Whether the call is over."""
        return self.future.done()

    def wait(self, limit: float) -> Ended:
        """Wait until the call is over; one that is not after ``limit`` seconds violates the contract."""
        try:
            return self.future.result(limit)
        except NotYet:
            raise Violated(
                f"{self.target}: every call ends, by its deadline", f"not over after {limit:.1f} s"
            ) from None


class Surface(Protocol):
    """A way to call."""

    def start(self, client: Client, target: str, params: Any = None, timeout: float | None = None) -> Ticket:
        """Start a call and return at once."""

    def close(self) -> None:
        """Leave no thread behind."""


class Blocking:
    """Each call blocks a thread of its own."""

    def start(self, client: Client, target: str, params: Any = None, timeout: float | None = None) -> Ticket:
        ticket = Ticket(target)

        def work() -> None:
            started = time.monotonic()
            value, error = None, None
            try:
                value = client.call(target, params, timeout=timeout)
            except BaseException as raised:  # whatever ends a call is what the rule judges
                error = raised
            ticket.future.set_result(Ended(value, error, time.monotonic() - started))

        threading.Thread(target=work, name="contract-blocking", daemon=True).start()
        return ticket

    def close(self) -> None:
        return


class OnLoop:
    """Calls are tasks on one event loop, which has a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="contract-asyncio", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def start(self, client: Client, target: str, params: Any = None, timeout: float | None = None) -> Ticket:
        ticket = Ticket(target)

        async def work() -> None:
            started = time.monotonic()
            value, error = None, None
            try:
                value = await client.send(target, params, timeout=timeout)
            except BaseException as raised:  # whatever ends a call is what the rule judges
                error = raised
            ticket.future.set_result(Ended(value, error, time.monotonic() - started))

        self.run(work())
        return ticket

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self.run(self._cancel_all()).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    @staticmethod
    async def _cancel_all() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)


def make(name: str) -> Surface:
    """Make the surface of that name."""
    return OnLoop() if name == "asyncio" else Blocking()
