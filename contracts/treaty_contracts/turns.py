"""Keeps the processes of one test run, as pytest-xdist starts them, from judging one target side by side.

It must not know targets or rules.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

#: pytest-xdist tells its processes so which one they are, and of which run.
_WORKER: Final = "PYTEST_XDIST_WORKER"
_RUN: Final = "PYTEST_XDIST_TESTRUNUID"


@contextmanager
def in_turn(what: str) -> Iterator[None]:
    """Wait until no other process of this test run is at the same, and keep them all waiting meanwhile.

    Does nothing where there are no such processes.

    Args:
        what: names what is not done side by side.
    """
    if _WORKER not in os.environ:
        yield
        return
    token = hashlib.sha256(f"{os.environ.get(_RUN)}\0{what}".encode()).hexdigest()[:24]
    path = Path(tempfile.gettempdir()) / f"treaty-contract-{token}.lock"
    descriptor = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process that was forked meanwhile may still have it open
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever had it may have removed the file meanwhile: who comes next makes another one, and does not wait
            # for this.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
