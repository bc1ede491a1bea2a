"""LINE: the law of a caller's end. Each rule drives lines and inboxes by hand, with frames that mean nothing.

No service and no client is involved: what fails here fails below everything else.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from threading import Event
from typing import Final

from hypothesis import strategies as st

from treaty import ClosedError, Delivery, Inbox, Line
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.sizes import mixed_sizes
from treaty_contracts.expect import timed
from treaty_contracts.registry import Level, Strength, rule

#: How many wake-ups make a median, and how many medians there are to find one that no other program held up.
_WAKE_UPS, _TRIES = 11, 3
#: How often something is sent at most that is not to wait, to find once that nothing held up.
_SENDS = 5
#: Seconds after which a thread that has begun to receive is taken to be blocked.
BLOCKED: Final = 0.005
#: Near the least that every transport takes, and more than goes through a busy socket in one piece.
LARGE: Final = 61_440
#: How many status messages a long call may well have.
_STATUSES: Final = 150


@rule(
    "LINE-002",
    level=Level.MUST,
    sentence="A reply reaches the line that asked and no other, whoever answers whom in which order.",
    intent="A reply at the wrong line is somebody else's data, and a call that never ends.",
    causes=(
        "one reply queue or identity for several lines",
        "the last asker gets the reply",
        "replies are matched by order",
    ),
    mutants=("echoes-to-the-wrong-line", "swaps-replies"),
    strength=Strength.STOCHASTIC,
)
def replies_reach_their_line(bench: Bench) -> None:
    service = bench.name()
    inbox = bench.inbox(service)
    other = bench.open("client")
    lines = [bench.line(), bench.line(), bench.keep(other.dial())]
    bench.did("three lines, two of them of one transport object, asked; the answers went out in another order")

    def check(order: list[int]) -> None:
        for number, line in enumerate(lines):
            line.send(service, b"from %d" % number, bench.times.arrive)
        deliveries = {delivery.frame: delivery for delivery in (bench.arrives(inbox) for _ in lines)}
        bench.expect.equal(len(deliveries), len(lines), "how many different frames arrive")
        for number in order:
            delivery = deliveries[b"from %d" % number]
            delivery.reply(delivery.frame)
            delivery.settle()
        # One that gets nothing is waited for; what the others have got instead says where it went.
        waits = bench.times.arrive
        got: dict[str, bytes | None] = {}
        for number, line in enumerate(lines):
            got[f"line {number}"] = came = line.receive(waits)
            waits = 0.0 if came is None else waits
        mine = {f"line {number}": b"from %d" % number for number in range(len(lines))}
        bench.expect.judged(judging.own(mine, got, "what the lines get"))

    bench.each(st.permutations(range(len(lines))), check, trips=2)


@rule(
    "LINE-004",
    level=Level.MUST,
    sentence="A blocked ``receive`` wakes for a frame at once, at a line and at an inbox; ``send`` with 0 does not wait.",
    intent="Otherwise every call takes as long as the poll interval.",
    causes=(
        "the library is polled",
        "the wake-up is lost when it comes between check and wait",
        "another end holds the lock while it waits",
        "the medium itself takes longer: time_scale of the target says so",
    ),
    mutants=("holds-the-lock-while-blocked", "never-wakes", "polls-slowly", "returns-late", "send-blocks"),
    strength=Strength.STOCHASTIC,
    requires=("SETUP-005",),
)
def receive_wakes_at_once(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.round_trip(line, inbox, service)
    bench.did("waited at both ends in a thread each, and sent and replied once they were blocked; many times")
    # One wake-up may meet a busy machine, and so may a whole try: the median of the best try is what is judged.
    tries: list[tuple[float, float]] = []
    while len(tries) < _TRIES and (not tries or max(tries[-1]) > bench.times.wake):
        tries.append(_one_try(bench, line, inbox, service))
    at_inbox, at_line = min(tries, key=max)
    bench.expect.in_time(at_inbox, bench.times.wake, f"from send to the inbox, the median of {_WAKE_UPS}")
    bench.expect.in_time(at_line, bench.times.wake, f"from reply to the line, the median of {_WAKE_UPS}")
    took: list[float] = []
    while len(took) < _SENDS and min(took, default=math.inf) > bench.times.wake:
        started = time.monotonic()
        line.send(service, b"at once", 0)
        took.append(time.monotonic() - started)
        bench.arrives(inbox).settle()
    bench.expect.in_time(min(took), bench.times.wake, f"send with a timeout of 0, the best of {_SENDS}")


def _one_try(bench: Bench, line: Line, inbox: Inbox, service: str) -> tuple[float, float]:
    """Return the medians of many wake-ups; once it is plain that one is late, there is no need to see them all."""
    found: list[tuple[float, float]] = []
    while len(found) < _WAKE_UPS:
        found.append(_wake_up(bench, line, inbox, service))
        if max(found[-1]) > bench.times.slack / 2:
            return found[-1]
        if any(sum(took > bench.times.wake for took in at) > _WAKE_UPS // 2 for at in zip(*found, strict=True)):
            break
    return median(one for one, _ in found), median(other for _, other in found)


def _wake_up(bench: Bench, line: Line, inbox: Inbox, service: str) -> tuple[float, float]:
    """Return the seconds from send to the end of a blocked receive at the inbox, and from reply to that at the line."""
    # Not as generous as elsewhere: who never wakes finds the frame when the time is over, and is to be known for it soon.
    patience = bench.times.slack * 2
    served, answered = Aside(lambda: inbox.receive(patience)), Aside(lambda: line.receive(patience))
    for waiting in (served, answered):
        waiting.begun.wait(bench.times.arrive)
    Event().wait(BLOCKED)
    sent = time.monotonic()
    line.send(service, b"wake up", bench.times.arrive)
    delivery = served.result(bench.times.arrive)
    at_inbox = served.at - sent
    if delivery is None:  # this machine held the sender up, or the frame comes too late
        at_inbox, delivery = patience, bench.arrives(inbox)
    replied = time.monotonic()
    delivery.reply(b"good morning")
    delivery.settle()
    came = answered.result(bench.times.arrive)
    at_line = answered.at - replied
    if came is None:
        at_line, came = patience, bench.returns(line)
    bench.expect.equal(came, b"good morning", "what wakes the line")
    return at_inbox, at_line


@rule(
    "LINE-005",
    level=Level.MUST,
    sentence="``close`` from another thread ends a blocked ``receive`` of a line with ClosedError, at once.",
    intent="A client must be able to close while one of its threads waits.",
    causes=(
        "close waits for the receiver, or for its lock",
        "the receiver is not woken",
        "the library's own error comes through",
    ),
    mutants=("close-does-not-wake",),
    requires=("LINE-004",),
)
def close_ends_receive(bench: Bench) -> None:
    bench.inbox(service := bench.name())

    def used() -> Line:
        line = bench.line()
        line.send(service, b"first", bench.times.arrive)
        return line

    for _ in range(bench.profile.rounds):
        ends_when_closed(bench, bench.line)
    ends_when_closed(bench, used)


def ends_when_closed(bench: Bench, open_one: Callable[[], Line | Inbox]) -> None:
    """Judge what a blocked receive does when another thread closes. For the rules about other ends as well."""

    def once() -> float:
        end = open_one()
        waiting = Aside(lambda: end.receive(bench.times.slack * 3))
        waiting.begun.wait(bench.times.arrive)
        started = time.monotonic()
        end.close()
        error = waiting.error(bench.times.arrive)
        bench.expect.that(isinstance(error, ClosedError), "the blocked receive raises ClosedError", repr(error))
        return waiting.at - started

    bench.expect.promptly(once, bench.times.slack, "from close to the end of the blocked receive")


@rule(
    "LINE-007",
    level=Level.MUST,
    sentence="A delivery can be replied to any number of times, from any thread, also after it was settled.",
    intent="Status messages come before the answer, and workers settle when they like.",
    causes=(
        "the way back is forgotten with the first reply, or with settle",
        "one object is used for what arrives later as well",
        "replies belong to one thread",
        "there may be so many and no more",
        "parts of two replies are interleaved",
    ),
    mutants=(
        "forgets-after-settle",
        "forgets-in-time",
        "interleaves-replies",
        "one-reply-only",
        "uses-deliveries-again",
    ),
    requires=("LINE-001", "LINE-002"),
    strength=Strength.STOCHASTIC,
)
def many_replies(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    line.send(service, b"ask", bench.times.arrive)
    delivery = bench.arrives(inbox)
    small = [b"reply %d" % number for number in range(4)]
    shares = [[b"large %d:%d" % (one, number) + bytes(LARGE) for number in range(6)] for one in range(4)]
    bench.did("replied; replied 60 KiB again and again from four threads at once; settled, and replied again")

    def reply(frames: list[bytes]) -> None:
        for frame in frames:
            delivery.reply(frame)

    reply(small[:2])
    at_once = [Aside(partial(reply, share)) for share in shares]
    got = [bench.returns(line) for _ in range(2 + 4 * 6)]
    for one in at_once:
        one.result(bench.times.arrive)
    delivery.settle()
    other = bench.line()
    other.send(service, b"another one asks", bench.times.arrive)
    second = bench.arrives(inbox)
    reply(small[2:])
    second.reply(b"for the other one")
    second.settle()
    came = bench.returns(other, "the reply to what another line asked, after one to what was settled before,")
    bench.expect.equal(came, b"for the other one", "what another line gets, after replies to what was settled before")
    got += [bench.returns(line) for _ in small[2:]]
    replies = [*small, *(frame for share in shares for frame in share)]
    bench.expect.judged(judging.exactly_once(replies, got, "the replies that arrive"))
    statuses = [b"status %d" % number for number in range(_STATUSES)]
    bench.did(f"replied {_STATUSES} times more")
    replying = bench.replies(delivery, statuses)
    got = [bench.returns(line) for _ in statuses]
    replying.result(bench.times.arrive)
    bench.expect.judged(judging.exactly_once(statuses, got, "many replies to one request"))


@rule(
    "LINE-008",
    level=Level.MUST,
    needs=("ordered",),
    sentence="The frames of one line reach a single inbox, and the replies of one delivery their line, as sent.",
    intent="Status messages are numbered, and a cancellation must not overtake its request.",
    causes=(
        "several connections or threads carry one line",
        "frames that were given back are queued at the end",
        "large frames take another way than small ones",
    ),
    mutants=(
        "large-replies-are-overtaken",
        "large-requests-are-overtaken",
        "lies-about-order",
        "reorders-frames",
        "reorders-replies",
    ),
    requires=("SETUP-005", "LINE-007"),
    strength=Strength.STOCHASTIC,
)
def order_is_kept(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service, capacity=10_000), bench.line()
    frames = mixed_sizes(bench, bench.profile.burst)
    bench.did(f"sent {len(frames)} numbered frames, some large among small ones, then replied the same to the last")
    sending = bench.sends(line, service, frames)
    deliveries = [bench.arrives(inbox) for _ in frames]
    sending.result(bench.times.arrive)
    arrived = [delivery.frame for delivery in deliveries]
    bench.expect.judged(judging.in_order(frames, arrived, "the order at the inbox"))
    replying = bench.replies(deliveries.pop(), frames)
    came = [bench.returns(line) for _ in frames]
    replying.result(bench.times.arrive)
    for delivery in deliveries:
        delivery.settle()
    bench.expect.judged(judging.in_order(frames, came, "the order at the line"))


@rule(
    "LINE-009",
    level=Level.MUST,
    sentence="A caller that has gone away is no error for a reply, and disturbs no other caller.",
    intent="Clients die; a service must not die of it.",
    causes=("an unroutable reply raises", "a reply to nobody blocks, or breaks the connection that others use"),
    mutants=("dead-caller-raises",),
    requires=("LINE-002",),
)
def dead_caller_is_harmless(bench: Bench) -> None:
    service = bench.name()
    inbox, here, other = bench.inbox(service), bench.line(), bench.open("client")
    lines: list[Line] = [bench.line(), other.dial()]
    deliveries = []
    for gone in lines:
        gone.send(service, b"ask and go", bench.times.arrive)
        deliveries.append(bench.arrives(inbox))
    lines[0].close()
    other.close()
    bench.did("a line and a whole transport asked and closed; both were replied to, while another line went on asking")
    for number in range(bench.profile.rounds + 2):
        for delivery in deliveries:
            bench.expect.promptly(partial(_reply, delivery, number), bench.times.slack, "a reply to nobody")
        # Behind each round trip the transport had the chance to notice that nobody is there.
        bench.round_trip(here, inbox, service)
    for delivery in deliveries:
        delivery.settle()
    bench.round_trip(here, inbox, service)


def _reply(delivery: Delivery, number: int) -> float:
    return timed(partial(delivery.reply, b"too late %d" % number))[1]


@rule(
    "LINE-011",
    level=Level.MUST,
    sentence="What a delivery says of where replies go is the address of the line that sent it.",
    intent="The core compares the two; where they differ a request was redirected and is not answered.",
    causes=("the address changes after dial", "one of the two is empty and the other is not"),
    mutants=("misnames-the-asker",),
)
def address_is_the_same_at_both_ends(bench: Bench) -> None:
    service = bench.name()
    inbox = bench.inbox(service)
    lines = [bench.line(), bench.line()]
    for line in lines:
        line.send(service, b"who am I", bench.times.arrive)
        delivery = bench.arrives(inbox)
        bench.expect.equal(delivery.reply_to, line.address, "reply_to of the delivery")
        delivery.settle()
        bench.expect.that(len(line.address) <= 255, "an address of at most 255 characters", line.address)
