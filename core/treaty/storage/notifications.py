"""The iterator twin of a callback: what happens, in a ``for`` or an ``async for`` loop.

The buffer is bounded and nothing is dropped: who is slow makes the watch wait, which then reads what it missed. This
room must not know followers or services.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, NamedTuple, NoReturn, Self

from treaty import ConfigurationError
from treaty.storage.records import Notice
from treaty.storage.watch import Callback, Watch

#: How many wait for whoever iterates.
_ROOM: Final = 100


class Happened(NamedTuple):
    """What a callback is given, as one value."""

    event: str
    instance: Any
    message: Notice


class Notifications:
    """Iterate over it, blocking or asynchronously; it ends when it is closed. Made by ``StorageClient``."""

    def __init__(self, watch: Callable[[Callback], Watch]) -> None:
        self._kept: deque[Happened] = deque()
        self._changed = threading.Condition()
        self._waiters: list[Callable[[], None]] = []
        self._closed = False
        self._watch = watch(self._put)

    def __repr__(self) -> str:
        return f"<Notifications of {self._watch!r}>"

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened: see :attr:`Watch.counters`."""
        return self._watch.counters

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def __iter__(self) -> Iterator[Happened]:
        """Yield what happens, as it happens."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._kept or self._closed)
                if not self._kept:
                    return
                happened = self._kept.popleft()
                self._changed.notify_all()
            yield happened

    async def __aiter__(self) -> AsyncIterator[Happened]:
        """Yield what happens, as it happens."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(heard.set)
            except RuntimeError:
                return  # the loop was closed: nobody iterates any more

        with self._changed:
            self._waiters.append(wake)
        try:
            while True:
                heard.clear()
                with self._changed:
                    happened = self._kept.popleft() if self._kept else None
                    self._changed.notify_all()
                if happened is not None:
                    yield happened
                elif self._closed:
                    return
                else:
                    await heard.wait()
        finally:
            with self._changed:
                self._waiters.remove(wake)

    def close(self) -> None:
        """Unregister; what has come already is still yielded. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            waiters = list(self._waiters)
        self._watch.close()
        for wake in waiters:
            wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> NoReturn:
        raise ConfigurationError(
            "notifications have nothing to await here: write 'with await storage.aio.notifications(...) as "
            "notifications:', and 'async for' inside of it"
        )

    async def __aexit__(self, *_: object) -> None:
        # There for Python to look for; __aenter__ says what to write instead.
        return

    def _put(self, event: str, instance: Any, message: Notice) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._kept) < _ROOM or self._closed)
            if self._closed:
                return
            self._kept.append(Happened(event, instance, message))
            self._changed.notify_all()
            waiters = list(self._waiters)
        for wake in waiters:
            wake()
