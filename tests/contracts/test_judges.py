"""The judges of histories, on histories written by hand: good ones, and bad ones that one judge alone refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from treaty_contracts.properties import judges
from treaty_contracts.properties.history import (
    Began,
    Chronicle,
    Ended,
    Event,
    GivenUp,
    Heard,
    History,
    Left,
    LeftOpen,
    Published,
    Ran,
    Subscribed,
    Told,
    lines,
)
from treaty_contracts.properties.judges import OF_CALLS, OF_NOTIFICATIONS, Judge, Terms

TERMS = Terms()
UNORDERED = Terms(ordered=False)
STOPPING = Terms(stopping=True)


def ran(call: int) -> Ran:
    return Ran(call=call, worker="w", request=f"r{call}", at=0.1)


ECHO: History = (Began(call=1, kind="echo", value=5), ran(1), Ended(call=1, value=[1, 5], at=0.2))
REPORT: History = (
    Began(call=2, kind="report"),
    ran(2),
    *(Told(call=2, number=number) for number in range(3)),
    Ended(call=2, value=[2, None], at=0.2),
)
HELD: History = (Began(call=3, kind="hold"), ran(3), GivenUp(call=3, at=0.2), Ended(call=3, error="Cancelled", at=0.2))
LATE: History = (Began(call=4, kind="late", timeout=0.5), Ended(call=4, error="DeadlineExceeded", at=0.6))
NOTHING: History = (Began(call=5, kind="nothing"), Ended(call=5, error="UnknownMethod", at=0.2))
TYPED: History = (Began(call=6, kind="typed"), ran(6), Ended(call=6, error="SampleError", at=0.2))
CALLS: History = ECHO + REPORT + HELD + LATE + NOTHING + TYPED
NEWS: History = (
    Subscribed(subscriber="a"),
    Published(publisher="p", number=0),
    Subscribed(subscriber="b"),
    Heard(subscriber="b", publisher="p", number=0),
    Heard(subscriber="a", publisher="p", number=0),
    Published(publisher="q", number=0),
    Published(publisher="p", number=1),
    Heard(subscriber="a", publisher="p", number=1),
    Heard(subscriber="a", publisher="q", number=0),
    Left(subscriber="b"),
    Published(publisher="p", number=2),
    Heard(subscriber="a", publisher="p", number=2),
)


def without(history: History, *events: Event) -> History:
    return tuple(event for event in history if event not in events)


def swapped(history: History, one: Event, other: Event) -> History:
    places = {history.index(one): other, history.index(other): one}
    return tuple(places.get(number, event) for number, event in enumerate(history))


def exchanged(history: History, **ends: Ended) -> History:
    """Put another end in the place of a call's own."""
    by_call = {end.call: end for end in ends.values()}
    return tuple(by_call.get(event.call, event) if isinstance(event, Ended) else event for event in history)


BAD_CALLS: dict[str, tuple[Judge, History]] = {
    "never ends": (judges.each_ends_once, without(CALLS, TYPED[-1])),
    "ends twice": (judges.each_ends_once, (*CALLS, TYPED[-1])),
    "an end of no call": (judges.each_ends_once, (*CALLS, Ended(call=9, error="DeadlineExceeded"))),
    "somebody else's result": (judges.results_belong, exchanged(CALLS, end=Ended(call=1, value=[2, 5], at=0.2))),
    "another value": (judges.results_belong, exchanged(CALLS, end=Ended(call=1, value=[1, 5.0], at=0.2))),
    "another error": (judges.ends_are_permitted, exchanged(CALLS, end=Ended(call=1, error="RemoteError", at=0.2))),
    "no error": (judges.ends_are_permitted, exchanged(CALLS, end=Ended(call=6, value=[6, None], at=0.2))),
    "cancelled by nobody": (judges.ends_are_permitted, exchanged(CALLS, end=Ended(call=1, error="Cancelled", at=0.2))),
    "lost": (judges.ends_are_permitted, exchanged(CALLS, end=Ended(call=1, error="ConnectionLost", at=0.2))),
    "two runs": (judges.handlers_run_once, (*CALLS, replace(ran(1), request="other"))),
    "two runs of one request": (judges.handlers_run_once, (*without(CALLS, ran(6)), replace(ran(6), request="r1"))),
    "a run for nobody": (judges.handlers_run_once, (*CALLS, ran(9))),
    "a result from nowhere": (judges.ends_agree_with_runs, without(CALLS, ran(1))),
    "run all the same": (judges.ends_agree_with_runs, (*CALLS, ran(5))),
    "statuses swapped": (judges.statuses_are_in_order, swapped(CALLS, REPORT[2], REPORT[3])),
    "a status is missing": (judges.statuses_are_in_order, without(CALLS, REPORT[3])),
    "a status twice": (judges.statuses_are_in_order, (*CALLS[:5], REPORT[2], *CALLS[5:])),
    "a status after the end": (judges.statuses_are_in_order, swapped(CALLS, REPORT[-2], REPORT[-1])),
    "somebody else's status": (judges.statuses_are_in_order, (*CALLS[:1], Told(call=1, number=0), *CALLS[1:])),
    "answered after the cancel": (
        judges.cancelled_stay_cancelled,
        exchanged(CALLS, end=Ended(call=3, value=[3, None], at=0.2)),
    ),
    "late": (judges.deadlines_are_kept, exchanged(CALLS, end=Ended(call=1, value=[1, 5], at=11.5))),
    "early": (judges.deadlines_are_kept, exchanged(CALLS, end=Ended(call=4, error="DeadlineExceeded", at=0.3))),
}

