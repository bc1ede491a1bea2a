"""The recorder: frames, and errors in place of frames, in the order in which they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import treaty_memory
from treaty import ClosedError, Delivery, Inbox, Line, Transport, Unavailable
from treaty_contracts import Status, Target, explain, find
from treaty_contracts.profile import PROFILES
from treaty_contracts.recording import Recorder, Trace
from treaty_contracts.runner import run_rule
from treaty_contracts.wrapping import WrappedInbox, WrappedLine, WrappedTransport

MEMORY = Target(name="memory", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))
QUICK = PROFILES["quick"]


class Refusing(WrappedLine):
    """Takes no request a second time."""

    count = 0

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.count += 1
        if self.count == 2:
            raise Unavailable("the queue\nis full" + "!" * 500)
        self.inner.send(service, frame, timeout)


class Full(WrappedTransport):
    """Its lines refuse."""

    def line(self, inner: Line) -> Line:
        return Refusing(inner)


def test_what_was_raised_stands_among_the_frames() -> None:
    trace = Trace()
    with Recorder(Full(treaty_memory.connect("memory://recording")), trace, "client") as transport:
        inbox, line = transport.serve("echo", 3), transport.dial()
        line.send("echo", b"one", 1)
        with pytest.raises(Unavailable):
            line.send("echo", b"two", 1)
        line.send("echo", b"three", 1)
        inbox.close()
        with pytest.raises(ClosedError):
            inbox.receive(0)
    told = [text[14:] for text in trace.lines()]
    assert told == [
        "line-2     -> send            3 B  6f 6e 65",
        "line-2     -> send            3 B  74 77 6f",
        "line-2     !! send     Unavailable: the queue",
        "line-2     -> send            5 B  74 68 72 65 65",
        f"inbox-1    !! receive  ClosedError: {told[-1].partition('ClosedError: ')[2]}",
    ]
    trace.restart()
    assert trace.lines() == ()


class Strange(WrappedTransport):
    """Not finished: what it gives, or how it can be called, is not what the interface says."""

    def __init__(self, inner: Transport, **odd: Any) -> None:
        super().__init__(inner)
        vars(self).update(odd)


@pytest.mark.parametrize(
    ("odd", "expected", "observed"),
    [
        ({"dial": lambda: None}, "a treaty.Line, as what dial returns", "NoneType: None"),
        ({"dial": lambda: "line-1"}, "a treaty.Line, as what dial returns", "str: line-1"),
        ({"serve": lambda _: None}, "no exception here", "TypeError: "),
        ({"serve": lambda *_: 7}, "a treaty.Inbox, as what serve returns", "int: 7"),
    ],
)
def test_what_is_not_finished_is_no_fault_of_the_suite(odd: dict[str, Any], expected: str, observed: str) -> None:
    strange = Target(name="strange", open=lambda context: Strange(MEMORY.open(context), **odd), time_scale=0.05)
    outcome = run_rule(strange, find("SETUP-001"), QUICK)
    assert outcome.status is Status.FAILED, explain(outcome)
    assert outcome.violation is not None
    assert outcome.violation.expected == expected
    assert outcome.violation.observed.startswith(observed)


def bare(delivery: Delivery) -> Any:
    return delivery.frame


def undecided(delivery: Delivery) -> Any:
    delivery.redelivered = None  # type: ignore[assignment]
    return delivery


@pytest.mark.parametrize(
    ("made", "expected", "observed"),
    [
        (bare, "a treaty.Delivery or None, as what receive of inbox-", "bytes: "),
        (undecided, "True or False, as redelivered of a delivery at inbox-", "NoneType: None"),
    ],
)
def test_a_delivery_that_is_none_is_a_violation(made: Callable[[Delivery], Any], expected: str, observed: str) -> None:
    class Odd(WrappedInbox):
        def delivery(self, inner: Delivery) -> Any:
            return made(inner)

    class Frames(WrappedTransport):
        def inbox(self, inner: Inbox, service: str) -> Inbox:
            return Odd(inner)

    frames = Target(name="frames", open=lambda context: Frames(MEMORY.open(context)), time_scale=0.05)
    outcome = run_rule(frames, find("SETUP-001"), QUICK)
    assert outcome.status is Status.FAILED, explain(outcome)
    assert outcome.violation is not None
    assert outcome.violation.expected.startswith(expected)
    assert outcome.violation.observed.startswith(observed)
