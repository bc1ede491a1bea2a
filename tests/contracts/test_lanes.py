"""Lanes: rules run at once, what ends a lane is told, and no lane is left."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from treaty_contracts import SetupError, Status, host
from treaty_contracts.lanes import InTurn, SideBySide
from treaty_contracts.session import Began, Declared, Judged, Order, Refused, Running, run
from treaty_contracts.verdict import Outcome, explain


def passed(rule: str) -> Outcome:
    return Outcome(rule=rule, target=str(os.getpid()), status=Status.PASSED)


def test_in_turn_a_rule_runs_when_it_is_waited_for() -> None:
    with InTurn(passed) as lanes:
        assert lanes.free
        lanes.begin("ONE-001")
        assert not lanes.free and lanes.running == ["ONE-001"]
        assert lanes.next() == passed("ONE-001")
        assert lanes.free and not lanes.running


def test_side_by_side_rules_run_at_once(tmp_path: Path) -> None:
    """Each of the two waits for the other one to begin."""
    for name in ("ONE-001", "TWO-001"):
        os.mkfifo(tmp_path / name)

    def meet(rule: str) -> Outcome:
        other = {"ONE-001": "TWO-001", "TWO-001": "ONE-001"}[rule]
        telling = threading.Thread(target=lambda: (tmp_path / rule).write_text("here"))
        telling.start()
        assert (tmp_path / other).read_text() == "here"
        telling.join()
        return passed(rule)

    with SideBySide(meet, 2) as lanes:
        lanes.begin("ONE-001")
        lanes.begin("TWO-001")
        assert not lanes.free and lanes.running == ["ONE-001", "TWO-001"]
        outcomes = [lanes.next(), lanes.next()]
    assert {one.rule for one in outcomes} == {"ONE-001", "TWO-001"}
    assert len({one.target for one in outcomes} | {str(os.getpid())}) == 3


def test_what_a_rule_leaves_behind_ends_with_it_and_what_another_one_uses_does_not(tmp_path: Path) -> None:
    """The one leaves a daemon while the other has a child that it still needs."""
    os.mkfifo(tmp_path / "used")
    os.mkfifo(tmp_path / "over")

    def leave(_: str) -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                (tmp_path / "daemon").write_text(str(os.getpid()))
                signal.pause()
            os._exit(0)

    def use(rule: str) -> Outcome:
        child = os.fork()
        if child == 0:
            (tmp_path / "used").write_text("begun")
            (tmp_path / "over").read_text()
            os._exit(3)
        _, status = os.waitpid(child, 0)
        return Outcome(rule=rule, target=str(os.waitstatus_to_exitcode(status)), status=Status.PASSED)

    def work(rule: str) -> Outcome:
        if rule == "USES-001":
            return use(rule)
        from treaty_contracts.isolation import in_child

        def left() -> bytes:
            leave(rule)
            while not ((tmp_path / "daemon").exists() and (tmp_path / "daemon").read_text()):
                pass
            return b"done"

        assert in_child(left, 30).report == b"done"
        return passed(rule)

    with SideBySide(work, 2) as lanes:
        lanes.begin("USES-001")
        assert (tmp_path / "used").read_text() == "begun"
        lanes.begin("LEAVES-001")
        assert lanes.next().rule == "LEAVES-001"
        assert not _lives(int((tmp_path / "daemon").read_text()))
        (tmp_path / "over").write_text("go on")
        assert lanes.next().target == "3"


def test_a_lane_begins_with_the_first_rule_for_which_none_is_idle() -> None:
    before = set(psutil.Process().children(recursive=True))

    def lanes_now() -> int:
        return len(set(psutil.Process().children(recursive=True)) - before)

    with SideBySide(passed, 200) as lanes:
        assert lanes.free and lanes_now() == 0
        for rule in ("ONE-001", "TWO-001"):
            lanes.begin(rule)
            assert lanes_now() == 1 and lanes.next().rule == rule
        for rule in ("ONE-001", "TWO-001"):
            lanes.begin(rule)
        assert lanes_now() == 2 and {lanes.next().rule, lanes.next().rule} == {"ONE-001", "TWO-001"}
    assert lanes_now() == 0


def test_a_system_that_has_no_process_is_no_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with SideBySide(passed, 2) as lanes:
        monkeypatch.setattr(os, "fork", fork)
        with pytest.raises(SetupError, match="no process for another rule, beside 0: Resource temporarily unavailable"):
            lanes.begin("ONE-001")


def test_a_lane_that_is_killed_is_told_and_none_is_left() -> None:
    before = set(psutil.Process().children(recursive=True))

    def work(rule: str) -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        return passed(rule)

    with SideBySide(work, 3) as lanes:
        lanes.begin("ONE-001")
        with pytest.raises(SetupError, match="the process that ONE-001 ran in was killed"):
            lanes.next()
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_rule_that_cannot_be_run_is_our_fault_and_none_is_left() -> None:
    before = set(psutil.Process().children(recursive=True))

    def work(rule: str) -> Outcome:
        raise OSError(f"no memory for {rule}")

    with SideBySide(work, 2) as lanes:
        lanes.begin("ONE-001")
        with pytest.raises(RuntimeError, match="no memory for ONE-001"):
            lanes.next()
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_lane_that_is_busy_ends_with_the_others(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "begun")
    before = set(psutil.Process().children(recursive=True))

    def work(rule: str) -> Outcome:
        (tmp_path / "begun").write_text("begun")
        signal.pause()
        return passed(rule)

    with SideBySide(work, 2) as lanes:
        lanes.begin("ONE-001")
        assert (tmp_path / "begun").read_text() == "begun"
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.parametrize("name", ["good", "broken"])
def test_side_by_side_comes_to_the_same_as_in_turn(write: Callable[[str], str], name: str) -> None:
    only = ("SETUP-003", "LINE-008", "NOTE-002", "ERR-007")
    module = write(
        "from dataclasses import replace\nimport treaty_memory\n"
        "from treaty_contracts import Target\n"
        "from treaty_contracts.zoo import animals, zoo_target\n"
        "def opened(context): return treaty_memory.connect(f'memory://{context.namespace}')\n"
        "good = Target(name='good', open=opened, parallel=True)\n"
        "broken = replace(zoo_target(animals()['shares-all-names'], good), parallel=True)\n"
    )
    found = []
    for jobs in (1, 3):
        events = list(host.events(Order(spec=f"{module}:{name}", only=only, jobs=jobs)))
        assert not [event for event in events if isinstance(event, Refused)]
        ends = {one.outcome.rule: one.outcome for one in events if isinstance(one, Judged)}
        (began,) = [event for event in events if isinstance(event, Began)]
        (declared,) = [event for event in events if isinstance(event, Declared)]
        assert set(began.planned) <= set(ends) <= {*began.planned, *declared.besides}
        assert {one.rule for one in events if isinstance(one, Running)} <= set(ends)
        found.append({rule: (one.status, one.blocker, one.ran) for rule, one in ends.items()})
        assert all(one.status is not Status.ERROR for one in ends.values()), [explain(one) for one in ends.values()]
    assert found[0] == found[1]


def test_whoever_does_not_say_that_rules_may_run_side_by_side_has_them_in_turn(mine: str) -> None:
    ends = [
        event.outcome.rule
        for event in run(Order(spec=f"{mine}:good", only=("LINE-002", "LINE-003"), jobs=4))
        if isinstance(event, Judged)
    ]
    assert ends == sorted(ends, key=lambda one: (one.startswith("LINE"), one))


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
