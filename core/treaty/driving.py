"""What the drivers share: the clocks, a wake-up for one thread, and the deadline of the request being served.

With the rooms that import it, this is where threads and time are known. It must not know messages.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import time
from _thread import allocate_lock
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from queue import Empty, SimpleQueue
from traceback import walk_tb
from types import FrameType
from typing import Any, Final

from treaty.engine import Instant
from treaty.errors import DeadlineExceeded


class Allowance:
    """How long the calls may take that are made while a request is served; tasks and threads that are left behind by its
    handler hold on to it, and are bound no longer once the request is answered.
    """

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        #: On the steady clock; ``None`` once the request is answered.
        self.until: float | None = until


#: Of the request that this thread or task is serving.
SERVING: Final[ContextVar[Allowance | None]] = ContextVar("treaty_serving", default=None)


def present() -> Instant:
    """Read both clocks."""
    return Instant(time.time_ns() // 1_000_000, time.monotonic())


def raised_by_signal(error: BaseException) -> BaseException | None:
    """Return the exception that comes out of a handler of a signal that the program set, if it is this one or a cause of
    it: it may be raised anywhere in the main thread, where a transport may take it for its own, and is meant for the
    program.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = {getattr(getattr(handler, "__func__", handler), "__code__", None) for handler in handlers} - {None}
    cause: BaseException | None = error
    while cause is not None:
        if any(frame.f_code in codes for frame, _ in walk_tb(cause.__traceback__)):
            return cause
        cause = cause.__cause__
    return None


def hand_through(error: BaseException) -> None:
    """Raise what :func:`raised_by_signal` finds, if it finds something."""
    interruption = raised_by_signal(error)
    if interruption is not None:
        raise interruption


def for_the_program(error: BaseException) -> bool:
    """Whether what came out of somebody's callback is meant for the program, which Ctrl-C is to end, and not for the
    callback. It reaches the main thread; in any other one it was raised by the callback itself.
    """
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def check_callback(what: str, function: object) -> None:
    """Refuse what cannot be called, or would return a coroutine that nobody awaits.

    Raises:
        TypeError: it is no callable, or a coroutine function; the text begins with ``what``.
    """
    if not callable(function):
        raise TypeError(f"{what} is callable, not {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        raise TypeError(f"{what} is called in a thread, where nobody awaits it: write 'def', not 'async def'")


def left_until(until: float, otherwise: str) -> float:
    """Return how many seconds are left until a steady time.

    Raises:
        DeadlineExceeded: none are; with this text.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded(otherwise)
    return left


def held_here(lock: Any) -> bool:
    """Whether this very thread holds a ``threading.RLock``: then a signal's handler, or a ``__del__`` that the collector
    calls, has come back into the middle of what it interrupted.
    """
    held: bool = lock._is_owned()  # noqa: SLF001 - as threading.Condition asks
    return held


def in_the_middle(*owners: Any) -> bool:
    """Whether this very thread has come here out of a method of one of these, whoever called that in between: a signal's
    handler, a ``__del__``, or a callback. Nothing is kept for it that an interruption could leave behind.
    """
    asked = [(owner, _methods(owner.__class__)) for owner in owners]
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - before the method that asks
    while frame is not None:
        code = id(frame.f_code)
        for owner, methods in asked:
            if code in methods and frame.f_locals.get("self") is owner:
                return True
        frame = frame.f_back
    return False


@cache
def _methods(kind: Any) -> frozenset[int]:
    """The methods of a class, by what is quick to compare: the hash of their code is made anew each time."""
    return frozenset(id(member.__code__) for member in vars(kind).values() if hasattr(member, "__code__"))


class Randomness:
    """``os.urandom`` in small pieces of large ones: a quarter of the time. Thread-safe; not for secrets that last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = b""
        self._at = 0

    def __call__(self, count: int) -> bytes:
        """Return ``count`` random bytes."""
        with self._lock:
            end = self._at + count
            if end > len(self._pool):
                self._pool = os.urandom(max(4096, count))
                self._at, end = 0, count
            piece = self._pool[self._at : end]
            self._at = end
            return piece


class WakeUp:
    """Wakes one thread that sleeps. A wake-up that comes first is kept; several count as one."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Let the sleeper go, or the next one who lies down."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # it is awake already

    def sleep(self, seconds: float) -> None:
        """Wait until woken, or until the time is over."""
        self._lock.acquire(timeout=min(max(seconds, 0.0), 3600.0))


class Turn:
    """Something that one at a time may do, and nobody waits for. Who has it is known, so that it is given back whatever
    interrupts the taker: a signal's handler may raise between any two steps of a thread, or come for it itself.
    """

    __slots__ = ("_holder", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holder: object = None

    @property
    def taken(self) -> bool:
        """Whether somebody has it."""
        return self._holder is not None

    def take(self, holder: object) -> bool:
        """Let this one have it, if nobody does."""
        with self._lock:
            if self._holder is None:
                self._holder = holder
                return True
            return False

    def leave(self, holder: object) -> bool:
        """Take it from this one. Return whether it had it."""
        with self._lock:
            had = self._holder is holder
            if had:
                self._holder = None
            return had


class Worker:
    """A daemon thread that is started when it is first needed."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._lock = threading.RLock()  # also for who comes back here from a signal's handler, as in all of these
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether there is a thread, or was."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, unless it was started before. Where a signal's handler interrupts this, it may run or not; the
        next call sees to it that one runs.
        """
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        with self._lock:  # whoever starts it holds this until it is known
            self._thread = self._thread or threading.current_thread()
        if self.own_thread:
            self._work()

    @property
    def own_thread(self) -> bool:
        """Whether it is the calling thread."""
        return self._thread is threading.current_thread()

    def join(self) -> None:
        """Wait for its end, unless it was never started or is the calling thread."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()


class Errands:
    """Does one thing after the other that may block, in a thread of its own; what is asked for must not raise."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._worker = Worker(name, self._work)
        self._lock = threading.RLock()  # around the start of the thread
        self._over = False
        self._joined_itself = False

    @property
    def started(self) -> bool:
        """Whether anything was ever asked for."""
        return self._worker.started

    @property
    def own_thread(self) -> bool:
        """Whether this is the thread that does them."""
        return self._worker.own_thread

    def add(self, job: Callable[[], None]) -> None:
        """Have something done soon; or at once and here, when all this is over."""
        with self._lock:
            over = self._over
            if not over:
                self._jobs.put(job)
                self._worker.start()
        if over:
            job()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # or it would keep what it refers to until the next one comes
        for job in self._left() if self._joined_itself else ():
            job()

    def end(self) -> None:
        """Let the thread end when it has done what was asked for so far."""
        self._jobs.put(None)

    def join(self) -> list[Callable[[], None]]:
        """Wait for that end. Return what was asked for since, and was not done: nothing if this is the thread itself,
        which still does it.
        """
        self._worker.join()
        with self._lock:
            self._over = True
            self._joined_itself = self._worker.own_thread
        if self._joined_itself:
            return []
        self.end()  # for a thread that has started since
        self._worker.join()
        return self._left()

    def _left(self) -> list[Callable[[], None]]:
        left = []
        while True:
            try:
                left.append(self._jobs.get_nowait())
            except Empty:
                return [job for job in left if job is not None]
