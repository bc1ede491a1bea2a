"""The caller's open calls: settled once, expired in order, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from treaty import ConnectionLost, Unavailable
from treaty.ledger import Ledger, OpenCall


def call(key: str, deadline: float = 1.0) -> OpenCall:
    return OpenCall(id=f"id of {key}", key=key, target="a.b", deadline=deadline, expires=0)


def test_a_call_is_settled_once() -> None:
    ledger = Ledger()
    ledger.open(opened := call("a"))
    assert ledger.find("a") is opened
    assert ledger.settle("a") is opened
    assert ledger.settle("a") is None
    assert ledger.find("a") is None


def test_what_was_settled_does_not_expire() -> None:
    ledger = Ledger()
    ledger.open(call("a"))
    ledger.settle("a")
    assert ledger.expire(2.0) == []
    assert ledger.next_deadline() is None


def test_a_full_ledger_turns_the_next_call_away_and_keeps_the_rest() -> None:
    ledger = Ledger(limit=2)
    ledger.open(call("a"))
    ledger.open(call("b"))
    with pytest.raises(Unavailable, match="not sent"):
        ledger.open(call("c"))
    ledger.settle("a")
    ledger.open(call("c"))
    assert {found.key for found in ledger.settle_all()} == {"b", "c"}


def test_all_are_settled_by_deadline() -> None:
    ledger = Ledger()
    for key, deadline in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        ledger.open(call(key, deadline))
    assert [found.key for found in ledger.settle_all()] == ["b", "c", "a"]
    assert len(ledger) == 0


def test_those_that_were_sent_are_settled_apart_from_the_rest() -> None:
    ledger = Ledger()
    calls = [call("a", 1.0), call("b", 2.0), call("c", 3.0)]
    for one in calls:
        ledger.open(one)
    calls[0].sent = calls[2].sent = True
    loss = ConnectionLost()
    assert ledger.settle_sent(loss, 0.5) == [calls[0], calls[2]]
    assert ledger.settle_sent(loss, 0.75) == []
    assert ledger.find("b") is calls[1]
    assert (calls[1].loss, calls[1].told) == (loss, 0.75)
    assert ledger.next_deadline() == 2.0


def test_a_call_that_was_hastened_is_due_earlier_and_one_that_is_no_more_at_its_deadline() -> None:
    ledger = Ledger()
    first, second, third = calls = [call("a", 9.0), call("b", 9.0), call("c", 3.0)]
    for one in calls:
        ledger.open(one)
        ledger.hasten(one, 5.0)
    assert ledger.next_deadline() == 3.0
    assert ledger.expire(3.0) == [third]
    ledger.hasten(third, 4.0)
    second.due = second.deadline
    for number in range(200):  # what is due is kept when the ledger clears up
        ledger.open(call(str(number), deadline=1e9))
        ledger.settle(str(number))
    assert ledger.expire(4.9) == []
    assert ledger.expire(5.0) == [first]
    assert ledger.next_deadline() == 9.0
    assert ledger.expire(8.9) == []
    assert ledger.expire(9.0) == [second]
    assert ledger.next_deadline() is None


def test_settled_calls_leave_nothing_behind() -> None:
    ledger = Ledger()
    for number in range(10_000):
        ledger.open(call(str(number), deadline=1e9))
        ledger.settle(str(number))
    assert len(ledger._deadlines) < 200


class Machine(RuleBasedStateMachine):
    """A ledger beside a plain dictionary of deadlines."""

    @initialize(limit=st.integers(1, 8))
    def begin(self, limit: int) -> None:
        self.ledger, self.limit = Ledger(limit), limit
        self.model: dict[str, float] = {}
        self.now, self.made = 0.0, 0

    @rule(after=st.floats(0, 10))
    def open(self, after: float) -> None:
        self.made += 1
        key, deadline = str(self.made), self.now + after
        if len(self.model) < self.limit:
            self.ledger.open(call(key, deadline))
            self.model[key] = deadline
        else:
            with pytest.raises(Unavailable):
                self.ledger.open(call(key, deadline))

    @rule(number=st.integers(1, 60))
    def settle(self, number: int) -> None:
        settled = self.ledger.settle(str(number))
        assert (settled is not None) is (self.model.pop(str(number), None) is not None)

    @rule(by=st.floats(0, 5))
    def expire(self, by: float) -> None:
        self.now += by
        expired = self.ledger.expire(self.now)
        assert [found.deadline for found in expired] == sorted(found.deadline for found in expired)
        assert {found.key for found in expired} == {key for key, at in self.model.items() if at <= self.now}
        self.model = {key: at for key, at in self.model.items() if at > self.now}

    @invariant()
    def agrees(self) -> None:
        assert len(self.ledger) == len(self.model)
        assert self.ledger.next_deadline() == min(self.model.values(), default=None)
        assert all(self.ledger.find(key) for key in self.model)


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None)
