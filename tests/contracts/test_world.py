"""What belongs to the program: whoever changes any of it is told, by name; what sets itself up when it is used is not."""

from __future__ import annotations

import asyncio
import faulthandler
import locale
import logging
import multiprocessing
import os
import random
import select
import signal
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import pytest

from treaty import Line, Transport
from treaty_contracts import Target, find
from treaty_contracts.catalogue.setup import _Watched
from treaty_contracts.isolation import in_child
from treaty_contracts.judging import same_world
from treaty_contracts.runner import Run
from treaty_contracts.verdict import Status
from treaty_contracts.world import Seeding, world
from treaty_contracts.wrapping import WrappedTransport
from treaty_contracts.zoo.animals import ZOO
from treaty_contracts.zoo.references import COMPLETE, opener

_ANOTHER_LOCALE = "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C"
Change = Callable[[], object]


class _Changing(WrappedTransport):
    """Whoever dials changes something."""

    def __init__(self, inner: Transport, change: Change) -> None:
        super().__init__(inner)
        self._change = change

    def dial(self) -> Line:
        self._change()
        return self.inner.dial()


def _said(change: Change) -> tuple[Status, str]:
    """Return what SETUP-004 says of a transport that changes something whenever somebody dials."""
    target = Target(name="mine", open=lambda context: _Changing(opener(COMPLETE)(context), change), time_scale=0.25)
    outcome = Run(target, ZOO).run(find("SETUP-004"))
    return outcome.status, outcome.violation.observed if outcome.violation else outcome.reason


def _elsewhere(*args: object, **named: object) -> None:
    """Stands where a function of everybody's was."""


def _nicer() -> None:
    if os.getpriority(os.PRIO_PROCESS, 0) < 19:
        os.nice(1)


class _Policy(asyncio.DefaultEventLoopPolicy):
    """Another one."""


def _dying_unseen() -> None:
    threading.excepthook = _elsewhere
    thread = threading.Thread(target=divmod, args=(1, 0))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_dying_unseen, "threading.excepthook: "),
        (lambda: setattr(sys, "unraisablehook", _elsewhere), "sys.unraisablehook: "),
        (lambda: threading.settrace(_elsewhere), "what traces a thread: "),
        (lambda: threading.setprofile(_elsewhere), "what profiles a thread: "),
        (lambda: threading.stack_size(512 * 1024), "how large the stacks of threads are: 0 became 524288"),
        (lambda: locale.setlocale(locale.LC_ALL, _ANOTHER_LOCALE), "the locale: "),
        (_nicer, "the priority of the process: "),
        (lambda: signal.setitimer(signal.ITIMER_REAL, 900), "the real timer of signals: one in "),
        (lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 900), "the virtual timer of signals: none became one"),
        (lambda: signal.setitimer(signal.ITIMER_PROF, 900, 1), "the profiling timer of signals: none became one every"),
        (lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}), "the signals that are blocked: "),
        (
            lambda: multiprocessing.set_start_method("spawn", force=True),
            "how multiprocessing starts processes: fork became spawn",
        ),
        (lambda: asyncio.set_event_loop_policy(_Policy()), "the policy of asyncio's loops: "),
        (lambda: setattr(logging, "raiseExceptions", False), "logging.raiseExceptions: True became False"),
        (lambda: sys.path.insert(0, "/mine"), "sys.path: "),
        (lambda: os.setpgid(0, 0), "the group of the process: "),
        (faulthandler.disable, "whether faulthandler is enabled: True became False"),
        (tracemalloc.start, "whether tracemalloc traces: False became True"),
        (lambda: setattr(socket, "create_connection", _elsewhere), "socket.create_connection: "),
        (lambda: setattr(socket.socket, "sendfile", _elsewhere), "socket.socket.sendfile: "),
        (lambda: setattr(select, "epoll", _elsewhere), "select.epoll: "),
        (lambda: setattr(time, "process_time", _elsewhere), "time.process_time: "),
        (lambda: socket.setdefaulttimeout(900), "the default timeout of sockets: None became 900"),
    ],
)
def test_a_guest_that_changes_something_is_told_what(change: Change, named: str) -> None:
    status, observed = _said(change)
    assert (status, named in observed) == (Status.FAILED, True), observed


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) == 1, reason="there is one processor"
)
def test_a_guest_that_keeps_to_one_processor_is_told_so() -> None:
    status, observed = _said(lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
    assert status is Status.FAILED
    assert "the processors that may be used: " in observed


def _lazily() -> None:
    """Do what sets something up that was not there before, and changes nothing for anybody."""
    multiprocessing.Queue().close()
    asyncio.new_event_loop().close()
    random.random()
    signal.getitimer(signal.ITIMER_REAL)
    with socket.socket() as one:
        one.settimeout(1)


def test_what_sets_itself_up_when_it_is_used_is_no_change() -> None:
    status, observed = _said(_lazily)
    assert status is Status.PASSED, observed


def _told(change: Change) -> str:
    def work() -> bytes:
        before = world()
        change()
        return same_world(before, world(), "it").observed.encode()

    ended = in_child(work, 30)
    assert ended.report is not None, ended
    return ended.report.decode()


def test_to_look_changes_nothing_and_warns_of_nothing() -> None:
    assert _told(partial(threading.stack_size, 256 * 1024)) == "how large the stacks of threads are: 0 became 262144"
    assert _told(world) == ""


def test_a_timer_that_runs_is_the_same_until_it_is_set_anew() -> None:
    def stays() -> bytes:
        signal.setitimer(signal.ITIMER_REAL, 900)
        before = world()
        same = same_world(before, world(), "it").observed
        signal.setitimer(signal.ITIMER_REAL, 500)
        return repr((same, "the real timer" in same_world(before, world(), "it").observed)).encode()

    assert in_child(stays, 30).report == repr(("", True)).encode()


def test_what_watches_is_put_back_whoever_took_its_place() -> None:
    hook = threading.excepthook
    with _Watched():
        threading.excepthook = _elsewhere
    assert threading.excepthook is hook


def test_seeding_is_seen_and_done() -> None:
    state = random.getstate()
    seed = random.seed
    try:
        with Seeding() as unseen:
            random.random()
        with Seeding() as seen:
            random.seed(1)
        assert (unseen.seen, seen.seen, random.random()) == (False, True, random.Random(1).random())
        assert random.seed == seed
    finally:
        random.setstate(state)
