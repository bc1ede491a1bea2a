"""A forked child that does something with a transport and reports: for the rules about processes.

It must not know what the child is to do. The child never returns into the suite, and is killed when it takes too long.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from treaty_contracts.expect import Violated, said, shown


class Child:
    """A forked process.

    Args:
        work: runs in the child; what it returns is the report, and must be what JSON can carry.
        limit: seconds after which the child kills itself.
    """

    def __init__(self, work: Callable[[], Any], limit: float) -> None:
        self._limit = limit
        self._read, write = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forks beside threads from 3.12 on. That is the very case that is looked at here.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            _live(work, write, limit)
        os.close(write)

    def report(self) -> Any:
        """Wait for the child and return what it reported."""
        chunks = []
        until = time.monotonic() + self._limit
        try:
            while select.select([self._read], [], [], max(0.0, until - time.monotonic()))[0]:
                chunk = os.read(self._read, 65_536)
                if not chunk:
                    break
                chunks.append(chunk)
        finally:
            self.kill()
        if not chunks:
            raise Violated("the forked child reports", f"nothing in {self._limit:g} s: it hung or died")
        came = b"".join(chunks)
        try:
            return json.loads(came)
        except ValueError:  # by who writes to descriptors that are not its own
            expected = "the forked child reports"
            raise Violated(expected, f"something else was written where it reports: {shown(came)}") from None

    def kill(self) -> None:
        """End the child if it lives, and leave nothing of it. Idempotent."""
        if self._read < 0:
            return
        os.close(self._read)
        self._read = -1
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _live(work: Callable[[], Any], write: int, limit: float) -> None:
    # In the child this thread is the only one, but Python may still remember that it was not the main one.
    with suppress(ValueError):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        report = work()
    except BaseException as raised:  # the child must not return into the suite
        report = said(raised)
    os.write(write, json.dumps(report).encode())
    # Not exit(): what the parent registered for its end is none of the child's business.
    os._exit(0)
