"""News of other threads reach the loop, all of them, in order, and with one call for what comes together."""

from __future__ import annotations

import asyncio
import gc
import threading
from weakref import ref

from treaty.landing import Landing, landing_of


def test_what_is_given_together_arrives_together_and_in_order() -> None:
    async def run() -> tuple[list[int], int]:
        loop, landing = asyncio.get_running_loop(), Landing()
        seen: list[int] = []
        calls = 0
        before = loop.call_soon_threadsafe

        def counted(*args: object) -> object:
            nonlocal calls
            calls += 1
            return before(*args)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]

        def give() -> None:
            for number in range(100):
                landing.give(loop, lambda number=number: seen.append(number))  # type: ignore[misc]

        thread = threading.Thread(target=give)
        thread.start()
        thread.join()  # the loop stands still meanwhile
        await asyncio.sleep(0)
        return seen, calls

    assert asyncio.run(run()) == (list(range(100)), 1)


def test_nothing_is_lost_between_many_threads_and_a_busy_loop() -> None:
    async def run() -> int:
        loop, landing, everything = asyncio.get_running_loop(), Landing(), asyncio.Event()
        seen = 0

        def count() -> None:
            nonlocal seen
            seen += 1
            if seen == 8_000:
                everything.set()

        def give() -> None:
            for _ in range(1_000):
                landing.give(loop, count)

        threads = [threading.Thread(target=give) for _ in range(8)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(everything.wait(), 30)
        for thread in threads:
            thread.join()
        return seen

    assert asyncio.run(run()) == 8_000


def test_a_closed_loop_is_nobodys_trouble_and_is_not_kept() -> None:
    loop = asyncio.new_event_loop()
    landing = landing_of(loop)
    assert landing_of(loop) is landing
    loop.close()
    landing.give(loop, lambda: None)
    gone = ref(loop)
    del loop
    gc.collect()
    assert gone() is None
