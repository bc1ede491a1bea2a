"""Three ways to use a client: blocking, asyncio, and mixed, which acts through one and observes through the other.

What a machine does is said once, and done on each of them. It must not know transports, nor what must come of it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from itertools import count
from typing import Any, Protocol, TypeVar

from treaty import Client, Notification, Pending, Status, Subscription
from treaty_contracts.aside import Aside
from treaty_contracts.expect import Violated
from treaty_contracts.surface import Ended, OnLoop

_T = TypeVar("_T")


class Face(Protocol):
    """A way to use a client. No method takes longer than ``limit`` seconds, or the contract is violated."""

    def call(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Ended:
        """Make a call and return how it ended."""

    def send(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Pending:
        """Start a call."""

    def end(self, pending: Pending, limit: float) -> Ended:
        """Return how a call ended, and the status messages that were heard."""

    def cancel(self, pending: Pending, limit: float) -> None:
        """Give a call up."""

    def listen(self, subscription: Subscription, heard: queue.SimpleQueue[Notification]) -> None:
        """Put what is heard into a queue, until the subscription is closed."""

    def do(self, action: Callable[[], _T], limit: float) -> _T:
        """Do something that may block."""

    def close(self) -> None:
        """Leave no thread behind."""


class BlockingFace:
    """Everything blocks a thread."""

    def call(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Ended:
        return Aside(lambda: _ended(lambda: client.call(target, params, timeout=timeout), ())).result(limit)

    def send(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Pending:
        return self.do(lambda: client.send(target, params, timeout=timeout), limit)

    def end(self, pending: Pending, limit: float) -> Ended:
        def work() -> Ended:
            heard = tuple(pending.statuses())
            return _ended(pending.result, heard)

        return Aside(work).result(limit)

    def cancel(self, pending: Pending, limit: float) -> None:
        self.do(pending.cancel, limit)

    def listen(self, subscription: Subscription, heard: queue.SimpleQueue[Notification]) -> None:
        def work() -> None:
            for notification in subscription:
                heard.put(notification)

        threading.Thread(target=work, name="contract-listening", daemon=True).start()

    def do(self, action: Callable[[], _T], limit: float) -> _T:
        return Aside(action).result(limit)

    def close(self) -> None:
        return


class AsyncioFace:
    """Everything is a task on one event loop; what has no awaitable form is done in a thread of the loop's."""

    def __init__(self) -> None:
        self._on_loop = OnLoop()
        self._loop = self._on_loop.loop

    def call(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Ended:
        async def work() -> Ended:
            return await _awaited(client.send(target, params, timeout=timeout))

        return self._run(work(), limit)

    def send(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Pending:
        async def work() -> Pending:
            return client.send(target, params, timeout=timeout)

        return self._run(work(), limit)

    def end(self, pending: Pending, limit: float) -> Ended:
        return self._run(_awaited(pending), limit)

    def cancel(self, pending: Pending, limit: float) -> None:
        self._run(_cancelled(pending), limit)

    def listen(self, subscription: Subscription, heard: queue.SimpleQueue[Notification]) -> None:
        async def work() -> None:
            async for notification in subscription:
                heard.put(notification)

        self._on_loop.run(work())

    def do(self, action: Callable[[], _T], limit: float) -> _T:
        async def work() -> _T:
            return await asyncio.to_thread(action)

        return self._run(work(), limit)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._on_loop.run(self._loop.shutdown_default_executor()).result(5)
        self._on_loop.close()

    def _run(self, work: Coroutine[Any, Any, _T], limit: float) -> _T:
        future: Future[_T] = self._on_loop.run(work)
        try:
            return future.result(limit)
        except NotYet:
            if future.done():
                raise  # the work itself says so
            raise Violated("a task comes back", f"it is still waiting after {limit:g} s") from None
        except CancelledError:
            raise Violated("a task comes to its end", "it was cancelled by somebody else") from None


class MixedFace:
    """Acts through one of the two and observes through the other, in turns."""

    def __init__(self) -> None:
        self._blocking, self._asyncio = BlockingFace(), AsyncioFace()
        self._turns = count()

    def call(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Ended:
        acting, observing = self._pair()
        return observing.end(acting.send(client, target, params, timeout, limit), limit)

    def send(self, client: Client, target: str, params: Any, timeout: float, limit: float) -> Pending:
        return self._pair()[0].send(client, target, params, timeout, limit)

    def end(self, pending: Pending, limit: float) -> Ended:
        # Asked through both: a call that is over is over for everybody, and in the same way.
        first, second = self._pair()
        seen, again = first.end(pending, limit), second.end(pending, limit)
        if seen != again:
            raise Violated(f"both faces see the same end: {seen.value!r}, {seen.error!r}", f"{again!r}")
        return seen

    def cancel(self, pending: Pending, limit: float) -> None:
        self._pair()[0].cancel(pending, limit)

    def listen(self, subscription: Subscription, heard: queue.SimpleQueue[Notification]) -> None:
        self._pair()[0].listen(subscription, heard)

    def do(self, action: Callable[[], _T], limit: float) -> _T:
        return self._pair()[0].do(action, limit)

    def close(self) -> None:
        self._asyncio.close()

    def _pair(self) -> tuple[Face, Face]:
        pair: tuple[Face, Face] = (self._blocking, self._asyncio)
        return pair if next(self._turns) % 2 else pair[::-1]


def _ended(work: Callable[[], Any], heard: tuple[Status, ...]) -> Ended:
    try:
        return Ended(work(), None, 0.0, heard)
    except BaseException as raised:  # whatever ends a call is what is judged
        return Ended(None, raised, 0.0, heard)


async def _awaited(pending: Pending) -> Ended:
    heard = tuple([status async for status in pending.statuses()])
    try:
        return Ended(await pending, None, 0.0, heard)
    except BaseException as raised:  # whatever ends a call is what is judged
        return Ended(None, raised, 0.0, heard)


async def _cancelled(pending: Pending) -> None:
    """Cancel a call in the way of asyncio: by cancelling the task that awaits it."""
    waiting = asyncio.ensure_future(pending.replied())
    await asyncio.wait([waiting], timeout=0)  # it has begun to wait when this returns
    waiting.cancel()
    await asyncio.wait([waiting])
    if not waiting.cancelled():
        waiting.exception()
