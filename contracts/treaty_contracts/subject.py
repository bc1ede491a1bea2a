"""The service that rules call: it echoes, fails, waits and reports on demand, and keeps what it was asked.

It is plain application code on the public names of ``treaty``. It must not know transports or rules.
"""

# ruff: noqa: ARG002 - every handler takes the message

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from treaty import Incoming, Service, error


@error("contract.sample", status=409)
class SampleError(Exception):
    """A registered error with fields."""

    def __init__(self, text: str, left: int, tags: list[str]) -> None:
        super().__init__(text)
        self.left = left
        self.tags = tags

    left: int
    tags: list[str]


class Subject(Service):
    """What is called. ``seen`` lists the handlers that ran, as (method, first parameter)."""

    def setup(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.started: dict[str, threading.Event] = defaultdict(threading.Event)
        self.gates: dict[str, threading.Event] = defaultdict(threading.Event)
        self.kept: list[Any] = []

    def on_echo(self, message: Incoming, value: Any = None) -> Any:
        """Return what came."""
        self.seen.append(("echo", value))
        return value

    async def on_echo_later(self, message: Incoming, value: Any = None) -> Any:
        """Return what came, from a coroutine."""
        self.seen.append(("echo_later", value))
        return value

    def on_keep(self, message: Incoming, value: Any) -> Any:
        """Change what came, keep the result, and return the very object that is kept."""
        value["changed"] = True
        self.kept.append(value)
        return value

    def on_wait(self, message: Incoming, gate: str, value: Any = None) -> Any:
        """Return ``value`` once the gate is open."""
        self.seen.append(("wait", gate))
        self.started[gate].set()
        self.gates[gate].wait(60)
        return value

    def on_report(self, message: Incoming, count: int) -> int:
        """Push status messages."""
        self.seen.append(("report", count))
        for number in range(count):
            message.status(102, f"step {number}", progress=number / max(count, 1))
        return count

    def on_typed(self, message: Incoming, text: str, left: int, tags: list[str]) -> None:
        """Raise a registered error."""
        self.seen.append(("typed", text))
        raise SampleError(text, left, tags)

    def on_fail(self, message: Incoming, text: str = "") -> None:
        """Raise an error that nobody registered."""
        self.seen.append(("fail", text))
        raise LookupError(text)

    def on_exit(self, message: Incoming) -> None:
        """Try to end the process."""
        self.seen.append(("exit", None))
        raise SystemExit(3)

    def on_opaque(self, message: Incoming) -> Any:
        """Return what JSON cannot carry."""
        self.seen.append(("opaque", None))
        return object()

    def on_large(self, message: Incoming, size: int) -> str:
        """Return a text of that many characters."""
        self.seen.append(("large", size))
        return "x" * size
