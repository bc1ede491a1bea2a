"""A session, in this process and in one of its own: events in order, and no harm from any target."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from treaty_contracts import Status, host
from treaty_contracts.isolation import MEDDLING
from treaty_contracts.kinds import before
from treaty_contracts.registry import STORE
from treaty_contracts.runner import FIRST
from treaty_contracts.session import (
    Began,
    Declared,
    Ended,
    Event,
    Judged,
    Noted,
    Order,
    Over,
    Refused,
    Running,
    planned,
    run,
    urgent,
)

Write = Callable[[str], str]
DECLARING = """\
import treaty_memory
from treaty import Guarantees
from treaty.storage import MemoryStore
from treaty_contracts import StoreTarget, Target

def on(name, declare):
    def opened(context):
        transport = treaty_memory.connect(f"memory://{context.namespace}")
        transport.guarantees = declare()
        return transport
    return Target(name=name, open=opened)

wrong = on("wrong", lambda: Guarantees(
    crosses_processes=1, notifications="no", competing_workers=True, ordered=True, notices_absence=-3,
    survives_restart=False, redelivers=False, max_frame=10))
late = on("late", lambda: Guarantees(
    crosses_processes=False, notifications=True, competing_workers=True, ordered=True, notices_absence=float("nan"),
    survives_restart=False, redelivers=False, max_frame=2**70))
nothing = on("nothing", lambda: None)
lacking = on("lacking", lambda: Guarantees(ordered=True))

class Shelf(MemoryStore):
    durable = "mostly"

