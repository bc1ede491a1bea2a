"""What every broker must do for one end, and the small parts that the ways of doing it share.

A link is one end's own connection. It knows names, bytes and threads; whether an end is closed or forked, and whether
a frame is too large, was checked before it is asked.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar
from weakref import WeakMethod, finalize

from kombu import Connection  # type: ignore[attr-defined]  # kombu exports lazily

from treaty import Unavailable

from .settings import Settings

log: Final = logging.getLogger("treaty.kombu")
_T = TypeVar("_T")

#: Seconds that one poll may last; the operating system counts milliseconds in 32 bits.
LONGEST: Final = 86_400.0
#: How our messages are marked. Anything else in a queue of ours is foreign and is thrown away.
CONTENT_TYPE: Final = "application/x-treaty"


@dataclass(frozen=True, slots=True)
class Role:
    """What a link takes in: replies to a line, work for a service, the feed of a channel, or nothing."""

    kind: Literal["replies", "work", "feed", "none"]
    name: str = ""  # the service or the channel
    capacity: int = 1


@dataclass(slots=True)
class Arrived:
    """A frame as it came from the broker, and what the link needs to settle it."""

    frame: bytes
    reply_to: str = ""
    redelivered: bool = False
    token: Any = None


class Link(ABC):
    """One end's connection to a broker. It connects again by itself, on the first use after a loss.

    Every method may be called from any thread; ``receive`` by one at a time. Errors are those of the transport law.
    """

    def __init__(self, settings: Settings, role: Role) -> None:
        self.settings = settings
        self.role = role
        self.token = os.urandom(16).hex()
        self.address = settings.reply_queue(self.token) if role.kind == "replies" else ""

    @abstractmethod
    def open(self) -> None:
        """Begin to take in: what is sent from now on will arrive. Raises ``Unavailable``.

        A line needs no connection before something is sent on it, and opening one never waits for a broker.
        """

    @abstractmethod
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        """Put a request into the queue of a service."""

    @abstractmethod
    def reply(self, address: str, frame: bytes) -> None:
        """Put a reply into the queue of a line, if there is one."""

    @abstractmethod
    def publish(self, channel: str, frame: bytes) -> None:
        """Give a copy to every subscriber of a channel."""

    @abstractmethod
    def receive(self, timeout: float) -> Arrived | None:
        """The next frame, or ``None`` after ``timeout`` seconds."""

    @abstractmethod
    def settle(self, arrived: Arrived, accepted: bool) -> None:
        """Give the place free again. Never raises."""

    @abstractmethod
    def close(self) -> None:
        """End a blocked ``receive`` and remove everything from the broker and the process. Idempotent, never raises."""

    @abstractmethod
    def abandon(self) -> None:
        """In a forked child: give back our copies of the descriptors. No lock is taken and no byte is sent."""


class Waker:
    """A descriptor that one thread waits for and any other makes readable."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._lock = threading.RLock()
        self._release = finalize(self, _close, self._read, self._write)  # also when nobody closes it
        self._release.atexit = False

    def fileno(self) -> int:
        """What to wait for."""
        return self._read

    def set(self) -> None:
        """Wake the waiter, now or when it next waits."""
        with self._lock:
            if self._write >= 0:
                with suppress(BlockingIOError):  # full: it is going to wake up anyway
                    os.write(self._write, b"x")

    def clear(self) -> None:
        """Forget what woke us."""
        with self._lock, suppress(OSError):
            os.read(self._read, 65536)

    def wait(self, timeout: float) -> None:
        """Wait until woken, at most ``timeout`` seconds."""
        if readable(self._read, timeout):
            self.clear()

    def close(self) -> None:
        """Give the descriptors back."""
        with self._lock:
            self.abandon()

    def abandon(self) -> None:
        """The same in a forked child, where nobody can be using them and the lock may be held for ever."""
        self._release()
        self._read = self._write = -1


class Held(Generic[_T]):
    """Have a lock while a block runs, or raise ``Unavailable`` after some time. No interruption leaves it locked.

    What the handler of a signal raises can strike between any two steps of Python, right after a lock was taken as well.
    So leaving is the lock's own, which is one step. And a handler that comes back here in the middle of what it
    interrupted would meet half a command.

    Args:
        lock: a ``threading.RLock``, which knows its owner from the very step on that takes it.
        timeout: seconds.
        shown: what the lock is for, for the texts of errors.
        then: makes what the block is given, with the lock held.
    """

    __slots__ = ("__exit__", "_lock", "_shown", "_then", "_timeout")

    def __init__(self, lock: Any, timeout: float, shown: str, then: Callable[[], _T]) -> None:
        self._lock, self._timeout, self._shown, self._then = lock, timeout, shown, then
        self.__exit__ = lock.__exit__  # type: ignore[method-assign]  # it is looked up in the slot

    def __enter__(self) -> _T:
        if self._lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            raise interrupted(self._shown)
        try:
            if not self._lock.acquire(timeout=self._timeout):
                raise Unavailable(  # noqa: TRY301 - handled like any other end
                    f"the connection to {self._shown} was busy for {self._timeout:.3g} seconds"
                )
            return self._then()
        except BaseException:
            try:  # noqa: SIM105 - not one step before it is given back
                self._lock.release()
            except RuntimeError:
                pass  # it is not ours
            raise

    if TYPE_CHECKING:

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
        ) -> None:
            """Give the lock back."""


class Whole:
    """What is done with a connection in the block is done as a whole, or the connection is given up: after half a message
    no other is understood, and an interruption in the middle would leave answers to the wrong questions.

    Args:
        spoil: gives it up, and is told why; also of what the handler of a signal has raised.
    """

    def __init__(self, spoil: Callable[[BaseException], None]) -> None:
        self._spoil = spoil

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._spoil(error)


class Pulse:
    """A small thread that does one thing every so often, because nobody may be inside the link for hours.

    Args:
        name: of the thread.
        interval: seconds.
        beat: a method, whose object this does not keep alive: the thread ends with it.
    """

    def __init__(self, name: str, interval: float, beat: Callable[[], None]) -> None:
        self._interval = interval
        self._stopped = stopped = threading.Event()
        self._beat = WeakMethod(beat, lambda _: stopped.set())
        self._thread = threading.Thread(target=self._run, name=f"treaty-kombu-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            beat = self._beat()
            try:
                if beat is not None:
                    beat()
            except Exception:  # the next beat may fare better, and nobody waits for this one
                log.debug("housekeeping failed; trying again", exc_info=True)
            del beat  # or the object would live through the next pause

    def stop(self) -> None:
        """End the thread and wait until it is gone."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def readable(descriptor: int, timeout: float = 0) -> bool:
    """Whether reading from a descriptor would not block, now or within ``timeout`` seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(min(timeout, LONGEST) * 1000))


def driver(name: str, **options: Any) -> Any:
    """The transport of kombu itself: how to connect to a kind of broker, and what its errors are. It is not connected yet."""
    return Connection(transport=name, **options).transport  # type: ignore[no-untyped-call]


def interrupted(shown: str) -> Unavailable:
    """What a signal's handler or a ``__del__`` is told that comes back into the middle of what its thread does here."""
    return Unavailable(f"the connection to {shown} is in the middle of something that this interrupted")


def text(error: BaseException) -> str:
    """An error of a driver in one line, with its kind: many of them say nothing else."""
    return f"{type(error).__name__}: {error}"
