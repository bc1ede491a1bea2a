"""What belongs to the whole program and not to a library in it, by name: looked at before and after, and compared.

Only what can be asked for without being changed is looked at, and what sets itself up when it is first used counts as it
is then. This room must not know rules, nor who may have changed something.
"""

from __future__ import annotations

import asyncio
import builtins
import faulthandler
import gc
import locale
import logging
import multiprocessing
import os
import random
import resource
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from dataclasses import dataclass
from pathlib import Path
from time import monotonic  # as it is now, whatever is put in its place
from types import TracebackType
from typing import Any, Final, Self

#: How the names of the limits of a process begin.
_LIMIT: Final = "RLIMIT_"
#: What Linux says of a process.
_STATUS: Final = Path("/proc/self/status")
#: Modules whose functions are everybody's. Only such as are there in any case: none comes in between two looks.
_SHARED: Final = (builtins, os, select, selectors, signal, socket, subprocess, threading, time)
#: Classes whose methods are.
_CLASSES: Final = (socket.socket, threading.Thread)
#: By how many seconds the end of a timer may seem to move: a busy machine passes between two looks at clocks.
_SLIP: Final = 1.0
_TIMERS: Final = {"real": signal.ITIMER_REAL, "virtual": signal.ITIMER_VIRTUAL, "profiling": signal.ITIMER_PROF}


def world() -> dict[str, Any]:
    """Return what belongs to the whole program, by name."""
    return {**_shared(), **_process(), **_interpreter(), **_logs()}


def _shared() -> dict[str, Any]:
    functions = {
        f"{module.__name__}.{name}": value
        for module in _SHARED
        for name, value in vars(module).items()
        if name[0] != "_" and callable(value)
    }
    methods = {
        f"{one.__module__}.{one.__name__}.{name}": value
        for one in _CLASSES
        for name, value in vars(one).items()
        if callable(value)
    }
    return {**functions, **methods}


def _process() -> dict[str, Any]:
    """Return what the system keeps for the process, or for the thread that asks."""
    return {
        **{f"the handler of {one!r}": signal.getsignal(one) for one in signal.valid_signals()},
        **{f"the variable {name}": value for name, value in os.environ.items()},
        **{f"the {name} timer of signals": _timer(which) for name, which in _TIMERS.items()},
        **{
            f"the limit {name}": resource.getrlimit(getattr(resource, name)) for name in dir(resource) if _LIMIT in name
        },
        "the signals that are blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "the working directory": str(Path.cwd()),
        "the directory for temporary files": Path(tempfile.gettempdir()).is_dir(),
        "the mask of new files": _umask(),
        "the priority of the process": os.getpriority(os.PRIO_PROCESS, 0),
        "the processors that may be used": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
        "the group of the process": os.getpgrp(),
        "the terminal session of the process": os.getsid(0),
        "who runs the process": (os.geteuid(), os.getegid()),
        "the locale": locale.setlocale(locale.LC_ALL),
    }


def _interpreter() -> dict[str, Any]:
    return {
        "the filters of warnings": list(warnings.filters),
        "warnings.showwarning": warnings.showwarning,
        "sys.path": list(sys.path),
        "sys.excepthook": sys.excepthook,
        "sys.unraisablehook": sys.unraisablehook,
        "sys.displayhook": sys.displayhook,
        "threading.excepthook": threading.excepthook,
        "what traces a thread": (sys.gettrace(), threading.gettrace()),
        "what profiles a thread": (sys.getprofile(), threading.getprofile()),
        "how large the stacks of threads are": _stack_size(),
        "the default timeout of sockets": socket.getdefaulttimeout(),
        "how deep calls may nest": sys.getrecursionlimit(),
        "how often threads take turns": sys.getswitchinterval(),
        "whether garbage is collected": gc.isenabled(),
        "when garbage is collected": gc.get_threshold(),
        "whether faulthandler is enabled": faulthandler.is_enabled(),
        "whether tracemalloc traces": tracemalloc.is_tracing(),
        "how multiprocessing starts processes": _start_method(),
        "the policy of asyncio's loops": _policy(),
    }


def _logs() -> dict[str, Any]:
    root = logging.getLogger()
    return {
        "the level of the root logger": root.level,
        "the handlers of the root logger": list(root.handlers),
        "what is logged at all": root.manager.disable,
        "logging.raiseExceptions": logging.raiseExceptions,
        "the class of loggers": logging.getLoggerClass(),
        "what makes the records of logs": logging.getLogRecordFactory(),
    }


def _umask() -> str:
    """Return the mask of new files where the system shows it: to ask for it otherwise is to set it."""
    if not _STATUS.is_file():
        return ""
    return next((line for line in _STATUS.read_text("ascii", "replace").splitlines() if line.startswith("Umask")), "")


def _stack_size() -> int:
    size = threading.stack_size()  # which sets it to the default as well
    threading.stack_size(size)
    return size


def _start_method() -> str:
    """Return how processes are started; whoever is the first to start one only settles that it is the default."""
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


def _policy() -> object:
    """Return what makes the loops of asyncio; from Python 3.14 on to ask is to be warned, as it is on its way out."""
    return asyncio.get_event_loop_policy() if sys.version_info < (3, 14) else None


@dataclass(frozen=True, eq=False)
class _Timer:
    """What a timer is set to. One that goes on by itself is the same whenever it is looked at."""

    every: float
    #: When it ends on the clock of the program; 0 where it is not set, or comes back, or runs by another clock.
    due: float
    running: bool

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Timer)
            and (self.every, self.running) == (other.every, other.running)
            and abs(self.due - other.due) < _SLIP
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if not self.running:
            return "none"
        if self.due:
            return f"one in {max(0.0, self.due - monotonic()):.1f} s"
        return f"one every {self.every:g} s" if self.every else "one"


def _timer(which: int) -> _Timer:
    left, every = signal.getitimer(which)
    once = which == signal.ITIMER_REAL and left > 0 and not every
    return _Timer(every, monotonic() + left if once else 0.0, left > 0)


class Seeding:
    """Notes whether random numbers are seeded meanwhile: they may be drawn by anybody, so that their state says nothing."""

    def __enter__(self) -> Self:
        self.seen = False
        self._seed = random.seed
        random.seed = self._note
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        random.seed = self._seed

    def _note(self, *args: Any, **named: Any) -> None:
        self.seen = True
        self._seed(*args, **named)
