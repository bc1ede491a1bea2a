"""Walks over the whole surface: they pass where all is well, and tell the shortest way to what is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import treaty_memory
from treaty import Delivery, Inbox, Transport, matches
from treaty_contracts import Context, Status, Target, explain, find
from treaty_contracts.bench import Bench
from treaty_contracts.expect import Violated
from treaty_contracts.profile import PROFILES
from treaty_contracts.properties import model
from treaty_contracts.properties.cases import Cases
from treaty_contracts.properties.faces import AsyncioFace, BlockingFace, Face, MixedFace
from treaty_contracts.properties.model import Model
from treaty_contracts.properties.scene import Scene
from treaty_contracts.properties.tour import tour
from treaty_contracts.runner import run_rule
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedTransport

QUICK = PROFILES["quick"]
#: To find the shortest form of a failure takes many walks, and each waits for what does not come.
PATIENT = replace(QUICK, limit=QUICK.limit * 8)
FACES: tuple[type[Any], ...] = (BlockingFace, AsyncioFace, MixedFace)
RULES = ("MODEL-001", "MODEL-002", "MODEL-003")


def memory(context: Context) -> Transport:
    return treaty_memory.connect(f"memory://{context.namespace}")


MEMORY = Target(name="memory", open=memory)


pytestmark = pytest.mark.usefixtures("nothing_stays")


class Held(WrappedDelivery):
    def __init__(self, inner: Delivery, others: list[Delivery]) -> None:
        super().__init__(inner)
        self._others = others

    def reply(self, frame: bytes) -> None:
        # It is open no longer: its caller may ask again before this thread comes to settle it.
        self._forget()
        next(iter(self._others), self.inner).reply(frame)

    def settle(self, accepted: bool = True) -> None:
        self._forget()
        self.inner.settle(accepted)

    def _forget(self) -> None:
        if self.inner in self._others:
            self._others.remove(self.inner)


class Mixing(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self.open: list[Delivery] = []

    def delivery(self, inner: Delivery) -> Delivery:
        self.open.append(inner)
        return Held(inner, self.open)


class SwapsReplies(WrappedTransport):
    """While two requests are open, the reply to one goes to the other."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:
        return Mixing(inner)


class LosesPublications(WrappedTransport):
    """Every third notification is lost."""

    published = 0

    def publish(self, channel: str, frame: bytes) -> None:
        self.published += 1
        if self.published % 3:
            self.inner.publish(channel, frame)


def broken(wrap: Callable[[Transport], Transport]) -> Target:
    return Target(name="broken", open=lambda context: wrap(memory(context)), time_scale=0.25)


@pytest.mark.parametrize("identifier", RULES)
def test_walks_pass_where_all_is_well(identifier: str) -> None:
    outcome = run_rule(MEMORY, find(identifier), QUICK)
    assert outcome.status is Status.PASSED, explain(outcome)
    assert outcome.observations > 500


def test_another_seed_takes_other_walks() -> None:
    few = replace(QUICK, examples=8)
    walks = {run_rule(MEMORY, find("MODEL-001"), few, seed).observations for seed in (0, 1, 2)}
    assert len(walks) > 1


