"""Runs something in a forked child, so that a hang, a crash or an exit of the target is a verdict and not the end.

A fork takes the target along as it is, closures and all, and costs a few milliseconds. The child begins a process
group of its own, which is killed when it is over: whatever a target starts is gone before the next rule begins. This
room must not know rules, nor what the child does.
"""

from __future__ import annotations

import faulthandler
import fcntl
import gc
import os
import select
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Final, NamedTuple

from treaty_contracts.orphans import children, end_new

#: How much later than the child the parent loses its patience, in seconds: the child's own account says more.
GRACE: Final = 5.0
#: The exit code of a child whose work raised: what it was told to do is at fault, and not what it looked at.
FAULT: Final = 70
#: The same, where descriptors were closed or written to that belong to the child itself: then nobody else is at fault.
MEDDLED: Final = 71
#: What is said of that.
MEDDLING: Final = "descriptors were closed or written to that belong to the program: its standard output, or its pipes"
_HIGH: Final = 200
_CHUNK: Final = 65_536
_LENGTH: Final = 8
#: How long the mark is that stands before a report: what begins otherwise was written by somebody else.
_MARK: Final = 8
_LOOK: Final = 0.05
#: How much is kept of what was printed, from each end: a crash tells first what crashed, and everything else last.
_KEPT: Final = 4_000
_LAST_WORDS: Final = 1.0
#: As it was before a target could put something else in its place.
_SYSTEM_FORK: Final = os.fork


#: The descriptors of this process that no child is to have.
_withheld: set[int] = set()


def high(descriptor: int) -> int:
    """Put a descriptor out of the way of whoever closes or uses those that are not its own. Returns the new one."""
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # there may be none as high
        return descriptor
    os.close(descriptor)
    return moved


def withhold(descriptor: int) -> None:
    """Keep a descriptor from all children, for as long as this process lives: what is written there counts."""
    _withheld.add(descriptor)


class _MeddledError(Exception):
    """Something was written where a report was to come."""


class Ended(NamedTuple):
    """How a child ended."""

    #: What it reported; ``None`` if it could not.
    report: bytes | None
    #: How it ended instead: ``"exit code 3"``, ``"signal SIGSEGV"``, or ``""`` when it was killed for being late.
    end: str
    #: What was written to standard output and standard error meanwhile, or the last of it.
    printed: str


def in_child(work: Callable[[], bytes], limit: float) -> Ended:
    """Run ``work`` in a forked child and return what it reports.

    Args:
        work: runs in the child; what it returns is the report.
        limit: seconds after which the child is killed, once it has written the stacks of its threads.
    """
    before = children()
    with _scratch() as output:
        reading, writing = os.pipe()
        living, life = os.pipe()
        mark = os.urandom(_MARK)
        pid = _fork()
        if pid == 0:
            os.close(reading)
            os.close(life)
            _live(work, writing, living, output, mark)
        os.close(writing)
        os.close(living)
        with suppress(OSError):
            os.setpgid(pid, pid)  # whoever of the two comes first
        report, status, meddled = None, None, False
        try:
            report, status = _wait(pid, reading, limit, mark)
            if status is None:
                _ask_for_stacks(pid, output)
        except _MeddledError:
            meddled = True
        finally:
            os.close(reading)
            os.close(life)
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            if status is None:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            end_new(before)
        code = MEDDLED if meddled else None if status is None else os.waitstatus_to_exitcode(status)
        return Ended(report, "" if code is None else described(code), printed(output))