shelf = StoreTarget(name="shelf", open=lambda context: Shelf(retain=context.retain))
"""
#: What is said of each of these targets.
WRONG = {
    "wrong": (
        "target 'wrong': the guarantees of MemoryTransport are wrong: crosses_processes is 1, and must be True or False",
        "notifications is 'no', and must be True or False",
        "notices_absence is -3, and must be None, or seconds from 0 to 20",
        "max_frame is 10, and must be a whole number of bytes, 65,536 or more",
    ),
    "late": ("notices_absence is nan, and", f"max_frame is {2**70}, and"),
    "nothing": ("the guarantees of MemoryTransport are NoneType",),
    "lacking": ("the declaration lacks an answer",),
}


def told(events: Iterator[Event]) -> tuple[list[str], list[Event]]:
    known = list(events)
    return [type(event).__name__ for event in known], known


def refused(order: Order, patience: float = host.IMPORT) -> str:
    (only,) = [event for event in host.events(order, patience) if isinstance(event, Refused)]
    return only.text


def test_what_is_planned_comes_with_what_it_requires() -> None:
    ids = [rule.id for rule in planned(["ASYNC-001"])]
    assert {*FIRST, "CALL-001", "ERR-001", "ASYNC-001"} <= set(ids)
    assert [rule.id for rule in planned(["SETUP-001"])] == ["SETUP-001"]
    assert len(planned([])) > 60
    assert [rule.id for rule in planned(["STORE-003"], STORE)] == ["STORE-001", "STORE-002", "STORE-003"]
    assert planned(["STORE-003"]) == []


def test_for_several_lanes_the_longest_way_comes_first() -> None:
    plan = planned([])
    ordered = [rule.id for rule in urgent(plan)]
    assert sorted(ordered) == sorted(rule.id for rule in plan)
    at = {identifier: position for position, identifier in enumerate(ordered)}
    early = [(rule.id, needed) for rule in plan for needed in before(rule) if at[needed] > at[rule.id]]
    assert early == []  # nothing is looked at before what it rests on
    assert at["LIFE-021"] < at["LINE-016"]  # something rests on it
    assert at["MODEL-001"] < at["LINE-016"]  # nothing does, but it takes long


@pytest.mark.parametrize("make", [run, host.events])
def test_the_events_of_a_run(mine: str, make: Callable[[Order], Iterator[Event]]) -> None:
    isolated = make is not run
    names, events = told(make(Order(spec=f"{mine}:good", only=("SETUP-003",), isolated=isolated)))
    assert names == [
        "Began",
        *["Running"] * 2,
        "Declared",
        *["Judged"] * 2,
        "Running",
        "Judged",
        "Ended",
        "Over",
    ]
    assert isinstance(events[0], Began) and events[0].planned == ("SETUP-001", "SETUP-002", "SETUP-003")
    assert isinstance(events[3], Declared) and events[3].guarantees is not None


def test_what_fails_is_run_again_at_the_end(mine: str) -> None:
    events = list(host.events(Order(spec=f"{mine}:broken", only=("SETUP-003",))))
    last = [event for event in events if isinstance(event, Judged) and event.outcome.rule == "SETUP-003"]
    assert [(one.outcome.status, one.open) for one in last] == [(Status.FAILED, True), (Status.FAILED, False)]
    assert any(isinstance(event, Running) and event.again for event in events)
    violation = last[0].outcome.violation
    assert violation is not None
    assert f"from {mine} import broken\n\ntarget = broken\n" in violation.script


def test_several_targets_one_after_the_other(mine: str) -> None:
    events = list(host.events(Order(spec=f"{mine}:two", only=("SETUP-001",))))
    assert len([event for event in events if isinstance(event, Began)]) == 2
    assert len([event for event in events if isinstance(event, Ended)]) == 2


def test_a_target_that_opens_nothing_is_a_verdict(mine: str) -> None:
    for name, status in (("raising", Status.FAILED), ("dying", Status.CRASHED), ("hanging", Status.HUNG)):
        events = list(host.events(Order(spec=f"{mine}:{name}", only=("SETUP-001",))))
        (first, *_) = [event.outcome for event in events if isinstance(event, Judged)]
        assert first.status is status
        assert [event.guarantees for event in events if isinstance(event, Declared)] == [None]


@pytest.mark.parametrize("make", [run, host.events])
def test_a_wrong_declaration_is_no_verdict(write: Write, make: Callable[[Order], Iterator[Event]]) -> None:
    """Before the first rule: what the core makes of it is no fault of its own, and tells nobody what is wrong."""
    name = write(DECLARING)
    for target, parts in WRONG.items():
        order = Order(spec=f"{name}:{target}", only=("SETUP-001",), isolated=make is not run)
        names, events = told(make(order))
        assert names == ["Began", "Running", "Refused", "Over"]
        assert isinstance(events[2], Refused) and not events[2].ours
        for part in (*parts, "each of these questions is answered", "crosses_processes, notifications, "):
            assert part in events[2].text


def test_a_store_that_declares_neither_yes_nor_no_is_no_verdict(write: Write) -> None:
    text = refused(Order(spec=f"{write(DECLARING)}:shelf", only=("STORE-001",)))
    assert "Shelf.durable is 'mostly'; declare True or False" in text


def test_a_target_that_does_not_open_is_a_verdict_in_this_process_too(mine: str) -> None:
    for name, status in (("raising", Status.FAILED), ("hanging", Status.HUNG)):
        events = list(run(Order(spec=f"{mine}:{name}", only=("SETUP-001",), isolated=False)))
        (first, *_) = [event.outcome for event in events if isinstance(event, Judged)]
        assert first.status is status


def test_whoever_kills_the_session_is_named(mine: str) -> None:
    events = list(host.events(Order(spec=f"{mine}:patricide", only=("SETUP-001",))))
    (only,) = [event for event in events if isinstance(event, Refused)]
    assert only.target == "patricide"
    assert only.text == "the process ended while the contract was run on it, with signal SIGKILL"
    assert isinstance(events[-1], Over)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("import os; print('going', flush=True); os._exit(3)", "exit code 3; the last that it printed: going"),
        ("import os; os.kill(os.getpid(), 9)", "signal SIGKILL"),
    ],
)
def test_an_import_that_ends_the_process(write: Write, text: str, how: str) -> None:
    said = refused(Order(spec=f"{write(text)}:target"))
    assert said == f"the process ended while it was imported, with {how}"


def test_an_import_that_closes_what_it_is_heard_by(write: Write) -> None:
    said = refused(Order(spec=f"{write('import os; os.closerange(0, 1000)')}:target"))
    assert said.startswith("descriptors were closed while it was imported that belong to the program")


SCRIBBLING = """\
import os, threading
from contextlib import suppress
from treaty_memory.contract import targets
from treaty_contracts import Target
from treaty_contracts.wrapping import WrappedTransport

def scribble(*_):
    for descriptor in range(3, 1000):
        with suppress(OSError):
            os.write(descriptor, TEXT)

TEXT = {text!r}
opening = Target(name="opening", open=lambda context: scribble() or targets[0].open(context))