BAD_NEWS: dict[str, tuple[Judge, History]] = {
    "never published": (judges.notifications_are_real, (*NEWS, Heard(subscriber="a", publisher="r", number=0))),
    "heard too soon": (judges.notifications_are_real, swapped(NEWS, NEWS[5], NEWS[8])),
    "heard after leaving": (judges.notifications_are_real, (*NEWS, Heard(subscriber="b", publisher="p", number=1))),
    "out of order": (judges.notifications_are_in_order, (*without(NEWS, NEWS[7]), NEWS[7])),
    "twice": (judges.notifications_are_in_order, (*NEWS, NEWS[-1])),
    "one is lost": (judges.notifications_are_complete, without(NEWS, NEWS[7])),
    "the last is lost": (judges.notifications_are_complete, NEWS[:-1]),
    "a hole before leaving": (
        judges.notifications_are_complete,
        (
            Subscribed(subscriber="a"),
            *(Published(publisher="p", number=number) for number in range(2)),
            Heard(subscriber="a", publisher="p", number=1),
            Left(subscriber="a"),
        ),
    ),
}


@pytest.mark.parametrize("judge", OF_CALLS, ids=lambda judge: judge.__name__)
@pytest.mark.parametrize("terms", [TERMS, UNORDERED, STOPPING], ids=["ordered", "unordered", "stopping"])
def test_good_calls_pass(judge: Judge, terms: Terms) -> None:
    finding = judge(CALLS, terms)
    assert finding.problems == ()
    assert finding.judged > 0


@pytest.mark.parametrize("judge", OF_NOTIFICATIONS, ids=lambda judge: judge.__name__)
@pytest.mark.parametrize("terms", [TERMS, UNORDERED], ids=["ordered", "unordered"])
def test_good_notifications_pass(judge: Judge, terms: Terms) -> None:
    finding = judge(NEWS, terms)
    assert finding.problems == ()
    assert finding.judged > 0


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_are_refused_by_one_judge_alone(name: str) -> None:
    judge, history = BAD_CALLS[name]
    assert [one for one in OF_CALLS if one(history, TERMS).problems] == [judge]


@pytest.mark.parametrize("name", BAD_NEWS)
def test_bad_notifications_are_refused_by_one_judge_alone(name: str) -> None:
    judge, history = BAD_NEWS[name]
    assert [one for one in OF_NOTIFICATIONS if one(history, TERMS).problems] == [judge]


def test_each_judge_has_a_bad_history_of_its_own() -> None:
    assert {judge for judge, _ in BAD_CALLS.values()} == set(OF_CALLS)
    assert {judge for judge, _ in BAD_NEWS.values()} == set(OF_NOTIFICATIONS)


@pytest.mark.parametrize("judge", [*OF_CALLS, *OF_NOTIFICATIONS], ids=lambda judge: judge.__name__)
def test_who_sees_nothing_says_so(judge: Judge) -> None:
    assert judge((), TERMS) == judges.Finding(judged=0)


def test_what_order_decides() -> None:
    lost = without(CALLS, REPORT[3])
    assert judges.statuses_are_in_order(lost, UNORDERED).problems == ()
    assert judges.notifications_are_in_order(BAD_NEWS["out of order"][1], UNORDERED).problems == ()
    assert judges.notifications_are_in_order(BAD_NEWS["twice"][1], UNORDERED).problems != ()
    assert judges.notifications_are_complete(BAD_NEWS["a hole before leaving"][1], UNORDERED).problems == ()


def test_a_call_that_nobody_waited_for_any_longer_need_not_end() -> None:
    broken_off = (*without(CALLS, TYPED[-1]), LeftOpen(call=6))
    assert judges.each_ends_once(broken_off, TERMS).problems == ()
    assert judges.each_ends_once((*CALLS, LeftOpen(call=6)), TERMS).problems == ()
    assert judges.each_ends_once((*CALLS, TYPED[-1], LeftOpen(call=6)), TERMS).problems != ()


def test_what_a_stop_permits() -> None:
    for error in ("Unavailable", "ConnectionLost"):
        stopped = exchanged(without(CALLS, ran(1)), end=Ended(call=1, error=error, at=0.2))
        assert [one for one in OF_CALLS if one(stopped, STOPPING).problems] == []
    run_all_the_same = exchanged(CALLS, end=Ended(call=1, error="Unavailable", at=0.2))
    assert [one for one in OF_CALLS if one(run_all_the_same, STOPPING).problems] == [judges.ends_agree_with_runs]


def test_a_call_that_was_over_when_it_was_given_up_keeps_its_end() -> None:
    history = exchanged(CALLS, end=Ended(call=3, value=[3, None], at=0.2))
    history = tuple(replace(event, open=False) if isinstance(event, GivenUp) else event for event in history)
    assert [one for one in OF_CALLS if one(history, TERMS).problems] == []


def test_a_chronicle_keeps_the_order_and_reads_well() -> None:
    chronicle = Chronicle()
    chronicle.add(Began, call=1, kind="echo", value=5)
    chronicle.add(Ended, call=1, error="Cancelled")
    began, ended = chronicle.history
    assert isinstance(began, Began)
    assert isinstance(ended, Ended)
    assert began.at <= ended.at
    first, second = lines(chronicle.history)
    assert "0.0 ms  Began" in first
    assert "call 1, kind 'echo', value 5" in first
    assert "error 'Cancelled'" in second
