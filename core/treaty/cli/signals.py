"""Signals that end a program: at once while it is loaded, then as an exception in the main thread, so that ``finally``
clauses run.

This room must not know who cleans up what. It is imported before all the others, so it imports little.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn


@contextmanager
def raising(make: Callable[[int], BaseException], *numbers: signal.Signals) -> Iterator[None]:
    """Have each of the signals raise ``make(number)`` while the block runs; outside the main thread, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: object) -> None:
        raise make(number)

    from treaty.signals import listening  # not while the program is loaded

    with listening(handle, *numbers):
        yield


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Have Ctrl-C end the process at once, quietly, while the block runs or until :func:`raise_from_now_on`.

    There is nothing to clean up yet, and an exception would arrive wherever an import happens to be, which may keep it.
    """
    main = threading.current_thread() is threading.main_thread()
    # Who has another handler, or ignores the signal, has a reason.
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        raise_from_now_on()


def raise_from_now_on() -> None:
    """Have Ctrl-C raise ``KeyboardInterrupt`` again: something begins that is to be cleaned up."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, _: object) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(128 + number)
