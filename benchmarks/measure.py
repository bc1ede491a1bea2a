"""How things are timed: in turn, in small blocks, so that a noisy machine treats all of them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import NamedTuple


class Timed(NamedTuple):
    """What a series of single calls took, in microseconds."""

    p50: float
    p99: float
    count: int


def in_turn(calls: dict[str, Callable[[], object]], *, rounds: int, block: int) -> dict[str, Timed]:
    """Time single calls of each kind, ``block`` of one kind and then of the next, ``rounds`` times over."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(block):
            call()
    gc.collect()
    for _ in range(rounds):
        for name, call in calls.items():
            seen = times[name]
            for _ in range(block):
                start = time.perf_counter()
                call()
                seen.append(time.perf_counter() - start)
    return {name: _summary(seen) for name, seen in times.items()}


def rates(runs: dict[str, Callable[[int], None]], *, rounds: int, count: int) -> dict[str, float]:
    """Measure how many a second each kind makes: the median of ``rounds`` runs of ``count``, taken in turn."""
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(min(count, 500))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(count)
            seen[name].append(count / (time.perf_counter() - start))
    return {name: sorted(values)[len(values) // 2] for name, values in seen.items()}


def _summary(seen: list[float]) -> Timed:
    ordered = sorted(seen)
    return Timed(ordered[len(ordered) // 2] * 1e6, ordered[int(len(ordered) * 0.99)] * 1e6, len(ordered))
