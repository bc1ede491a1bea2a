"""The iterator twin of a callback: what happens, in a ``for`` or an ``async for`` loop.

The buffer is bounded and nothing is dropped: who is slow makes the watch wait, which then reads what it missed. This
room must not know followers or services.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from treaty import ConfigurationError, Resource
from treaty.storage.records import Notice, Position
from treaty.storage.watch import Callback, Watch

#: How many wait for whoever iterates.
_ROOM: Final = 100
Positions: TypeAlias = dict[str, Position]


class Happened(NamedTuple):
    """What a callback is given, as one value."""

    event: str
    instance: Any
    message: Notice


class Notifications(Resource):
    """Iterate over it, blocking or asynchronously; it ends when it is closed. Made by ``StorageClient``.

    In a forked child all of it but ``close`` raises ``ForkedError``: nothing comes there.
    """

    def __init__(self, watch: Callable[[Callback], Watch]) -> None:
        super().__init__()
        #: What nobody has read yet, each with where the watch stood before it.
        self._kept: deque[tuple[Positions, Happened]] = deque()
        #: Where the watch stood before what the loop is at, until it asks for the next one.
        self._before: Positions | None = None
        #: Where the watch stood before what came too late, when this was closed.
        self._end: Positions | None = None
        # Its lock is what blocks hold: that is one step, which no interruption leaves half done.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiters: list[Callable[[], None]] = []
        self._made: Watch | None = None
        self._watch = watch(self._put)
        with self._lock:
            self._made = self._watch
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"<Notifications of {self._watch!r}>"

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened: see :attr:`Watch.counters`."""
        return self._watch.counters

    @property
    def positions(self) -> dict[str, Position]:
        """How far the loop has come, by feed: what another one can be given as ``since``. See :attr:`Watch.positions`.

        It moves on when the next one is asked for: what the loop is left at counts as not done. For one loop at a time.
        """
        self.check_process()
        with self._lock:  # so that nothing is put meanwhile
            if self._before is not None:
                return dict(self._before)
            if self._kept:
                return dict(self._kept[0][0])
            return self._watch.positions if self._end is None else dict(self._end)

    def __iter__(self) -> Iterator[Happened]:
        """Yield what happens, as it happens."""
        while True:
            self.check_process()
            with self._lock:
                self._before = None
                self._changed.wait_for(lambda: self._kept or self._closed)
                happened = self._take()
            if happened is None:
                return
            yield happened

    async def __aiter__(self) -> AsyncIterator[Happened]:
        """Yield what happens, as it happens."""
        self.check_process()
        loop, heard = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(heard.set)
            except RuntimeError:
                return  # the loop was closed: nobody iterates any more

        with self._lock:
            self._waiters.append(wake)
        try:
            while True:
                self.check_process()
                heard.clear()
                with self._lock:
                    happened = self._take()
                if happened is not None:
                    yield happened
                elif self._closed:
                    return
                else:
                    await heard.wait()
        finally:
            if not self.foreign:  # where nobody may be left to release it
                with self._lock:
                    self._waiters.remove(wake)

    def close(self) -> None:
        """Unregister; what has come already is still yielded. Idempotent."""
        if self.foreign:
            self._closed = True
            return
        with self._lock:
            self._closed = True
            self._changed.notify_all()
            waiters = list(self._waiters)
        self._watch.close()
        for wake in waiters:
            wake()

    async def __aenter__(self) -> NoReturn:
        raise ConfigurationError(
            "notifications have nothing to await here: write 'with await storage.aio.notifications(...) as "
            "notifications:', and 'async for' inside of it"
        )

    async def __aexit__(self, *_: object) -> None:
        # There for Python to look for; __aenter__ says what to write instead.
        return

    def _take(self) -> Happened | None:
        """Return the next one if it is there. The lock is held."""
        self._before, happened = self._kept.popleft() if self._kept else (None, None)
        self._changed.notify_all()
        return happened

    def _put(self, event: str, instance: Any, message: Notice) -> None:
        with self._lock:
            # The watch may be faster than whoever makes it.
            self._changed.wait_for(lambda: (self._made and len(self._kept) < _ROOM) or self._closed)
            if self._closed or self._made is None:
                if self._end is None and self._made is not None:
                    self._end = self._made.positions
                return
            self._kept.append((self._made.positions, Happened(event, instance, message)))
            self._changed.notify_all()
            waiters = list(self._waiters)
        for wake in waiters:
            wake()