def _scratch() -> IO[bytes]:
    """Return a file without a name, also where somebody has removed the directory for temporary ones."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("contract"), "w+b")
    return tempfile.TemporaryFile()


def _fork() -> int:
    for stream in (sys.stdout, sys.stderr):
        # What waits in a buffer would be written twice.
        with suppress(Exception):
            stream.flush()
    with warnings.catch_warnings():
        # Python warns of forks beside threads from 3.12 on. The child uses none of their locks: it brings its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _SYSTEM_FORK()


def _live(work: Callable[[], bytes], writing: int, living: int, output: IO[bytes], mark: bytes) -> None:
    """Be the child. Never returns into the caller's code, whatever happens."""
    own = _owned(output.fileno(), writing)
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        threading.Thread(target=_end_with_parent, args=(living,), name="contract-life", daemon=True).start()
        for descriptor in _withheld:
            with suppress(OSError):
                os.close(descriptor)
        writing = high(writing)
        # What was inherited stays as it is: no finaliser of the parent's objects runs here.
        gc.freeze()
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        faulthandler.enable(file=2)
        # Not dump_traceback_later(): it waits for a thread of the parent's, if that uses it too.
        faulthandler.register(signal.SIGUSR1, file=2)
        # The default handlers: what a test runner does on a signal is none of the child's business.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        made = work()
        report = memoryview(mark + len(made).to_bytes(_LENGTH) + made)
        while report:
            report = report[os.write(writing, report) :]
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        with suppress(BaseException):
            sys.excepthook(*sys.exc_info())
        os._exit(FAULT if own == _owned(2, writing) else MEDDLED)
    # Not exit(): what the parent registered for its end is none of the child's business.
    os._exit(0)


def _owned(*descriptors: int) -> list[int]:
    """Return which files descriptors lead to; 0 for one that is closed."""
    found = []
    for descriptor in descriptors:
        try:
            found.append(os.fstat(descriptor).st_ino)
        except OSError:
            found.append(0)
    return found


def _end_with_parent(living: int) -> None:
    os.read(living, 1)  # returns when the parent has closed its end, or is gone
    os.killpg(0, signal.SIGKILL)


def _ask_for_stacks(pid: int, output: IO[bytes]) -> None:
    """Have a child that is late write the stacks of its threads, unless it cannot even do that."""
    before = os.fstat(output.fileno()).st_size
    with suppress(OSError):
        os.kill(pid, signal.SIGUSR1)
    until = time.monotonic() + _LAST_WORDS
    while os.fstat(output.fileno()).st_size == before and time.monotonic() < until:
        select.select([], [], [], 0.01)
    select.select([], [], [], 0.05)  # all of it


def _wait(pid: int, reading: int, limit: float, mark: bytes) -> tuple[bytes | None, int | None]:
    """Return the report and the wait status of the child, as far as there is one: both ``None`` if it was too late.

    Raises:
        _MeddledError: what came is no report.
    """
    until = time.monotonic() + limit
    got, status, head = bytearray(), None, len(mark) + _LENGTH
    while len(got) < head or len(got) < head + int.from_bytes(got[len(mark) : head]):
        left = until - time.monotonic()
        if left <= 0:
            return None, status
        # Whatever the child started may hold the pipe open: the end of the child itself is looked for as well.
        readable = select.select([reading], [], [], 0 if status is not None else min(left, _LOOK))[0]
        chunk = os.read(reading, _CHUNK) if readable else b""
        got += chunk
        if got[: len(mark)] != mark[: len(got)]:
            raise _MeddledError
        if not chunk:
            if status is not None:
                return None, status
            ended, code = os.waitpid(pid, 0 if readable else os.WNOHANG)
            status = code if ended else None
    return bytes(got[head:]), os.waitpid(pid, 0)[1] if status is None else status


def described(code: int) -> str:
    """Say how a process ended, by its exit code; below 0 it was a signal."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def printed(output: IO[bytes]) -> str:
    """Return what was written to a file: the first and the last of it, where it is long."""
    size = output.seek(0, os.SEEK_END)
    output.seek(0)
    if size <= 2 * _KEPT:
        return output.read().decode("utf-8", "backslashreplace").strip()
    first = output.read(_KEPT)
    output.seek(size - _KEPT)
    parts = (part.decode("utf-8", "backslashreplace") for part in (first, output.read()))
    return f"\n... ({size - 2 * _KEPT:,} bytes) ...\n".join(parts).strip()
