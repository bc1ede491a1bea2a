"""Limits in time for what must not hang: one for a piece of work, one for the whole program.

This room must not know what the work is.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import NoReturn, TypeVar

_T = TypeVar("_T")


class HungError(Exception):
    """A piece of work was not done in its time."""


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what ``work()`` returns, or raise what it raises.

    Raises:
        HungError: it was not done; its thread is left alone, and ends with the process.
    """
    ended: SimpleQueue[Callable[[], _T]] = SimpleQueue()

    def run() -> None:
        try:
            value = work()
        except BaseException as raised:
            failure = raised
            ended.put(lambda: _raise(failure))
        else:
            ended.put(lambda: value)

    threading.Thread(target=run, name="treaty-demo-step", daemon=True).start()
    try:
        outcome = ended.get(timeout=seconds)
    except Empty:
        raise HungError(f"nothing happened for {seconds:g} s") from None
    return outcome()


def _raise(error: BaseException) -> NoReturn:
    raise error


@contextmanager
def last_resort(seconds: float) -> Iterator[None]:
    """End the process with code 1 if the block is not done by then. The other processes end when this one has."""

    def end() -> None:
        sys.stderr.write(f"treaty demo: not done after {seconds:g} s; giving up\n")
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
