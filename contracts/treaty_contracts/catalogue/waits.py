"""LINE and NOTE: how long ``receive`` waits where nothing comes, that it need not wait for what is there, and that what
rests is not lost.

No service and no client is involved: what fails here fails below everything else.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

from treaty import Delivery, Inbox, Line
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed, until
from treaty_contracts.registry import Level, Strength, rule

#: Seconds that are waited for nothing: below and above what libraries wait in slices of.
_TIMEOUTS: Final = (0.0, 0.02, 0.05, 0.15, 0.25)
#: Seconds for which is waited to see what that costs, and the part of a processor that it may take all that time.
_WAIT: Final = 0.3
_COST: Final = 0.1
#: How often that is looked at before it is believed.
_LOOKS: Final = 3
#: Seconds by which a wait may end early: clocks and polls that count in milliseconds round.
EARLY: Final = 0.0015


@rule(
    "LINE-003",
    level=Level.MUST,
    sentence="``receive`` returns None when its timeout is over: not earlier, not much later, and at once for 0.",
    intent="Deadlines of calls and the end of a service rest on it.",
    causes=(
        "a poll interval that is longer than the timeout",
        "a timeout of 0 means for ever to the library below",
        "a wake-up that brought nothing ends the wait",
        "what is to be taken off the timeout is taken off twice, or when nothing took that long",
    ),
    mutants=(
        "ignores-timeout",
        "returns-a-little-early",
        "returns-early",
        "returns-early-from-long-waits",
        "takes-whole-numbers-for-milliseconds",
        "zero-is-for-ever",
        "zero-waits-a-little",
    ),
)
def receive_keeps_its_timeout(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.round_trip(line, inbox, service)
    at_once = max(bench.times.wake / 2, 2 * bench.pace)

    def keeps(end: str, receive: Callable[[float], object], timeout: float) -> None:
        what = f"receive({timeout:g}) at the {end}"

        def once() -> float:
            got, took = timed(partial(receive, timeout))
            bench.expect.equal(got, None, f"{what} when nothing was sent")
            bench.expect.that(took >= timeout - EARLY, f"{what}: not earlier", f"{took:.4f} s")
            return took

        bench.expect.promptly(once, timeout + bench.times.slack if timeout else at_once, what)

    drawn = round(bench.random.uniform(0.01, 0.1), 3)
    bench.did(f"received with {', '.join(f'{timeout:g}' for timeout in (*_TIMEOUTS, drawn))} s when nothing was sent")
    for timeout in (*_TIMEOUTS, drawn):
        both = [Aside(partial(keeps, end, receive, timeout)) for end, receive in
                (("line", line.receive), ("inbox", inbox.receive))]  # fmt: skip
        for one in both:
            one.result(bench.times.arrive * 3)
    whole = math.ceil(bench.times.arrive)
    bench.did(f"received with {whole}, a whole number, and sent a frame meanwhile")
    waiting = Aside(partial(inbox.receive, whole))
    waiting.begun.wait(bench.times.arrive)
    Event().wait(_TIMEOUTS[1])
    line.send(service, b"in time", bench.times.arrive)
    came = waiting.result(bench.times.arrive * 3)
    bench.expect.that(came is not None, f"receive({whole}) waits for what is sent meanwhile", "None")


@rule(
    "LINE-018",
    level=Level.MUST,
    sentence="``receive`` with 0 returns what is there: who only looks now and then gets every frame.",
    intent="A program with a loop of its own polls, and must not starve.",
    causes=("0 is taken for not to look", "only who waits reads what has arrived"),
    mutants=("zero-finds-nothing-at-inboxes", "zero-finds-nothing-at-lines"),
    requires=("SETUP-005", "LINE-003"),
)
def zero_finds_what_is_there(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.did("sent and replied, and received with 0 again and again, and never with more")

    for number in range(bench.profile.rounds):
        line.send(service, b"ask %d" % number, bench.times.arrive)
        delivery = _looked(bench, inbox, "at the inbox a frame that was sent")
        assert isinstance(delivery, Delivery)
        bench.expect.equal(delivery.frame, b"ask %d" % number, "what receive(0) returns at the inbox")
        delivery.reply(b"answer %d" % number)
        delivery.settle()
        came = _looked(bench, line, "at the line a frame that was replied")
        bench.expect.equal(came, b"answer %d" % number, "what receive(0) returns at the line")


def _looked(bench: Bench, end: Line | Inbox, what: str) -> bytes | Delivery:
    """Receive with 0 until something is there, which must come."""
    found: list[bytes | Delivery] = []

    def look() -> bool:
        came = end.receive(0)
        if came is not None and bench.unmarked(came):
            found.append(came)
        return bool(found)

    there = until(look, bench.times.arrive)
    bench.expect.that(there, f"receive(0) returns {what}", f"None, for {bench.times.arrive:g} s")
    return found[0]


@rule(
    "LINE-019",
    level=Level.SHOULD,
    sentence="Who waits in ``receive`` leaves the processor to others.",
    intent="A hundred idle services on one machine must cost nothing.",
    causes=("receive looks again and again without a pause", "a descriptor that is ready all the time is waited for"),
    mutants=("spins-in-long-waits",),
    requires=("SETUP-005", "LINE-003"),
)
def waiting_costs_little(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.round_trip(line, inbox, service)
    bench.did(f"received at a line and at an inbox at once, {_WAIT:g} s, when nothing was sent")

    def cost() -> float:
        before = time.process_time()
        for one in [Aside(partial(end.receive, _WAIT)) for end in (line, inbox)]:
            bench.expect.equal(one.result(bench.times.arrive * 3), None, "what receive returns when nothing was sent")
        return time.process_time() - before

    costs: list[float] = []
    while not costs or (costs[-1] > _COST * _WAIT and len(costs) < _LOOKS):
        costs.append(cost())
    bench.expect.that(
        costs[-1] <= _COST * _WAIT,
        f"at most {_COST * _WAIT * 1000:.0f} ms of processor time for {_WAIT * 1000:.0f} ms of waiting",
        f"{', '.join(f'{one * 1000:.0f} ms' for one in costs)}, each time that it was looked at",
    )


@rule(
    "NOTE-010",
    level=Level.MUST,
    needs=("notifications",),
    sentence="``receive`` of a subscription keeps its timeout, wakes for a notification at once, and finds it with 0.",
    intent="A program that listens must be able to do something else in time, and to hear of a change soon.",
    causes=("subscriptions are polled", "the wait of a subscription takes another way than that of a service"),
    mutants=(
        "polls-notifications-slowly",
        "subscription-ignores-timeout",
        "subscription-returns-early",
        "zero-finds-nothing-at-feeds",
    ),
    strength=Strength.STOCHASTIC,
    requires=("LINE-003", "LINE-004", "NOTE-001"),
)
def subscription_keeps_time(bench: Bench) -> None:
    transport, channel = bench.transport("service"), bench.name("c")
    bench.keep(transport.serve(bench.name("p"), 1))
    feed = bench.feed(channel)

    def silent(timeout: float) -> float:
        got, took = timed(partial(feed.receive, timeout))
        bench.expect.equal(got, None, f"receive({timeout:g}) when nothing was published")
        bench.expect.that(took >= timeout - EARLY, f"receive({timeout:g}): not earlier", f"{took:.4f} s")
        return took

    def wakes() -> float:
        took = []
        for _ in range(bench.profile.rounds + 2):
            waiting = Aside(partial(feed.receive, bench.times.slack * 2))
            waiting.begun.wait(bench.times.arrive)
            published = time.monotonic()
            transport.publish(channel, b"news")
            if waiting.result(bench.times.arrive) is None:
                bench.arrives(feed)
                return bench.times.slack * 2
            took.append(waiting.at - published)
        return min(took)

    bench.did("received where nothing was published; then published while a thread waited, a few times")
    for timeout in (0.0, 0.05, 0.05, 0.05, 0.15):  # one alone may be late enough for what ended early not to show
        what = f"receive({timeout:g}) of a subscription"
        bench.expect.promptly(partial(silent, timeout), timeout + bench.times.slack, what)
    bench.expect.promptly(wakes, bench.times.wake, "from publish to a subscription that waits, the best of a few")
    looking = bench.feed(other := bench.name("c"))
    transport.publish(other, b"for who looks")
    heard = _looked(bench, looking, "at a subscription what was published")
    assert isinstance(heard, Delivery)
    bench.expect.equal(heard.frame, b"for who looks", "what receive(0) returns at a subscription")


@rule(
    "LINE-020",
    level=Level.MUST,
    sentence="What rests for a while is as good as before: a delivery, a frame that waits, a line and an inbox.",
    intent="A handler takes its time, a program has other things to do, and the night is quiet.",
    causes=(
        "the way back of a delivery is kept for so long and no longer",
        "what waits to be received expires",
        "a connection that was idle is closed, and what is sent next goes with it",
    ),
    mutants=("forgets-slow-handlers", "forgets-what-waits", "loses-the-first-after-a-rest"),
    requires=("LINE-001", "LINE-007"),
)
def rest_does_no_harm(bench: Bench) -> None:
    service, idle = bench.name(), bench.name()
    inbox, line = bench.inbox(service), bench.line()
    quiet_inbox, quiet_line = bench.inbox(idle), bench.line()
    bench.round_trip(line, inbox, service)
    bench.round_trip(quiet_line, quiet_inbox, idle)
    line.send(service, b"answered late", bench.times.arrive)
    slow = bench.arrives(inbox)
    line.send(service, b"answered at once", bench.times.arrive)
    quick = bench.arrives(inbox)
    quick.reply(b"read late")
    quick.settle()
    line.send(service, b"received late", bench.times.arrive)
    bench.did(
        f"left alone for {bench.profile.rest:g} s: a delivery, a reply, a request, and both ends where nothing was sent"
    )
    Event().wait(bench.profile.rest)

    slow.reply(b"a late answer")
    slow.settle()
    late = bench.arrives(inbox, "a request that has waited")
    bench.expect.equal(late.frame, b"received late", "the request that has waited")
    late.settle()
    got = sorted(bench.returns(line, what) for what in ("a reply that has waited", "the reply to what came long ago"))
    bench.expect.equal(got, [b"a late answer", b"read late"], "what the line gets in the end")
    bench.round_trip(quiet_line, quiet_inbox, idle)
