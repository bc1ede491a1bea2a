"""Signals that end a program, turned into an exception in the main thread, so that ``finally`` clauses run.

This room must not know who cleans up what.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def raising(make: Callable[[int], BaseException], *numbers: signal.Signals) -> Iterator[None]:
    """Have each of the signals raise ``make(number)`` while the block runs; outside the main thread, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: object) -> None:
        raise make(number)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
