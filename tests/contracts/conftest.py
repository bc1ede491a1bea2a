"""Targets to be judged, in a module of an empty folder, and reports that were never run."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from treaty_contracts.baseline import Known
from treaty_contracts.registry import find, rules
from treaty_contracts.report import Report
from treaty_contracts.session import Began, Declared, Ended, Judged, Order, Refused
from treaty_contracts.tally import Tally
from treaty_contracts.target import HOOKS
from treaty_contracts.verdict import Outcome, Status, Violation
from treaty_contracts.zoo import COMPLETE

MODULE = """\
import os, signal, sys, threading
import treaty_memory, treaty_zmq
from treaty_contracts import Target
from treaty_contracts.zoo import animals, zoo_target

def healthy(context):
    return treaty_memory.connect(f"memory://{context.namespace}")

def on(name, change=None):
    def opened(context):
        if change is not None:
            change(context)
        return healthy(context)
    return Target(name=name, open=opened)

def fail(_):
    raise OSError("no broker at localhost:1234")

good = on("good")
broken = zoo_target(animals()["shares-all-names"], good)
raising = on("raising", fail)
dying = on("dying", lambda _: os._exit(7))
killed = on("killed", lambda _: os.kill(os.getpid(), signal.SIGKILL))
printing = on("printing", lambda _: print("hello \\x1b[31m there"))
signalling = on("signalling", lambda _: signal.signal(signal.SIGINT, signal.SIG_IGN))
patricide = on("patricide", lambda _: os.kill(os.getppid(), signal.SIGKILL))
hanging = Target(name="hanging", open=lambda _: threading.Event().wait(), time_scale=0.005)
hookless = Target(name="hookless", open=lambda context: treaty_zmq.connect(f"zmq+ipc://{os.getcwd()}/{context.namespace}"))
number = 5
empty = []
two = [good, broken]
twins = [good, good]
mixed = [good, None]

def made():
    return [good]
"""

Write = Callable[[str], str]
MakeReport = Callable[..., Report]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module of a name that nobody has imported into the current directory, and return the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str) -> str:
        name = f"module_{uuid.uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.fixture
def mine(write: Write) -> str:
    """The module with the targets above."""
    return write(MODULE)


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """See that every thread of Treaty has ended after the test, or is about to."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("treaty"):
            thread.join(5)
            assert not thread.is_alive(), thread


@pytest.fixture
def report() -> MakeReport:
    """Make the report of a run in which all rules came to what is said, and passed if nothing is said."""

    def report(
        statuses: dict[str, Status] | None = None,
        *,
        target: str = "made",
        known: dict[str, Known] | None = None,
        stale: tuple[str, ...] = (),
        only: tuple[str, ...] = (),
        refused: str = "",
        observed: str = "something else",
    ) -> Report:
        lines: list[object] = []
        tally = Tally(Order(spec="mine:target", only=only), known or {}, stale, lines.append)
        planned = only or tuple(rule.id for rule in rules())
        tally.enter(Began(target=target, hooks=HOOKS, planned=planned, time_scale=1.0))
        tally.enter(Declared(guarantees=COMPLETE))
        for identifier in planned:
            status = (statuses or {}).get(identifier, Status.PASSED)
            if find(identifier).id == "AUTH-006":
                status = Status.UNVERIFIED
            tally.enter(Judged(outcome=an_outcome(identifier, target, status, observed)))
        tally.enter(Refused(target=target, text=refused) if refused else Ended())
        return tally.end()

    return report


def an_outcome(identifier: str, target: str, status: Status, observed: str) -> Outcome:
    bad = status in (Status.FAILED, Status.HUNG, Status.CRASHED, Status.UNSTABLE)
    return Outcome(
        rule=identifier,
        target=target,
        status=status,
        observations=1,
        seconds=0.5,
        violation=Violation(expected="something", observed=observed) if bad else None,
        blocker="SETUP-001" if status is Status.BLOCKED else "",
        reason="a reason" if status in (Status.UNVERIFIED, Status.ERROR) else "",
    )
