"""REFUSE: a declared "no" is tested as well. Whoever uses the feature is refused, typed and quickly, or nothing
happens that would look as if it worked. Exactly one of such a rule and its counterpart applies to a transport.

It must not know which transport declares what.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections import Counter
from functools import partial

from treaty import AddressInUse, DeadlineExceeded, Line, Unavailable, Unsupported
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed
from treaty_contracts.registry import Level, rule


@rule(
    "REFUSE-NOTIFICATIONS",
    level=Level.MUST,
    refuses="notifications",
    sentence="A transport without notifications raises Unsupported from publish and subscribe, at once.",
    intent="A publish that vanishes looks like a system in which nothing happens.",
    causes=("publish does nothing", "NotImplementedError comes through"),
    mutants=("pretends-to-publish",),
)
def no_notifications(bench: Bench) -> None:
    channel = bench.name("c")
    for what, use in (
        ("publish", lambda: bench.transport("service").publish(channel, b"x")),
        ("subscribe", lambda: bench.feed(channel)),
    ):
        error, took = timed(partial(bench.expect.raises, Unsupported, use, what))
        bench.expect.in_time(took, bench.times.slack, f"{what}, until {type(error).__name__}")


@rule(
    "REFUSE-COMPETING-WORKERS",
    level=Level.MUST,
    refuses="competing_workers",
    sentence="Where workers cannot compete, a second inbox for a service is AddressInUse, and the first serves on.",
    intent="Two workers of which only one is heard look like capacity that is not there.",
    causes=("the second bind takes the address over", "the library's own error comes through"),
    mutants=("second-serve-steals", "competes-undeclared"),
)
def no_competing(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.round_trip(line, inbox, service)
    other = bench.open("service")
    bench.did("served, then served the same service again: from the same transport object, then from another")
    for what, use in (("the same", lambda: bench.inbox(service)), ("another", lambda: other.serve(service, 1))):
        error, took = timed(partial(bench.expect.raises, AddressInUse, use, f"serve from {what} transport object"))
        bench.expect.in_time(took, bench.times.slack, f"serve, until {type(error).__name__}")
        bench.round_trip(line, inbox, service, what.encode())
        bench.round_trip(bench.line(), inbox, service, what.encode())


@rule(
    "REFUSE-NOTICES-ABSENCE",
    level=Level.MUST,
    refuses="notices_absence",
    sentence="Where absence is not noticed, a call to an absent service ends with DeadlineExceeded, on time.",
    intent="Whoever does not know must not claim that nothing was executed.",
    causes=("send blocks until somebody serves", "the declaration is too modest"),
    mutants=("send-blocks-without-service",),
)
def absence_not_noticed(bench: Bench) -> None:
    client = bench.client()
    timeout = bench.times.brief
    ended, took = timed(lambda: bench.call(client, f"{bench.name()}.echo", timeout=timeout))
    bench.expect.that(isinstance(ended.error, DeadlineExceeded), "DeadlineExceeded", repr(ended.error))
    bench.expect.that(took >= timeout * 0.9, "not before the deadline", f"{took:.3f} s")
    bench.expect.in_time(took, timeout + bench.times.slack, "a call to an absent service")


@rule(
    "REFUSE-ORDERED",
    level=Level.MUST,
    refuses="ordered",
    sentence="Where order is not promised, every frame of a burst still arrives exactly once, both ways.",
    intent="A transport may reorder; it may not lose or repeat for it.",
    causes=("frames that overtake each other overwrite each other",),
    mutants=("loses-for-disorder",),
)
def no_order(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service, capacity=10_000), bench.line()
    frames = Counter(b"%06d" % number for number in range(bench.profile.burst))
    for frame in frames:
        line.send(service, frame, bench.times.arrive)
    deliveries = [bench.arrives(inbox) for _ in frames]
    bench.expect.equal(Counter(delivery.frame for delivery in deliveries), frames, "what arrives at the inbox")
    for delivery in deliveries:
        delivery.reply(delivery.frame)
        delivery.settle()
    bench.expect.equal(Counter(bench.returns(line) for _ in deliveries), frames, "what arrives at the line")


@rule(
    "REFUSE-SURVIVES-RESTART",
    level=Level.MUST,
    refuses="survives_restart",
    sentence="Where requests do not survive a restart, what was sent while nobody served never reaches a later inbox.",
    intent="A request that comes back from the dead runs long after its caller was told that it did not.",
    causes=("the queue outlives its last reader", "the sender keeps the frame and sends it later"),
    mutants=("delivers-from-the-grave",),
)
def no_survival(bench: Bench) -> None:
    service = bench.name()
    line = bench.line()
    first = bench.inbox(service)
    bench.round_trip(line, first, service)
    first.close()
    bench.did("served, closed, tried to send, and waited until that came back where absence is noticed")
    frames = [b"old " * 20 + b"%d" % number for number in range(2)]
    _all_come_back(bench, line, service, frames)
    bench.did("served again, and sent a marker")
    second = bench.inbox(service)
    bench.line().send(service, b"marker", bench.times.arrive)
    bench.expect.equal(bench.arrives(second).frame, b"marker", "the first that the next inbox gets")
    extra = second.receive(bench.times.quiet)
    bench.expect.equal(extra and extra.frame, None, "what the next inbox gets after it")


def _all_come_back(bench: Bench, line: Line, service: str, frames: list[bytes]) -> None:
    """Send while nobody serves; where absence is noticed, each frame must come back, by send or by receive."""
    under_way = 0
    for frame in frames:
        try:
            line.send(service, frame, 0)
        except Unavailable:
            continue
        under_way += 1
    absence = bench.guarantees.notices_absence
    if absence is None:
        return
    for _ in range(under_way):
        limit = absence + bench.times.slack
        bench.expect.raises(Unavailable, partial(line.receive, limit), "receive, of what was sent to nobody")


@rule(
    "REFUSE-REDELIVERS",
    level=Level.MUST,
    refuses="redelivers",
    sentence="Where nothing is redelivered, a delivery that its inbox took and did not settle reaches no other one.",
    intent="What may run twice must be declared, so that its callers know.",
    causes=("the library gives back what was not acknowledged",),
    mutants=("redelivers-silently", "lies-about-redelivers"),
)
def no_redelivery(bench: Bench) -> None:
    service = bench.name()
    line, first = bench.line(), bench.inbox(service)
    line.send(service, b"taken", bench.times.arrive)
    bench.expect.equal(bench.arrives(first).frame, b"taken", "what the first inbox takes")
    first.close()
    bench.did("an inbox took a request and closed without settling it; another one served, and a marker was sent")
    second = bench.inbox(service)
    bench.line().send(service, b"marker", bench.times.arrive)
    bench.expect.equal(bench.arrives(second).frame, b"marker", "the first that the next inbox gets")
