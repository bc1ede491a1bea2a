"""The judges, on observations that were made by hand: what is right passes, and what is wrong is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import treaty_memory
from treaty import ClosedError, FrameTooLarge, Unavailable
from treaty_contracts import Level, Rule, Status, Target, judging
from treaty_contracts.bench import Bench
from treaty_contracts.expect import Expectations, Violated
from treaty_contracts.judging import NothingToJudge, Verdict
from treaty_contracts.profile import PROFILES
from treaty_contracts.runner import run_rule

ABC = [b"a", b"b", b"c"]


def chained(error: Exception, cause: Exception, *, how: str) -> Exception:
    """Make an error that was raised while another one was handled."""
    try:
        try:
            raise cause
        except type(cause) as found:
            if how == "from":
                raise error from found
            if how == "from none":
                raise error from None
            raise error  # noqa: B904 - that is the mistake
    except type(error) as raised:
        return raised


CLOSED = ClosedError("closed")

GOOD: dict[str, Callable[[], Verdict]] = {
    "once, in another order": lambda: judging.exactly_once(ABC, [b"c", b"a", b"b"], "it"),
    "once, and twice where it was sent twice": lambda: judging.exactly_once([b"a", b"a"], [b"a", b"a"], "it"),
    "at most once": lambda: judging.at_most_once(ABC, "it"),
    "all, and one of them again": lambda: judging.complete(ABC, [*ABC, b"a"], "it"),
    "in order": lambda: judging.in_order(ABC, ABC, "it"),
    "in order, with one lost": lambda: judging.in_order(ABC, [b"a", b"c"], "it"),
    "in order, with one repeated": lambda: judging.in_order(ABC, [b"a", b"b", b"a", b"c"], "it"),
    "in order, with a stranger": lambda: judging.in_order(ABC, [b"x", b"a", b"b", b"x", b"c"], "it"),
    "faithful": lambda: judging.faithful([(1, 1), ({"a": [1.0, None]}, {"a": [1.0, None]})], "it"),
    "own": lambda: judging.own({"x": b"1", "y": b"2"}, {"y": b"2", "x": b"1"}, "it"),
    "never back": lambda: judging.never_back([0, 1, 5], "it"),
    "isolated": lambda: judging.isolated({"x": [b"1"], "y": [b"2"]}, {"x": [b"1"], "y": [b"2"]}, "it"),
    "within capacity": lambda: judging.within_capacity(
        [("taken", b"a"), ("taken", b"b"), ("settled", b"a"), ("settled", b"a"), ("taken", b"c")], 2, "it"
    ),
    "certain": lambda: judging.certain(ABC, [b"b"], [b"c", b"a"], "it"),
    "typed": lambda: judging.typed({"send": CLOSED, "receive": None}, "it"),
    "typed, from its cause": lambda: judging.typed(
        {"send": chained(Unavailable("no"), OSError(111), how="from")}, "it"
    ),
    "typed, while a program steers by exceptions": lambda: judging.typed(
        {"send": chained(Unavailable("no"), KeyError("x"), how="from none")}, "it"
    ),
    "typed, while another of treaty's errors is handled": lambda: judging.typed(
        {"send": chained(ClosedError("no"), FrameTooLarge("x"), how="bare")}, "it"
    ),
    "the same world": lambda: judging.same_world({"a": 1, "b": [2]}, {"a": 1, "b": [2]}, "it"),
    "nothing new, and something gone": lambda: judging.nothing_new(Counter("aab"), Counter("ab"), "it"),
}

BAD: dict[str, tuple[Callable[[], Verdict], str]] = {
    "lost": (lambda: judging.exactly_once(ABC, [b"a", b"c"], "it"), "1 lost: b'b'"),
    "all lost": (lambda: judging.exactly_once(ABC, [], "it"), "3 lost"),
    "twice": (lambda: judging.exactly_once(ABC, [*ABC, b"b", b"b"], "it"), "2 too often: b'b', b'b'"),
    "a stranger": (lambda: judging.exactly_once(ABC, [*ABC, b"x"], "it"), "1 never sent: b'x'"),
    "changed on the way": (lambda: judging.exactly_once([b"ab"], [b"aB"], "it"), "1 lost: b'ab'; 1 never sent: b'aB'"),
    "many lost": (lambda: judging.exactly_once([b"%d" % n for n in range(9)], [], "it"), "and 5 more"),
    "twice, where some may be lost": (lambda: judging.at_most_once([b"a", b"b", b"a"], "it"), "1 too often: b'a'"),
    "not all": (lambda: judging.complete(ABC, [b"a", b"a", b"b"], "it"), "1 lost: b'c'"),
    "all, and a stranger": (lambda: judging.complete(ABC, [*ABC, b"x"], "it"), "1 never sent: b'x'"),
    "out of order": (lambda: judging.in_order(ABC, [b"b", b"a", b"c"], "it"), "1 out of order: b'a' after b'b'"),
    "out of order, with a gap": (lambda: judging.in_order(ABC, [b"c", b"x", b"a"], "it"), "b'a' after b'c'"),
    "another type": (lambda: judging.faithful([(1, 1), (1, 1.0)], "it"), "1 changed: 1 became 1.0"),
    "true for one": (lambda: judging.faithful([(1, True)], "it"), "1 became True"),
    "another type deep down": (lambda: judging.faithful([({"a": [1]}, {"a": [True]})], "it"), "became {'a': [True]}"),
    "another value": (lambda: judging.faithful([("\x00", "")], "it"), "1 changed"),
    "swapped": (
        lambda: judging.own({"x": b"1", "y": b"2"}, {"x": b"2", "y": b"1"}, "it"),
        "x gets b'2', which is for y; y gets b'1', which is for x",
    ),
    "nothing for one": (lambda: judging.own({"x": b"1"}, {"x": None}, "it"), "x gets None"),
    "left out": (lambda: judging.own({"x": b"1", "y": b"2"}, {"x": b"1"}, "it"), "y gets None"),
    "somebody who asked nothing": (lambda: judging.own({"x": b"1"}, {"x": b"1", "z": b"1"}, "it"), "for nobody: z"),
    "gone back": (lambda: judging.never_back([1, 3, 2], "it"), "1 gone back: 2 after 3"),
    "said twice": (lambda: judging.never_back([1, 1], "it"), "1 after 1"),
    "of another channel": (
        lambda: judging.isolated({"x": [b"1"], "y": [b"2"]}, {"x": [b"1", b"2"], "y": [b"2"]}, "it"),
        "'x' hears b'2' of 'y'",
    ),
    "of nobody": (lambda: judging.isolated({"x": [b"1"]}, {"x": [b"3"]}, "it"), "'x' hears b'3' of 'nobody'"),
    "beyond the capacity": (
        lambda: judging.within_capacity([("taken", b"a"), ("taken", b"b"), ("taken", b"c")], 2, "it"),
        "step 2: b'c' is taken while 2 are unsettled",
    ),
    "settled twice, room for two": (
        lambda: judging.within_capacity(
            [("taken", b"a"), ("taken", b"b"), ("settled", b"a"), ("settled", b"a"), ("taken", b"c"), ("taken", b"d")],
            2,
            "it",
        ),
        "step 5",
    ),
    "refused, and there": (lambda: judging.certain(ABC, [b"b"], ABC, "it"), "1 refused, and arrived: b'b'"),
    "neither": (lambda: judging.certain(ABC, [b"b"], [b"a"], "it"), "1 neither refused nor arrived: b'c'"),
    "accepted, and there twice": (lambda: judging.certain(ABC, [], [*ABC, b"a"], "it"), "1 too often: b'a'"),
    "foreign": (lambda: judging.typed({"send": OSError(9, "Bad file")}, "it"), "send: builtins.OSError"),
    "not from its cause": (
        lambda: judging.typed({"send": chained(Unavailable("no"), OSError(111), how="bare")}, "it"),
        "Unavailable is not raised from the OSError",
    ),
    "another world": (lambda: judging.same_world({"a": 1, "b": 2}, {"a": 1, "b": 3}, "it"), "b: 2 became 3"),
    "many changes": (lambda: judging.same_world(dict.fromkeys("abcdef", 1), {}, "it"), "d: 1 became None; and 2 more"),
    "something set": (lambda: judging.same_world({"a": 1}, {"a": 1, "TZ": "UTC"}, "it"), "TZ: None became UTC"),
    "something new": (lambda: judging.nothing_new(Counter("a"), Counter("aabbb"), "it"), "a; b (3)"),
}

NOTHING: dict[str, Callable[[], Verdict]] = {
    "exactly once": lambda: judging.exactly_once([], [], "it"),
    "at most once": lambda: judging.at_most_once([], "it"),
    "complete": lambda: judging.complete([], [b"x"], "it"),
    "in order": lambda: judging.in_order([], [], "it"),
    "in order, one": lambda: judging.in_order([b"a"], [b"a"], "it"),
    "in order, none came": lambda: judging.in_order(ABC, [b"x"], "it"),
    "faithful": lambda: judging.faithful([], "it"),
    "own": lambda: judging.own({}, {}, "it"),
    "never back": lambda: judging.never_back([], "it"),
    "isolated": lambda: judging.isolated({"x": [b"1"]}, {"x": []}, "it"),
    "within capacity": lambda: judging.within_capacity([("settled", b"a")], 1, "it"),
    "certain": lambda: judging.certain([], [], [], "it"),
    "typed": lambda: judging.typed({}, "it"),
    "same world": lambda: judging.same_world({}, {}, "it"),
}


@pytest.mark.parametrize("judge", GOOD.values(), ids=GOOD)
def test_what_is_right_passes(judge: Callable[[], Verdict]) -> None:
    verdict = judge()
    assert verdict.observed == ""
    assert verdict.judged > 0
    assert verdict.expected.startswith("it: ")


@pytest.mark.parametrize(("judge", "said"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(judge: Callable[[], Verdict], said: str) -> None:
    assert said in judge().observed


@pytest.mark.parametrize("judge", NOTHING.values(), ids=NOTHING)
def test_nothing_is_no_verdict(judge: Callable[[], Verdict]) -> None:
    with pytest.raises(NothingToJudge):
        judge()


def test_every_judge_has_good_and_bad_observations() -> None:
    judges = {name for name, one in vars(judging).items() if _judges(one)}
    assert judges
    for table in (GOOD.values(), [judge for judge, _ in BAD.values()]):
        called = {name for judge in table for name in judge.__code__.co_names}
        assert judges <= called, judges - called


def _judges(one: Any) -> bool:
    named = getattr(one, "__annotations__", {})
    return named.get("return") == "Verdict" and not one.__name__.startswith("_")


def test_a_verdict_counts_and_is_raised() -> None:
    expect = Expectations()
    expect.judged(judging.exactly_once(ABC, ABC, "it"))
    assert expect.observations == 3
    with pytest.raises(Violated, match=r"expected it: each of 3 once; observed 1 lost: b'c'"):
        expect.judged(judging.exactly_once(ABC, ABC[:2], "it"))


def test_a_rule_that_judges_nothing_is_a_fault_of_the_suite() -> None:
    def check(bench: Bench) -> None:
        bench.expect.equal(1, 1, "one")
        bench.expect.judged(judging.exactly_once([], [], "what was never sent"))

    outcome = run_rule(MEMORY, _rule(check), PROFILES["quick"])
    assert outcome.status is Status.ERROR
    assert "nothing to judge" in outcome.reason


def test_what_is_late_once_is_not_late() -> None:
    expect = Expectations()
    took = iter([9.0, 9.0, 0.5])
    expect.promptly(partial(next, took), 1.0, "it")
    with pytest.raises(Violated, match=r"it: within 1\.000 s; observed 3\.000 s"):
        expect.promptly(partial(next, iter([9.0, 3.0, 4.0])), 1.0, "it")


def test_cases_are_as_many_as_the_profile_affords() -> None:
    bench = Bench(MEMORY, PROFILES["quick"])
    try:
        assert bench.cases(1) == PROFILES["quick"].examples
        bench._pace = 0.1
        assert bench.cases(1) == 10
        assert bench.cases(100) == 5
        assert bench.done[-1].startswith("drew 5 cases")
    finally:
        bench.close()


def test_silence_is_counted() -> None:
    bench = Bench(MEMORY, PROFILES["quick"])
    try:
        service = bench.name()
        inbox, line = bench.inbox(service), bench.line()
        assert bench.silence(inbox, line) == []
        assert bench.times.quiet <= bench.quiet < bench.times.slack
        line.send(service, b"x", 1)
        assert bench.silence(line, inbox) == [b"x"]
    finally:
        bench.close()


MEMORY = Target(name="memory", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))


def _rule(check: Callable[[Bench], None]) -> Rule:
    return Rule(
        id="CALL-900",
        level=Level.MUST,
        sentence="It does what it must.",
        intent="It matters.",
        causes=("this",),
        mutants=("an-animal",),
        check=check,
    )
