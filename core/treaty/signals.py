"""Signals that a program listens to while a block runs. A forked child does not inherit that: there, each of them does
what it did before, so that whoever forked can end it.

This room must not know what a signal means. ``treaty.cli`` imports it before all the others, so it imports little.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import register_at_fork
from types import FrameType
from typing import Any, Final, NamedTuple


class _Listening(NamedTuple):
    number: int
    handle: Callable[[int, FrameType | None], None]
    before: Any


_all: Final[list[_Listening]] = []
_mask: Final = threading.local()


@contextmanager
def listening(handle: Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """Have each of the signals handled by ``handle`` while the block runs, but not in a child that is forked meanwhile.
    For the main thread.
    """
    begun: list[_Listening] = []
    try:
        for number in numbers:
            one = _Listening(number, handle, signal.getsignal(number) or signal.SIG_DFL)
            begun.append(one)
            _all.append(one)  # first: another thread may fork at any time
            signal.signal(number, handle)
        yield
    finally:
        for one in begun:
            signal.signal(one.number, one.before)
            if one in _all:  # not so in a child
                _all.remove(one)


def _hold_back() -> None:
    # What reaches the child before it has forgotten the handlers would get lost. In the main thread nothing is held
    # back: there the handlers run, and what they raise would get lost in here.
    if _all and threading.current_thread() is not threading.main_thread():
        _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, {one.number for one in _all})


def _let_through() -> None:
    before = vars(_mask).pop("before", None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget() -> None:
    for one in reversed(_all):
        if signal.getsignal(one.number) is one.handle:
            signal.signal(one.number, one.before)
    _all.clear()
    _let_through()


register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_forget)
