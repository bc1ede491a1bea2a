"""LINE: how long ``receive`` waits where nothing comes, and that it need not wait for what is there.

No service and no client is involved: what fails here fails below everything else.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from treaty import Delivery, Inbox, Line
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed, until
from treaty_contracts.registry import Level, rule

#: Seconds that are waited for nothing: below and above what libraries wait in slices of.
_TIMEOUTS: Final = (0.0, 0.02, 0.05, 0.15, 0.25)
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


@rule(
    "LINE-018",
    level=Level.MUST,
    sentence="``receive`` with 0 returns what is there: who only looks now and then gets every frame.",
    intent="A program with a loop of its own polls, and must not starve.",
    causes=("0 is taken for not to look", "only who waits reads what has arrived"),
    mutants=("zero-finds-nothing-at-feeds", "zero-finds-nothing-at-inboxes", "zero-finds-nothing-at-lines"),
    requires=("SETUP-005", "LINE-003"),
)
def zero_finds_what_is_there(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.did("sent, replied and published, and received with 0 again and again, and never with more")

    def looked(end: Line | Inbox, what: str) -> bytes | Delivery:
        found: list[bytes | Delivery] = []

        def look() -> bool:
            came = end.receive(0)
            if came is not None and bench.unmarked(came):
                found.append(came)
            return bool(found)

        there = until(look, bench.times.arrive)
        bench.expect.that(there, f"receive(0) returns {what}", f"None, for {bench.times.arrive:g} s")
        return found[0]

    for number in range(bench.profile.rounds):
        line.send(service, b"ask %d" % number, bench.times.arrive)
        delivery = looked(inbox, "at the inbox a frame that was sent")
        assert isinstance(delivery, Delivery)
        bench.expect.equal(delivery.frame, b"ask %d" % number, "what receive(0) returns at the inbox")
        delivery.reply(b"answer %d" % number)
        delivery.settle()
        came = looked(line, "at the line a frame that was replied")
        bench.expect.equal(came, b"answer %d" % number, "what receive(0) returns at the line")
    if bench.guarantees.notifications:
        feed = bench.feed(channel := bench.name("c"))
        bench.transport("service").publish(channel, b"news")
        heard = looked(feed, "at a subscription what was published")
        assert isinstance(heard, Delivery)
        bench.expect.equal(heard.frame, b"news", "what receive(0) returns at a subscription")