class Serving(WrappedTransport):
    def serve(self, service, capacity=1):
        if len(service) == 64:  # as in SETUP-003, and in no rule before it
            scribble()
        return super().serve(service, capacity)

serving = Target(name="serving", open=lambda context: Serving(targets[0].open(context)), parallel=True)
"""
#: What is no event, what looks like one, and what has no end.
SCRIBBLED = (b'{"status":"passed"}\n', b'{"event":"over"}\n', b"x")


@pytest.mark.parametrize("text", SCRIBBLED)
def test_an_import_that_writes_into_what_it_is_heard_by(write: Write, text: bytes) -> None:
    said = refused(Order(spec=f"{write(SCRIBBLING.format(text=text) + 'scribble()')}:targets"))
    assert said == "something was written while it was imported to descriptors that belong to the program: its pipes"


@pytest.mark.parametrize("text", SCRIBBLED)
@pytest.mark.parametrize(("target", "rule", "jobs"), [("opening", "SETUP-001", 1), ("serving", "SETUP-003", 2)])
def test_a_rule_that_has_something_written_into_what_it_is_heard_by_fails(
    write: Write, text: bytes, target: str, rule: str, jobs: int
) -> None:
    spec = f"{write(SCRIBBLING.format(text=text))}:{target}"
    names, events = told(host.events(Order(spec=spec, only=("SETUP-001", "SETUP-003", "LINE-003"), jobs=jobs)))
    assert names[-2:] == ["Ended", "Over"], events
    (found,) = [event.outcome for event in events if isinstance(event, Judged) and event.outcome.rule == rule]
    assert found.status is Status.CRASHED, found
    assert found.violation is not None and found.violation.observed == MEDDLING


def test_an_import_that_forks_is_heard_once(write: Write) -> None:
    name = write("import os\nfrom treaty_memory.contract import targets\nos.fork()")
    names, events = told(host.events(Order(spec=f"{name}:targets", only=("SETUP-001",))))
    assert (names.count("Began"), names.count("Ended")) == (1, 1), events


def test_an_import_that_never_ends(write: Write) -> None:
    name = write("import threading; threading.Event().wait()")
    assert refused(Order(spec=f"{name}:target"), 1.5) == "the import has not come to an end in 1.5 s"


def test_an_import_that_prints_is_noted(write: Write) -> None:
    name = write("print('welcome')\nfrom treaty_memory.contract import targets")
    noted, began, *_ = host.events(Order(spec=f"{name}:targets", only=("SETUP-001",)))
    assert isinstance(noted, Noted) and isinstance(began, Began), "a remark is for the report that comes next"
    assert noted.text == "the import printed something: welcome"


def test_who_stops_listening_ends_everything(write: Write, tmp_path: Path) -> None:
    """Also where the import has made the process deaf to signals, and started another one."""
    name = write(
        "import os, signal, threading\n"
        "if os.fork() == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    open('pid', 'w').write(str(os.getpid()))\n"
        "    threading.Event().wait()\n"
        "while not (os.path.exists('pid') and open('pid').read()): pass\n"
        "from treaty_memory.contract import targets"
    )
    # What other tests share in this process lives on.
    before = set(psutil.Process().children(recursive=True))
    events = host.events(Order(spec=f"{name}:targets"))
    assert isinstance(next(events), Began)
    pid = int((tmp_path / "pid").read_text())
    events.close()  # type: ignore[attr-defined]  # it is a generator
    left = [psutil.Process(pid)] if psutil.pid_exists(pid) else []
    new = [one for one in psutil.Process().children(recursive=True) if one not in before]
    _, alive = psutil.wait_procs([*left, *new], timeout=5)
    # Whoever adopts orphans here may take its time to bury them.
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive), alive


def test_a_session_ends_with_a_command_that_is_killed(write: Write, tmp_path: Path) -> None:
    """Also in the middle of an import that takes its time."""
    name = write("import os, threading\nopen('pid', 'w').write(str(os.getpid()))\nthreading.Event().wait()\n")
    os.mkfifo(tmp_path / "pid")
    command = [sys.executable, "-m", "treaty.cli", "check", f"{name}:target"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        session = psutil.Process(int((tmp_path / "pid").read_text()))
        process.kill()
    _, alive = psutil.wait_procs([session], timeout=20)  # it waits for five seconds in vain
    assert all(one.status() == psutil.STATUS_ZOMBIE for one in alive), alive
