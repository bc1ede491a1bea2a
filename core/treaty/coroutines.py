"""An event loop in a thread of its own, for handlers that are coroutines.

It must not know what the coroutines are for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

_LOG: Final = logging.getLogger("treaty.service")


class LoopThread:
    """Runs coroutines until it is stopped; starts with the first one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def own_thread(self) -> bool:
        """Whether the calling thread is the loop's."""
        return self._thread is threading.current_thread()

    def start(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        context: Context,
        started: Callable[[asyncio.Task[None]], None],
    ) -> None:
        """Run ``coroutine()`` as a task in ``context``, and tell ``started`` of the task before it runs.

        Raises:
            RuntimeError, OSError: there can be no loop, or not any more. The next one may try again.
        """
        with self._lock:
            loop = self._loop or self._begin()

        def begin() -> None:
            started(loop.create_task(coroutine(), context=context))

        loop.call_soon_threadsafe(begin)

    def _begin(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._run, args=(loop,), name=self._name, daemon=True)
        try:
            thread.start()
        except BaseException:
            loop.close()
            raise
        self._loop, self._thread = loop, thread
        return loop

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Ask a task to stop."""
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(task.cancel)

    def stop(self, patience: float | None = None) -> None:
        """End the loop; what still runs is cancelled, and left behind if it does not care.

        Args:
            patience: seconds to wait for a coroutine that blocks the loop; ``None``: until it does not.
        """
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                return
            self._stopping = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._stopping:
                try:
                    loop.run_forever()
                except (SystemExit, KeyboardInterrupt) as raised:
                    # A task that a handler started may end itself, and asyncio wants to end the program for it.
                    _LOG.error("a task of a handler raised %r; the event loop goes on", raised)
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=0.5))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
