"""An event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar, copy_context

from treaty.coroutines import LoopThread

from .services import LIMIT

NAME: ContextVar[str] = ContextVar("name", default="nobody")


def test_a_coroutine_runs_in_its_context_and_in_the_loops_thread() -> None:
    loop, over = LoopThread("a-loop"), threading.Event()
    seen: list[str] = []
    context = copy_context()
    context.run(NAME.set, "somebody")

    async def work() -> None:
        seen.extend([NAME.get(), threading.current_thread().name])
        over.set()

    loop.start(work, context, lambda _: None)
    assert over.wait(LIMIT)
    loop.stop()
    loop.stop()
    assert seen == ["somebody", "a-loop"]


def test_a_task_can_be_cancelled_from_another_thread() -> None:
    loop, cancelled, started = LoopThread("a-loop"), threading.Event(), threading.Event()
    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        try:
            started.set()
            await asyncio.sleep(LIMIT)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    loop.start(work, copy_context(), tasks.append)
    assert started.wait(LIMIT)
    loop.cancel(tasks[0])
    assert cancelled.wait(LIMIT)
    loop.stop()
    loop.cancel(tasks[0])


def test_what_still_runs_at_the_stop_is_cancelled() -> None:
    loop, cancelled, started = LoopThread("a-loop"), threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(LIMIT)
        finally:
            cancelled.set()

    loop.start(work, copy_context(), lambda _: None)
    assert started.wait(LIMIT)
    loop.stop()
    assert cancelled.is_set()


def test_a_loop_that_never_started_is_stopped_at_once() -> None:
    LoopThread("a-loop").stop()
    assert "a-loop" not in [thread.name for thread in threading.enumerate()]
