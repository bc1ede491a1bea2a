"""Something that runs in a thread of its own while the rule does something else: how it ended, and when.

It must not know transports.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from treaty import ClosedError, TransportError
from treaty_contracts.expect import Violated

_T = TypeVar("_T")


class Aside(Generic[_T]):
    """Runs an action in a thread."""

    def __init__(self, action: Callable[[], _T]) -> None:
        #: Set when the thread runs, just before the action.
        self.begun = threading.Event()
        #: When the action ended, on the steady clock.
        self.at = 0.0
        self._action = action
        self._over = threading.Event()
        self._result: list[_T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._work, name="contract-aside", daemon=True).start()

    def result(self, limit: float) -> _T:
        """Wait for the end and return the result, or raise what the action raised."""
        error = self.error(limit)
        if error is not None:
            raise error
        return self._result[0]

    def error(self, limit: float) -> BaseException | None:
        """Wait for the end and return what the action raised, or ``None``."""
        if not self._over.wait(limit):
            raise Violated("the other thread comes back", f"it is still blocked after {limit:g} s")
        return self._error

    def _work(self) -> None:
        self.begun.set()
        try:
            self._result.append(self._action())
        except BaseException as raised:  # whoever asks for the result gets it
            self._error = raised
        self.at = time.monotonic()
        self._over.set()


class Again:
    """Does something again and again in a thread, until it is closed or raises what is no error of a transport."""

    def __init__(self, use: Callable[[], object]) -> None:
        #: How often it was done.
        self.times = 0
        #: Whether it came to an end.
        self.over = False
        self._use = use
        self._thread = Aside(self._work)

    def end(self, limit: float) -> BaseException | None:
        """Wait for the end and return what was raised."""
        return self._thread.error(limit)

    def _work(self) -> None:
        try:
            while True:
                try:
                    self._use()
                except ClosedError:
                    raise
                except TransportError:
                    pass  # a send may meet a service that is just closing, and hear that nobody is there
                self.times += 1
        finally:
            self.over = True
