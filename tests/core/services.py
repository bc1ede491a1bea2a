"""The services that the drivers' tests call."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from treaty import Incoming, Line, Service, TransportError, error
from treaty_memory import MemoryTransport

_NUMBERS = count()
#: Seconds that nothing in these tests should ever take.
LIMIT = 10.0


@error("tests.too-slow", status=409)
class TooSlow(Exception):
    """An error of an application."""

    def __init__(self, speed: int) -> None:
        super().__init__(f"a speed of {speed}")
        self.speed = speed


class Gate:
    """Where handlers wait; says how many are inside, and how many were at most."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Event()
        self.inside = self.most = 0
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], object]] = []

    def enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.arrived.release()

    def open(self) -> None:
        with self._lock:
            self.opened.set()
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    async def wait_opened(self) -> None:
        loop, opened = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if self.opened.is_set():
                return
            self._waiting.append(lambda: loop.is_closed() or loop.call_soon_threadsafe(opened.set))
        await opened.wait()

    def leave(self) -> None:
        with self._lock:
            self.inside -= 1

    def await_arrival(self, number: int = 1) -> None:
        for _ in range(number):
            assert self.arrived.acquire(timeout=LIMIT)


class Slow(Service):
    """A bit of everything."""

    name = "slow"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gate = Gate()
        self.seen: list[str] = []
        self.heard = threading.Event()

    def on_echo(self, message: Incoming, text: str = "NO DATA") -> dict[str, str]:
        self.seen.append(message.id)
        return {"RETURN_DATA": text}

    async def on_later(self, message: Incoming, text: str = "NO DATA") -> dict[str, str]:
        await asyncio.sleep(0)
        return {"RETURN_DATA": text}

    def on_wait(self, message: Incoming) -> str:
        self.gate.enter()
        try:
            assert self.gate.opened.wait(LIMIT)
        finally:
            self.gate.leave()
        return "waited"

    async def on_wait_later(self, message: Incoming) -> str:
        self.gate.enter()
        try:
            await self.gate.wait_opened()
        finally:
            self.gate.leave()
        return "waited"

    def on_until_cancelled(self, message: Incoming) -> str:
        self.gate.enter()
        if message.wait_cancelled(LIMIT) and message.cancelled:
            self.heard.set()
        return "cancelled"

    async def on_until_cancelled_later(self, message: Incoming) -> None:
        self.gate.enter()
        try:
            await asyncio.sleep(LIMIT)
        except asyncio.CancelledError:
            assert message.cancelled
            self.heard.set()
            raise

    def on_report(self, message: Incoming, steps: int = 3) -> str:
        for step in range(steps):
            assert message.status(102, f"step {step}", progress=step / steps)
        message.set_status(201, "Took a while, but I am back.")
        message.set_header("tide", "high")
        return "reported"

    def on_headers(self, message: Incoming) -> dict[str, str]:
        return message.headers

    def on_fail(self, message: Incoming) -> None:
        raise NotImplementedError("I was never created")

    def on_fail_by_plan(self, message: Incoming, speed: int) -> None:
        raise TooSlow(speed)

    async def on_fail_later(self, message: Incoming) -> None:
        raise NotImplementedError("I was never created")

    def on_exit(self, message: Incoming) -> None:
        sys.exit(3)

    async def on_exit_later(self, message: Incoming) -> None:
        sys.exit(3)

    def on_unsendable(self, message: Incoming) -> object:
        return object()

    def on_truncated(self, message: Incoming) -> msgspec.Raw:
        return msgspec.Raw(b'{"a":')

    def on_large(self, message: Incoming, size: int) -> str:
        return "x" * size

    def on_ask(self, message: Incoming, target: str, timeout: float | None = None) -> Any:
        return message.client.call(target, timeout=timeout)

    async def on_ask_later(self, message: Incoming, target: str) -> Any:
        return await message.client.send(target)

    def on_remaining(self, message: Incoming) -> float:
        return message.remaining


class Relay(Service):
    """Asks the other service."""

    name = "relay"

    def on_remaining(self, message: Incoming) -> list[float]:
        return [message.remaining, message.client.call("slow.remaining")]

    async def on_remaining_later(self, message: Incoming) -> list[float]:
        return [message.remaining, await message.client.send("slow.remaining")]

    def on_wait(self, message: Incoming) -> None:
        message.client.call("slow.wait")

    def on_ask_wrongly(self, message: Incoming) -> None:
        message.client.call("slow.echo", {"wrong": 1})

    def on_fail_by_plan(self, message: Incoming) -> None:
        message.client.call("slow.fail_by_plan", [7])


def in_threads(number: int, work: Callable[[int], object]) -> list[object]:
    """Do it in so many threads that begin at once; return what each returned, or raised."""
    ready = threading.Barrier(number)
    results: list[object] = [None] * number

    def one(index: int) -> None:
        ready.wait(LIMIT)
        try:
            results[index] = work(index)
        except BaseException as raised:
            results[index] = raised

    threads = [threading.Thread(target=one, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT * 3)
        assert not thread.is_alive()
    return results


def echoed(text: object) -> dict[str, str]:
    return {"RETURN_DATA": str(text)}


class Broken(MemoryTransport):
    """Its lines can be made to fail once."""

    def __init__(self) -> None:
        super().__init__(f"broken-{next(_NUMBERS)}")
        self.errors: list[TransportError] = []

    def dial(self) -> Line:
        line = super().dial()
        receive = line.receive

        def fail_first(timeout: float) -> bytes | None:
            if self.errors:
                raise self.errors.pop()
            return receive(min(timeout, 0.01))

        line.receive = fail_first  # type: ignore[method-assign]
        return line


def await_end(service: Service) -> None:
    """Wait until a service serves no more."""
    until = time.monotonic() + LIMIT
    while not service._over:
        assert time.monotonic() < until, f"{service} serves on"
        service._news.sleep(0.05)
