"""The memory of ids: never admits one twice while it is fresh, forgets it later, and turns away when it is full."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from treaty.guard import Admission, Guard


def admit(
    guard: Guard, identifier: str, created: int, expires: int, now: int, steady: float | None = None
) -> Admission:
    """Ask, where the clocks go together unless it is said otherwise."""
    return guard.admit(identifier, created, expires, now, now / 1000 if steady is None else steady)


def test_an_id_is_admitted_once() -> None:
    guard = Guard()
    assert admit(guard, "a", created=0, expires=5000, now=0) is Admission.NEW
    assert admit(guard, "a", created=0, expires=5000, now=0) is Admission.SEEN
    assert admit(guard, "a", created=0, expires=9000, now=5999) is Admission.SEEN


def test_an_id_is_forgotten_when_it_can_no_longer_be_fresh() -> None:
    guard = Guard()
    admit(guard, "a", created=0, expires=5000, now=0)
    assert admit(guard, "b", created=8000, expires=9000, now=8000) is Admission.NEW
    assert len(guard) == 1


def test_in_a_full_memory_the_first_makes_room_and_what_is_as_old_is_turned_away() -> None:
    guard = Guard(capacity=2)
    admit(guard, "a", created=10, expires=5000, now=10)
    admit(guard, "b", created=20, expires=5000, now=20)
    assert admit(guard, "c", created=30, expires=5000, now=30) is Admission.NEW
    # Of these, nobody could say any more whether they were seen; "a" was.
    for old in ("a", "d"):
        assert admit(guard, old, created=10, expires=5000, now=30) is Admission.FULL
    assert admit(guard, "b", created=20, expires=5000, now=30) is Admission.SEEN
    assert admit(guard, "e", created=40, expires=5000, now=40) is Admission.NEW
    assert admit(guard, "b", created=20, expires=5000, now=40) is Admission.FULL


def test_what_is_turned_away_makes_nobody_forgotten() -> None:
    guard = Guard(capacity=1)
    admit(guard, "a", created=10, expires=5000, now=10)
    admit(guard, "b", created=20, expires=5000, now=20)
    for created in (5, 15, 20):
        assert admit(guard, "c", created=created, expires=5000, now=20) is Admission.FULL
    assert admit(guard, "b", created=20, expires=5000, now=20) is Admission.SEEN


def test_a_clock_that_is_set_back_brings_nothing_back() -> None:
    guard = Guard()
    admit(guard, "a", created=0, expires=5000, now=4000)
    assert admit(guard, "a", created=0, expires=5000, now=0) is Admission.SEEN
    assert admit(guard, "b", created=0, expires=1000, now=0) is Admission.NEW


def test_a_clock_that_jumps_ahead_and_is_set_right_brings_nothing_back() -> None:
    guard = Guard()
    admit(guard, "a", created=0, expires=60_000, now=0, steady=100)
    assert admit(guard, "b", created=3_600_000, expires=3_610_000, now=3_600_000, steady=101) is Admission.NEW
    assert admit(guard, "a", created=0, expires=60_000, now=2000, steady=102) is Admission.SEEN
    assert admit(guard, "c", created=3_700_000, expires=3_700_000, now=3_700_000, steady=161.1) is Admission.NEW
    assert len(guard) == 1


class Machine(RuleBasedStateMachine):
    """A guard beside a plain list of the messages that it let in. Messages come in any order and more than once."""

    @initialize(capacity=st.integers(1, 200))
    def begin(self, capacity: int) -> None:
        self.guard, self.capacity = Guard(capacity), capacity
        #: The id of a message, when it was made and when it expires.
        self.made: list[tuple[str, int, int]] = []
        self.admitted: set[str] = set()
        self.newest = -1
        self.now, self.steady = 1_000_000, 50.0
        #: Of those that were admitted: when they expire, and when that is on the steady clock.
        self.ends: dict[str, tuple[int, float]] = {}
        #: Those whose time has passed on both clocks: they may be forgotten.
        self.outlived: set[str] = set()

    @rule(age=st.integers(-1000, 3000), ttl=st.integers(0, 6000))
    def make(self, age: int, ttl: int) -> None:
        created = self.now - age
        self.made.append((str(len(self.made)), created, created + ttl))

    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        if not self.made:
            return
        identifier, created, expires = data.draw(st.sampled_from(self.made))
        if expires < self.now or identifier in self.outlived:
            return  # which is looked at before; the clock was set back to where nobody was any more
        admission = self.ask(identifier, created, expires)
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
            if self.ask(identifier, created, expires) is Admission.NEW:
                self.admitted.add(identifier)
                self.newest = max(self.newest, created)

    def ask(self, identifier: str, created: int, expires: int) -> Admission:
        admission = admit(self.guard, identifier, created, expires, self.now, self.steady)
        if admission is Admission.NEW:
            self.ends[identifier] = (expires, self.steady + (expires - self.now) / 1000)
        return admission

    @rule(by=st.integers(0, 3000))
    def wait(self, by: int) -> None:
        self.now += by
        self.steady += by / 1000
        self.look()

    @rule(by=st.integers(-10_000, 10_000) | st.integers(-4_000_000, 4_000_000))
    def jump(self, by: int) -> None:
        """Somebody sets the wall clock."""
        self.now = max(1_000_000, self.now + by)
        self.look()

    @rule(by=st.integers(1000, 4_000_000), after=st.integers(0, 3000))
    def wrong_for_a_while(self, by: int, after: int) -> None:
        """The wall clock jumps ahead, messages come, it is set right, and all that was seen comes again."""
        self.jump(by)
        self.burst(1)
        self.wait(after)
        self.jump(-by)
        for identifier, created, expires in self.made:
            if identifier in self.admitted - self.outlived and expires >= self.now:
                assert self.ask(identifier, created, expires) is not Admission.NEW, "admitted twice while fresh"

    def look(self) -> None:
        past = {key for key, (wall, steady) in self.ends.items() if wall < self.now and steady < self.steady}
        self.outlived |= past

    @rule()
    def outlive_all(self) -> None:
        self.now = max([self.now, *(expires for _, _, expires in self.made)]) + 3000
        self.steady = max([self.steady, *(over for _, over in self.ends.values())]) + 3
        assert admit(self.guard, "new", self.now, self.now, self.now, self.steady) is Admission.NEW
        assert len(self.guard) == 1
        self.begin_again()

    def begin_again(self) -> None:
        self.guard = Guard(self.capacity)
        self.made, self.admitted, self.newest, self.ends, self.outlived = [], set(), -1, {}, set()

    @invariant()
    def bounded(self) -> None:
        assert len(self.guard) <= self.capacity


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None)
