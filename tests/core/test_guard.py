"""The memory of ids: never admits one twice while it is fresh, forgets it later, and turns away when it is full."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from treaty.guard import Admission, Guard


def test_an_id_is_admitted_once() -> None:
    guard = Guard()
    assert guard.admit("a", created=0, expires=5000, now=0) is Admission.NEW
    assert guard.admit("a", created=0, expires=5000, now=0) is Admission.SEEN
    assert guard.admit("a", created=0, expires=9000, now=5999) is Admission.SEEN


def test_an_id_is_forgotten_when_it_can_no_longer_be_fresh() -> None:
    guard = Guard()
    guard.admit("a", created=0, expires=5000, now=0)
    assert guard.admit("b", created=8000, expires=9000, now=8000) is Admission.NEW
    assert len(guard) == 1


def test_in_a_full_memory_the_first_makes_room_and_what_is_as_old_is_turned_away() -> None:
    guard = Guard(capacity=2)
    guard.admit("a", created=10, expires=5000, now=10)
    guard.admit("b", created=20, expires=5000, now=20)
    assert guard.admit("c", created=30, expires=5000, now=30) is Admission.NEW
    # Of these, nobody could say any more whether they were seen; "a" was.
    for old in ("a", "d"):
        assert guard.admit(old, created=10, expires=5000, now=30) is Admission.FULL
    assert guard.admit("b", created=20, expires=5000, now=30) is Admission.SEEN
    assert guard.admit("e", created=40, expires=5000, now=40) is Admission.NEW
    assert guard.admit("b", created=20, expires=5000, now=40) is Admission.FULL


def test_what_is_turned_away_makes_nobody_forgotten() -> None:
    guard = Guard(capacity=1)
    guard.admit("a", created=10, expires=5000, now=10)
    guard.admit("b", created=20, expires=5000, now=20)
    for created in (5, 15, 20):
        assert guard.admit("c", created=created, expires=5000, now=20) is Admission.FULL
    assert guard.admit("b", created=20, expires=5000, now=20) is Admission.SEEN


def test_a_clock_that_is_set_back_brings_nothing_back() -> None:
    guard = Guard()
    guard.admit("a", created=0, expires=5000, now=4000)
    assert guard.admit("a", created=0, expires=5000, now=0) is Admission.SEEN
    assert guard.admit("b", created=0, expires=1000, now=0) is Admission.NEW


class Machine(RuleBasedStateMachine):
    """A guard beside a plain list of the messages that it let in. Messages come in any order and more than once."""

    @initialize(capacity=st.integers(1, 200))
    def begin(self, capacity: int) -> None:
        self.guard, self.capacity = Guard(capacity), capacity
        #: The id of a message, when it was made and when it expires.
        self.made: list[tuple[str, int, int]] = []
        self.admitted: set[str] = set()
        self.newest = -1
        self.now = 1_000_000

    @rule(age=st.integers(-1000, 3000), ttl=st.integers(0, 6000))
    def make(self, age: int, ttl: int) -> None:
        created = self.now - age
        self.made.append((str(len(self.made)), created, created + ttl))

    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        if not self.made:
            return
        identifier, created, expires = data.draw(st.sampled_from(self.made))
        if expires < self.now:
            return  # which is looked at before
        admission = self.guard.admit(identifier, created, expires, self.now)
        if identifier in self.admitted:
            assert admission is not Admission.NEW, "admitted twice while fresh"
        elif created > self.newest:
            assert admission is Admission.NEW, "newer than all others, and not let in"
        elif len(self.admitted) < self.capacity:
            assert admission is Admission.NEW, "there is room"
        if admission is Admission.NEW:
            self.admitted.add(identifier)
            self.newest = max(self.newest, created)

    @rule(count=st.integers(1, 100))
    def burst(self, count: int) -> None:
        for _ in range(count):
            self.make(0, 5000)
            identifier, created, expires = self.made[-1]
            if self.guard.admit(identifier, created, expires, self.now) is Admission.NEW:
                self.admitted.add(identifier)
                self.newest = max(self.newest, created)

    @rule(by=st.integers(0, 3000))
    def wait(self, by: int) -> None:
        self.now += by

    @rule()
    def outlive_all(self) -> None:
        self.now = max([self.now, *(expires for _, _, expires in self.made)]) + 3000
        assert self.guard.admit("new", self.now, self.now, self.now) is Admission.NEW
        assert len(self.guard) == 1
        self.begin_again()

    def begin_again(self) -> None:
        self.guard = Guard(self.capacity)
        self.made, self.admitted, self.newest = [], set(), -1

    @invariant()
    def bounded(self) -> None:
        assert len(self.guard) <= self.capacity


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None)
