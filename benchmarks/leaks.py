"""A hundred thousand calls, then close: what is left of threads, descriptors, keys, queues and memory."""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.processes import SECRET
from treaty import Client, Incoming, Pending, Service, connect


class Footprint(NamedTuple):
    """What this process holds."""

    threads: int
    descriptors: int
    rss_mib: float


class Echo(Service):
    name = "bench-leak"

    def on_echo(self, message: Incoming, text: str) -> str:
        return text


def footprint() -> Footprint:
    gc.collect()
    return Footprint(
        threading.active_count(),
        len(list(Path("/proc/self/fd").iterdir())),
        psutil.Process(os.getpid()).memory_info().rss / 2**20,
    )


def after_many_calls(url: str, count: int, window: int = 64) -> tuple[Footprint, Footprint]:
    """Return the footprint before and after; service and client both live in this process, and are closed."""
    _many_calls(url, 2_000, window)
    before = footprint()
    _many_calls(url, count, window)
    return before, footprint()


def _many_calls(url: str, count: int, window: int) -> None:
    with connect(url) as near, connect(url) as far, Echo(far, secret=SECRET), Client(near, secret=SECRET) as client:
        open_calls: deque[Pending] = deque()
        for number in range(count):
            if len(open_calls) == window:
                open_calls.popleft().result()
            open_calls.append(client.send("bench-leak.echo", {"text": str(number)}))
        for pending in open_calls:
            pending.result()
