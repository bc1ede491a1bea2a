"""The memory of ids: never admits one twice while it is fresh, forgets it later, and turns away when it is full."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from treaty.guard import Admission, Guard


def test_an_id_is_admitted_once() -> None:
    guard = Guard()
    assert guard.admit("a", expires=5000, now=0) is Admission.NEW
    assert guard.admit("a", expires=5000, now=0) is Admission.SEEN
    assert guard.admit("a", expires=9000, now=5999) is Admission.SEEN


def test_an_id_is_forgotten_when_it_can_no_longer_be_fresh() -> None:
    guard = Guard()
    guard.admit("a", expires=5000, now=0)
    assert guard.admit("b", expires=9000, now=8000) is Admission.NEW
    assert len(guard) == 1


def test_a_full_memory_turns_away_and_forgets_nobody() -> None:
    guard = Guard(capacity=1)
    guard.admit("a", expires=5000, now=0)
    assert guard.admit("b", expires=5000, now=0) is Admission.FULL
    assert guard.admit("a", expires=5000, now=0) is Admission.SEEN
    assert guard.admit("b", expires=9000, now=7000) is Admission.NEW


def test_a_clock_that_is_set_back_brings_nothing_back() -> None:
    guard = Guard()
    guard.admit("a", expires=5000, now=4000)
    assert guard.admit("a", expires=5000, now=0) is Admission.SEEN
    assert guard.admit("b", expires=1000, now=0) is Admission.NEW


class Machine(RuleBasedStateMachine):
    """A guard beside a plain dictionary: until when each id was admitted."""

    @initialize(capacity=st.integers(1, 6))
    def begin(self, capacity: int) -> None:
        self.guard, self.capacity = Guard(capacity), capacity
        self.fresh: dict[str, int] = {}
        self.now = 1_000_000

    @rule(identifier=st.sampled_from("abcdefgh"), ttl=st.integers(0, 4000))
    def admit(self, identifier: str, ttl: int) -> None:
        expires = self.now + ttl
        admission = self.guard.admit(identifier, expires, self.now)
        if self.fresh.get(identifier, -1) >= self.now:
            assert admission is Admission.SEEN, "admitted twice while fresh"
        if admission is Admission.NEW:
            self.fresh[identifier] = expires
        if admission is Admission.FULL:
            assert sum(until + 3000 >= self.now for until in self.fresh.values()) >= self.capacity, (
                "full of the expired"
            )

    @rule(by=st.integers(0, 3000))
    def wait(self, by: int) -> None:
        self.now += by

    @rule()
    def outlive_all(self) -> None:
        self.now = max([self.now, *self.fresh.values()]) + 3000
        assert self.guard.admit("new", self.now, self.now) is Admission.NEW
        assert len(self.guard) == 1
        self.fresh = {"new": self.now}

    @invariant()
    def bounded(self) -> None:
        assert len(self.guard) <= self.capacity


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None)
