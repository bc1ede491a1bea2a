"""How many handlers run at once, and what waits for a place."""

from __future__ import annotations

import threading

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from treaty.places import Places

from .services import LIMIT, in_threads


def test_a_place_is_waited_for() -> None:
    places = Places[str](1, 0)
    assert places.take(0)
    assert not places.take(0.001)
    taken: list[bool] = []
    waiter = threading.Thread(target=lambda: taken.append(places.take(LIMIT)))
    waiter.start()
    assert places.next_or_leave() is None
    waiter.join(LIMIT)
    assert taken == [True]


def test_never_more_than_there_are_places() -> None:
    places = Places[int](3, 100)
    assert sorted(map(str, in_threads(8, places.take_or_queue))) == ["False"] * 5 + ["True"] * 3


def test_the_end_wakes_who_waits() -> None:
    places = Places[str](1, 0)
    places.take(0)
    taken: list[bool] = []
    waiter = threading.Thread(target=lambda: taken.append(places.take(LIMIT)))
    waiter.start()
    places.end()
    waiter.join(LIMIT)
    assert taken == [False]


class Machine(RuleBasedStateMachine):
    """Places beside a number and a list."""

    @initialize(count=st.integers(1, 3), backlog=st.integers(0, 3))
    def begin(self, count: int, backlog: int) -> None:
        self.places, self.count, self.backlog = Places[int](count, backlog), count, backlog
        self.taken, self.queue, self.made = 0, list[int](), 0

    @rule()
    def ask(self) -> None:
        self.made += 1
        verdict = self.places.take_or_queue(self.made)
        if self.taken < self.count:
            assert verdict is True
            self.taken += 1
        elif len(self.queue) < self.backlog:
            assert verdict is False
            self.queue.append(self.made)
        else:
            assert verdict is None

    @rule()
    def take(self) -> None:
        assert self.places.take(0) is (self.taken < self.count)
        self.taken = min(self.taken + 1, self.count)

    @precondition(lambda self: self.taken)
    @rule()
    def leave(self) -> None:
        following = self.places.next_or_leave()
        assert following == (self.queue.pop(0) if self.queue else None)
        self.taken -= following is None

    @invariant()
    def bounded(self) -> None:
        assert self.taken <= self.count and len(self.queue) <= self.backlog

    def teardown(self) -> None:
        if hasattr(self, "places"):
            assert self.places.end() == self.queue
            assert not self.places.take(0)


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None)


def test_nobody_takes_a_place_or_queues_after_the_end() -> None:
    places: Places[str] = Places(1, 1)
    places.end()

    assert places.take_or_queue("late") is None
    assert not places.take(0)