@pytest.fixture
def counted_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad case is made smaller in so many walks, and not in so many seconds, in which a busy machine takes fewer."""
    walks = count()
    monkeypatch.setattr("treaty_contracts.properties.cases.time", SimpleNamespace(monotonic=lambda: next(walks)))
    monkeypatch.setattr("treaty_contracts.properties.cases._PATIENCE", 160)


@pytest.mark.usefixtures("counted_walks")
@pytest.mark.parametrize("identifier", RULES)
def test_a_swap_is_told_in_its_shortest_form(identifier: str) -> None:
    outcome = run_rule(broken(SwapsReplies), find(identifier), PATIENT)
    assert outcome.status is Status.FAILED, explain(outcome)
    violation = outcome.violation
    assert violation is not None
    steps = [step for step in violation.done if not step.startswith("drew ")]
    # Two requests must be open at once: one of them is held, or a handler that calls another one makes both.
    assert len(steps) <= 7, steps
    assert steps[0] == "client 1 is made"
    assert any(re.match(r"client \d makes call \d: \w+, with ", step) for step in steps), explain(outcome)
    assert "ends with" in violation.expected
    # The frames are those of these steps and of no other case.
    names = {name for line in violation.trace for name in re.findall(r'"method":"([\w-]+)\.', line)}
    assert len(names) == 1, violation.trace
    assert "hypothesis" not in "\n".join(violation.notes).lower()


@pytest.mark.usefixtures("counted_walks")
def test_a_lost_notification_is_told_in_its_shortest_form() -> None:
    outcome = run_rule(broken(LosesPublications), find("MODEL-001"), PATIENT)
    assert outcome.status is Status.FAILED, explain(outcome)
    assert outcome.violation is not None
    steps = outcome.violation.done
    assert any("subscribes to" in step for step in steps)
    assert any("publishes" in step for step in steps)
    assert len(steps) <= 15, steps
    assert "hears" in outcome.violation.expected


@pytest.mark.parametrize("make", FACES)
def test_every_step_on_every_face(make: Callable[[], Face]) -> None:
    """What a walk may leave out by chance is taken here once, in an order that has something to find."""
    bench = Bench(MEMORY, QUICK)
    face = bench.keep(make())
    cases = Cases(bench, 1)
    cases.begin()
    scene = Scene(bench, cases.trace, face)
    try:
        tour(scene, notifies=True)
    finally:
        scene.close()
        bench.close()
    assert bench.expect.observations > 100


def test_what_cannot_be_repeated_is_told_as_that_and_with_what_was_seen_first() -> None:
    bench = Bench(MEMORY, QUICK)
    seen: list[int] = []

    def check(number: int) -> None:
        for step in range(number):
            bench.did(f"step {step}")
        seen.append(number)
        cases.trace.add("line-1", "out", "send", b"%d" % number)
        if number > 16 and sum(other > 16 for other in seen) < 4:
            raise Violated("less", f"{number}")

    cases = Cases(bench, 200)
    with pytest.raises(Violated) as raised:
        cases.each(st.integers(0, 1000), check)
    # What fails once and not again is a violation all the same, and is told as what it is.
    first = next(number for number in seen if number > 16)
    assert raised.value.__notes__ == [
        "the same case did not end like this each time it was run",
        f"what was seen first, in a longer case: expected less; observed {first}",
    ]
    assert int(raised.value.observed) < first
    (crossing,) = bench.trace.snapshot()
    assert crossing.frame.decode() == raised.value.observed
    assert len(bench.done) == int(raised.value.observed)


def test_the_smallest_case_is_found() -> None:
    bench = Bench(MEMORY, QUICK)

    def check(number: int) -> None:
        bench.did(f"took {number}")
        bench.expect.that(number < 17, "less than 17", number)

    with pytest.raises(Violated) as raised:
        Cases(bench, 200).each(st.integers(0, 1000), check)
    assert (raised.value.observed, bench.done) == ("17", ["took 17"])
    assert getattr(raised.value, "__notes__", []) == []


WORDS = st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=4).map(".".join)


@given(pattern=WORDS, topic=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(".".join))
def test_the_model_and_the_core_agree_about_patterns(pattern: str, topic: str) -> None:
    """Two definitions, written apart."""
    assert model.fits(pattern, topic) == matches(pattern, topic)
    assert model.fits(pattern, model.marker(pattern))


def test_the_model_tells_types_apart() -> None:
    assert model.same({"k": [1, "x", None]}, {"k": [1, "x", None]})
    for one, other in (([1], [1.0]), ([True], [1]), ({"k": 1}, {"k": 1, "l": 2}), ([1], [1, 2]), ("a", b"a")):
        assert not model.same(one, other)


def test_the_model_counts_runs() -> None:
    known = Model(runs={1: frozenset({1}), 2: frozenset({0, 1}), 3: frozenset({0})})
    assert known.strays({1: ["r"]}) == []
    assert known.strays({1: ["r"], 2: ["s"]}) == []
    assert known.strays({1: ["r", "s"]}) == ["the handler of call 1 ran 2 times, not 1"]
    assert known.strays({1: ["r"], 3: ["s"]}) == ["the handler of call 3 ran 1 times, not 0"]
    assert known.strays({1: ["r"], 4: ["s"]}) == ["a handler ran for call 4, which nobody made"]
