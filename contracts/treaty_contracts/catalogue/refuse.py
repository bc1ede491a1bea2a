"""REFUSE: a declared "no" is tested as well. Whoever uses the feature is refused, typed and quickly, or nothing
happens that would look as if it worked. Exactly one of such a rule and its counterpart applies to a transport.

It must not know which transport declares what.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from treaty import AddressInUse, ConnectionLost, DeadlineExceeded, Line, Unavailable, Unsupported
from treaty_contracts import judging
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed
from treaty_contracts.holdings import held, held_beside
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
    _refused(bench, Unsupported, lambda: bench.transport("service").publish(channel, b"x"), "publish")
    _refused(bench, Unsupported, lambda: bench.feed(channel), "subscribe")


@rule(
    "REFUSE-COMPETING-WORKERS",
    level=Level.MUST,
    refuses="competing_workers",
    sentence="Where workers cannot compete, a second inbox for a service is AddressInUse, and the first serves on.",
    intent="Two workers of which only one is heard look like capacity that is not there.",
    causes=(
        "the second bind takes the address over",
        "the library's own error comes through",
        "what was opened for it stays open",
    ),
    mutants=("competes-undeclared", "second-serve-steals"),
)
def no_competing(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.round_trip(line, inbox, service)
    other = bench.open("service")
    bench.did("served, then served the same service again: from the same transport object, then from another")
    for what, use in (("the same", lambda: bench.inbox(service)), ("another", lambda: other.serve(service, 1))):
        _refused(bench, AddressInUse, use, f"serve from {what} transport object")
        bench.round_trip(line, inbox, service, what.encode())
        bench.round_trip(bench.line(), inbox, service, what.encode())
    before = held()
    _refused(bench, AddressInUse, lambda: other.serve(service, 1), "serve once more")
    left = held_beside(before, bench.times.arrive / 2)
    bench.expect.judged(judging.nothing_new(before, left, "after serve was refused, while all is open"))


@rule(
    "REFUSE-NOTICES-ABSENCE",
    level=Level.MUST,
    refuses="notices_absence",
    sentence="Where absence is not noticed, a call to an absent service ends on time: with DeadlineExceeded, or earlier "
    "with Unavailable if it was noticed all the same.",
    intent="Every call ends by its deadline, and whoever does not know must not claim that nothing was executed.",
    causes=("send blocks until somebody serves", "the library's own error comes through"),
    mutants=("send-blocks-without-service",),
)
def absence_not_noticed(bench: Bench) -> None:
    client = bench.client()
    timeout = bench.times.brief
    noticed: list[float] = []

    def once() -> float:
        ended = bench.call(client, f"{bench.name()}.echo", timeout=timeout)
        if isinstance(ended.error, Unavailable):
            noticed.append(ended.seconds)
            return ended.seconds
        bench.expect.that(isinstance(ended.error, DeadlineExceeded), "DeadlineExceeded", repr(ended.error))
        bench.expect.that(ended.seconds >= timeout * 0.9, "not before the deadline", f"{ended.seconds:.3f} s")
        return ended.seconds

    bench.expect.promptly(once, timeout + bench.times.slack, "a call to an absent service")
    if noticed:
        bench.warn(f"absence is noticed after {max(noticed):.3f} s: notices_absence could be declared")


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
    frames = [b"%06d" % number for number in range(bench.profile.burst)]
    sending = bench.sends(line, service, frames)
    deliveries = [bench.arrives(inbox) for _ in frames]
    sending.result(bench.times.arrive)
    arrived = [delivery.frame for delivery in deliveries]
    bench.expect.judged(judging.exactly_once(frames, arrived, "what arrives at the inbox"))
    replying = bench.replies(deliveries.pop(), frames)
    came = [bench.returns(line) for _ in frames]
    replying.result(bench.times.arrive)
    for delivery in deliveries:
        delivery.settle()
    bench.expect.judged(judging.exactly_once(frames, came, "what arrives at the line"))
    if not any(judging.in_order(frames, got, "the order").observed for got in (arrived, came)):
        bench.warn(f"the order of {len(frames)} frames was kept both ways: ordered could be declared")


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
    _try_to_send(bench, line, service, frames)
    bench.did("served again, and sent a marker")
    second = bench.inbox(service)
    bench.line().send(service, b"marker", bench.times.arrive)
    bench.expect.equal(bench.arrives(second).frame, b"marker", "the first that the next inbox gets")
    bench.expect.equal(bench.silence(second), [], "what the next inbox gets after it")


def _try_to_send(bench: Bench, line: Line, service: str, frames: list[bytes]) -> None:
    """Send while nobody serves. Where absence is noticed, wait until it was: whether all is told is for other rules."""
    under_way = 0
    for frame in frames:
        with suppress(Unavailable, ConnectionLost):
            line.send(service, frame, 0)
            under_way += 1
    absence = bench.guarantees.notices_absence
    limit = (absence or 0.0) + bench.times.slack
    for _ in range(0 if absence is None else under_way):
        with suppress(Unavailable):
            try:
                line.receive(limit)
            except ConnectionLost:
                return  # with the last service went the connection, and what was under way is lost for good


@rule(
    "REFUSE-REDELIVERS",
    level=Level.MUST,
    refuses="redelivers",
    sentence="Where nothing is redelivered, a delivery that its inbox took and did not settle reaches no other one.",
    intent="What may run twice must be declared, so that its callers know.",
    causes=("the library gives back what was not acknowledged",),
    mutants=("redelivers-silently",),
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
    bench.expect.equal(bench.silence(second), [], "what the next inbox gets after it")


def _refused(bench: Bench, kind: type[Exception], use: Callable[[], object], what: str) -> None:
    """Judge that something is refused with an error of this kind, each time and at once."""
    raises = partial(bench.expect.raises, kind, use, what)
    bench.expect.promptly(lambda: timed(raises)[1], bench.times.slack, f"{what}, until {kind.__name__}")
