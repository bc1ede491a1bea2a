"""The judges: each reads a whole history and says what in it must not be. They are pure: no transport, no thread, no clock.

A judge also says how many observations it looked at, because one that saw nothing has judged nothing. It must not know
how a history came about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from treaty_contracts.properties import model
from treaty_contracts.properties.history import (
    Began,
    Ended,
    GivenUp,
    Heard,
    History,
    Left,
    LeftOpen,
    Published,
    Ran,
    Subscribed,
    Told,
    only,
)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a history is judged by, besides the contract."""

    #: Whether the transport declares order.
    ordered: bool = True
    #: How late something may be, in seconds.
    slack: float = 1.0
    #: Whether a service stopped while calls were open.
    stopping: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one judge says about a history."""

    judged: int
    #: What was expected and what was there instead, for each thing that is wrong.
    problems: tuple[tuple[str, str], ...] = ()


Judge: TypeAlias = Callable[[History, Terms], Finding]

#: Requests carry their times in whole milliseconds, and two of them are rounded.
_GRAIN: Final = 0.002
#: The ends that a call may have because of the service's stop.
_STOP_ENDS: Final = frozenset({"Unavailable", "ConnectionLost"})
#: The ends of which the contract says that no handler ran.
_NOT_EXECUTED: Final = frozenset({"Unavailable", "UnknownMethod", "InvalidParams", "AuthenticationError"})


def each_ends_once(history: History, _: Terms) -> Finding:
    """Every call that was made ends once, and nothing else ends."""
    begun = Counter(event.call for event in only(history, Began))
    ends = Counter(event.call for event in only(history, Ended))
    begun -= Counter({event.call for event in only(history, LeftOpen)} - ends.keys())
    wrong = [
        (f"call {call} ends once", f"it ends {ends[call]} times") for call in begun | ends if ends[call] != begun[call]
    ]
    return Finding(judged=len(begun), problems=tuple(wrong))


def ends_are_permitted(history: History, terms: Terms) -> Finding:
    """A call ends as its kind must: with a result, or with an error of the right class."""
    begun = {event.call: event for event in only(history, Began)}
    given_up = {event.call for event in only(history, GivenUp)}
    wrong, judged = [], 0
    for event in only(history, Ended):
        if event.call not in begun:
            continue
        judged += 1
        permitted = _permitted(begun[event.call], terms)
        if event.call in given_up:
            permitted |= {"Cancelled"}
        if event.error not in permitted:
            listed = " or ".join(sorted(name or "a result" for name in permitted))
            wrong.append((f"call {event.call} ends with {listed}", event.error or "a result"))
    return Finding(judged=judged, problems=tuple(wrong))


def results_belong(history: History, _: Terms) -> Finding:
    """A result is the answer to that very call."""
    begun = {event.call: event for event in only(history, Began)}
    results = [event for event in only(history, Ended) if not event.error and event.call in begun]
    wrong = []
    for event in results:
        wanted = [event.call, begun[event.call].value]
        if not model.same(event.value, wanted):
            wrong.append((f"the result of call {event.call}: {wanted!r}", repr(event.value)))
    return Finding(judged=len(results), problems=tuple(wrong))


def handlers_run_once(history: History, _: Terms) -> Finding:
    """A handler runs at most once for a request, and for nobody else."""
    begun = {event.call for event in only(history, Began)}
    runs = Counter(event.call for event in only(history, Ran))
    ids = Counter(event.request for event in only(history, Ran))
    wrong = [
        (f"the handler of call {call} runs at most once", f"{times} times") for call, times in runs.items() if times > 1
    ]
    wrong += [(f"one run for request {name}", f"{times}") for name, times in ids.items() if times > 1]
    wrong += [("handlers run for calls that were made", f"one ran for {call}") for call in runs if call not in begun]
    return Finding(judged=len(runs), problems=tuple(wrong))


def ends_agree_with_runs(history: History, _: Terms) -> Finding:
    """Who has a result was served, and what certainly was not executed was not."""
    runs = {event.call for event in only(history, Ran)}
    wrong, judged = [], 0
    for event in only(history, Ended):
        if not event.error and event.call not in runs:
            wrong.append((f"a handler ran for call {event.call}, which has a result", "none"))
        if event.error in _NOT_EXECUTED and event.call in runs:
            wrong.append((f"no handler ran for call {event.call}, which ended with {event.error}", "one ran"))
        judged += not event.error or event.error in _NOT_EXECUTED
    return Finding(judged=judged, problems=tuple(wrong))


def statuses_are_in_order(history: History, terms: Terms) -> Finding:
    """Status messages come in order and before the answer; all of them, where order is declared."""
    told: dict[int, list[int]] = defaultdict(list)
    over: set[int] = set()
    ended = {event.call: event for event in only(history, Ended)}
    wrong = []
    for event in history:
        if isinstance(event, Ended):
            over.add(event.call)
        elif isinstance(event, Told):
            told[event.call].append(event.number)
            if event.call in over:
                wrong.append((f"no status message after the end of call {event.call}", f"number {event.number}"))
    reporting = [event.call for event in only(history, Began) if event.kind == "report"]
    for call in reporting:
        numbers = told[call]
        complete = list(range(3))
        if call in ended and not ended[call].error and terms.ordered:
            if numbers != complete:
                wrong.append((f"the status messages of call {call}: {complete}", str(numbers)))
        elif numbers != sorted(set(numbers)):
            wrong.append((f"the status messages of call {call} in order", str(numbers)))
    wrong += [(f"no status message for call {call}", str(told[call])) for call in told if call not in reporting]
    return Finding(judged=sum(map(len, told.values())), problems=tuple(wrong))


def cancelled_stay_cancelled(history: History, _: Terms) -> Finding:
    """A call that was open when it was given up ends with Cancelled: no answer comes afterwards."""
    ended = {event.call: event for event in only(history, Ended)}
    given_up = [event for event in only(history, GivenUp) if event.open]
    wrong = []
    for event in given_up:
        end = ended.get(event.call)
        if end is not None and end.error != "Cancelled":
            wrong.append((f"call {event.call}, given up while open, ends with Cancelled", end.error or "a result"))
    return Finding(judged=len(given_up), problems=tuple(wrong))


def deadlines_are_kept(history: History, terms: Terms) -> Finding:
    """No call ends after its deadline and the slack, and none runs out of time before it."""
    begun = {event.call: event for event in only(history, Began)}
    wrong, judged = [], 0
    for event in only(history, Ended):
        start = begun.get(event.call)
        if start is None:
            continue
        judged += 1
        took = event.at - start.at
        if took > start.timeout + terms.slack:
            wrong.append(
                (f"call {event.call} is over after {start.timeout + terms.slack:.3f} s", f"after {took:.3f} s")
            )
        if event.error == "DeadlineExceeded" and took < start.timeout * 0.95 - _GRAIN:
            wrong.append((f"call {event.call} has {start.timeout:.3f} s", f"out of time after {took:.3f} s"))
    return Finding(judged=judged, problems=tuple(wrong))


def notifications_are_in_order(history: History, terms: Terms) -> Finding:
    """A subscriber hears what one publisher publishes in the order of publishing, where order is declared; and once."""
    heard: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in only(history, Heard):
        heard[event.subscriber, event.publisher].append(event.number)
    wrong = []
    for (subscriber, publisher), numbers in heard.items():
        if len(set(numbers)) != len(numbers):
            wrong.append((f"{subscriber} hears each notification of {publisher} once", str(numbers)))
        elif terms.ordered and numbers != sorted(numbers):
            wrong.append((f"{subscriber} hears {publisher} in order", str(numbers)))
    return Finding(judged=sum(map(len, heard.values())), problems=tuple(wrong))


def notifications_are_complete(history: History, terms: Terms) -> Finding:
    """A subscriber hears all that is published after ``subscribe`` has returned; one that has left, up to some point."""
    due: dict[str, set[tuple[str, int]]] = {}
    left: set[str] = set()
    for event in history:
        if isinstance(event, Subscribed):
            due[event.subscriber] = set()
        elif isinstance(event, Left):
            left.add(event.subscriber)
        elif isinstance(event, Published):
            for who in due.keys() - left:
                due[who].add((event.publisher, event.number))
    heard: dict[str, set[tuple[str, int]]] = defaultdict(set)
    last: dict[tuple[str, str], int] = defaultdict(lambda: -1)
    for one in only(history, Heard):
        heard[one.subscriber].add((one.publisher, one.number))
        last[one.subscriber, one.publisher] = max(last[one.subscriber, one.publisher], one.number)
    for who in left & due.keys():
        # What was still under way when it left may be missing, and without order that may be anything.
        due[who] = {one for one in due[who] if terms.ordered and one[1] <= last[who, one[0]]}
    wrong = [
        (f"{who} hears all that was published for it", f"all but {sorted(wanted - heard[who])}")
        for who, wanted in due.items()
        if wanted - heard[who]
    ]
    return Finding(judged=sum(map(len, due.values())), problems=tuple(wrong))


def notifications_are_real(history: History, _: Terms) -> Finding:
    """Nobody hears what was not published yet, or anything after the close of the subscription has returned."""
    published: set[tuple[str, int]] = set()
    left: set[str] = set()
    wrong, judged = [], 0
    for event in history:
        if isinstance(event, Published):
            published.add((event.publisher, event.number))
        elif isinstance(event, Left):
            left.add(event.subscriber)
        elif isinstance(event, Heard):
            judged += 1
            what = f"{event.subscriber} hears {event.publisher} {event.number}"
            if (event.publisher, event.number) not in published:
                wrong.append((f"{event.subscriber} hears what was published", what))
            if event.subscriber in left:
                wrong.append((f"{event.subscriber} hears nothing after it has left", what))
    return Finding(judged=judged, problems=tuple(wrong))


#: Who judges calls, and who judges notifications, by what each one says in a report.
OF_CALLS: Final[tuple[Judge, ...]] = (
    each_ends_once,
    results_belong,
    ends_are_permitted,
    handlers_run_once,
    ends_agree_with_runs,
    statuses_are_in_order,
    cancelled_stay_cancelled,
    deadlines_are_kept,
)
OF_NOTIFICATIONS: Final[tuple[Judge, ...]] = (
    notifications_are_real,
    notifications_are_in_order,
    notifications_are_complete,
)


def _permitted(begun: Began, terms: Terms) -> set[str]:
    end = model.end(begun.kind, begun.call, begun.value)
    permitted = {kind.__name__ for kind in end.errors} or {""}
    return permitted | _STOP_ENDS if terms.stopping else permitted
