"""Concurrent plans: they pass where all is well, and what they find is told with the plan and what happened."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st

import treaty_memory
from treaty import Delivery, Inbox, Transport
from treaty_contracts import Context, Status, Target, explain, find
from treaty_contracts.bench import Bench
from treaty_contracts.profile import PROFILES
from treaty_contracts.properties import plans
from treaty_contracts.properties.history import Began, Ended, GivenUp, Heard, History, Left, Published, Ran, Told
from treaty_contracts.properties.judges import OF_CALLS, OF_NOTIFICATIONS, Finding, Terms
from treaty_contracts.properties.performance import Troupe
from treaty_contracts.properties.plans import Caller, Move, Plan, Vacuous
from treaty_contracts.recording import Trace
from treaty_contracts.runner import run_rule
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedTransport

QUICK = PROFILES["quick"]
RULES = ("PLAN-001", "PLAN-002", "PLAN-003")


def memory(context: Context) -> Transport:
    return treaty_memory.connect(f"memory://{context.namespace}")


MEMORY = Target(name="memory", open=memory)


pytestmark = pytest.mark.usefixtures("nothing_stays")


@pytest.mark.parametrize("identifier", RULES)
def test_plans_pass_where_all_is_well(identifier: str) -> None:
    outcome = run_rule(MEMORY, find(identifier), QUICK)
    assert outcome.status is Status.PASSED, explain(outcome)
    # A subscriber that comes in the middle hears what is published from then on: from 170 to 340 were seen.
    assert outcome.observations > 100


EVERYTHING = replace(plans.CALLS, publishers=plans.NEWS.publishers, subscribers=plans.NEWS.subscribers)


def performed(plan: Plan) -> History:
    bench = Bench(MEMORY, QUICK)
    try:
        return bench.keep(Troupe(bench)).perform(plan, Trace())
    finally:
        bench.close()


def test_everything_at_once() -> None:
    history = performed(EVERYTHING)
    kinds = {type(event) for event in history}
    assert kinds >= {Began, Ended, GivenUp, Heard, Left, Published, Ran, Told}
    calls = sum(len(caller.moves) for caller in EVERYTHING.callers)
    assert sum(isinstance(event, Began) for event in history) == calls
    for judge in (*OF_CALLS, *OF_NOTIFICATIONS):
        finding = judge(history, Terms())
        assert finding.problems == (), judge
        assert finding.judged > 0, judge


def test_workers_share_and_one_leaves() -> None:
    moves = tuple(Move(kind="echo", value=number, waits=False) for number in range(30))
    callers = (Caller(on_loop=False, alone=False, service=0, moves=moves),) * 2
    history = performed(Plan(callers=callers, workers=3, leaves=True))
    for judge in OF_CALLS:
        assert judge(history, Terms(stopping=True)).problems == (), judge
    assert len({event.worker for event in history if isinstance(event, Ran)}) > 1


def test_a_plan_reads_well() -> None:
    steps = "\n".join(EVERYTHING.steps())
    for part in (
        "all at once, with 2 services of 1 workers each:",
        "client 1 in a thread, makes its calls",
        "client 2 on a loop, on a transport object of its own, makes its calls",
        "  to service 0: echo with [1], not waited for",
        "  to service 0: hold with None, cancelled",
        "publisher 2 publishes 6",
        "subscriber 2 subscribes before and leaves after 1",
        "subscriber 3 subscribes meanwhile and leaves after 2",
    ):
        assert part in steps, steps
    assert Plan(leaves=True).steps()[-1] == "a worker stops meanwhile"


class Forgetful(WrappedDelivery):
    def __init__(self, inner: Delivery, forgets: bool) -> None:
        super().__init__(inner)
        self._forgets = forgets

    def reply(self, frame: bytes) -> None:
        if not self._forgets:
            self.inner.reply(frame)


class Overwhelmed(WrappedInbox):
    count = 0

    def delivery(self, inner: Delivery) -> Delivery:
        self.count += 1
        return Forgetful(inner, self.count % 5 == 0)


class LosesReplies(WrappedTransport):
    """The replies to every fifth request are lost."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:
        return Overwhelmed(inner)


def test_what_is_found_is_told_with_the_plan_and_what_happened() -> None:
    target = Target(name="broken", open=lambda context: LosesReplies(memory(context)), time_scale=0.5)
    outcome = run_rule(target, find("PLAN-001"), QUICK)
    assert outcome.status is Status.FAILED, explain(outcome)
    assert outcome.violation is not None
    assert "ends with" in outcome.violation.expected
    assert outcome.violation.observed == "DeadlineExceeded"
    assert any(step.startswith("client 1 ") for step in outcome.violation.done)
    told = "\n".join(outcome.violation.notes)
    for part in ("what happened:", "Began", "Ran", "Ended", "error 'DeadlineExceeded'"):
        assert part in told, told
    assert "hypothesis" not in told.lower()


def test_a_judge_that_saw_nothing_is_a_fault_of_the_suite() -> None:
    def blind(history: History, terms: Terms) -> Finding:
        return Finding(judged=0)

    bench = Bench(MEMORY, QUICK)
    try:
        with pytest.raises(Vacuous, match="blind: nothing to judge"):
            plans.judge(bench, Plan(), st.just(Plan()), (blind,))
    finally:
        bench.close()
