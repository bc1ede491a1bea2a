"""INBOX: the law of the end where frames arrive. Each rule drives lines and inboxes by hand.

No service and no client is involved: what fails here fails below everything else.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections import Counter

from treaty import Delivery, Inbox
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.lines import ends_when_closed
from treaty_contracts.expect import until
from treaty_contracts.registry import Level, Strength, rule


@rule(
    "INBOX-001",
    level=Level.MUST,
    sentence="When ``serve`` has returned, a frame that is sent from then on arrives.",
    intent="A service that says it is ready and is not loses the first requests of every start.",
    causes=("binding, declaring or subscribing goes on in the background", "callers keep an old route"),
    mutants=("late-serve",),
    strength=Strength.STOCHASTIC,
)
def ready_on_return(bench: Bench) -> None:
    early = bench.line()
    for _ in range(bench.profile.rounds):
        service = bench.name()
        inbox = bench.inbox(service)
        for line in (early, bench.line()):
            bench.round_trip(line, inbox, service, service.encode())


@rule(
    "INBOX-002",
    level=Level.MUST,
    needs=("competing_workers",),
    sentence="Each request reaches exactly one of the inboxes that compete for a service.",
    intent="Otherwise a request runs twice, or not at all.",
    causes=("a fan-out is used where a work queue belongs", "an inbox is told apart by a connection, not by itself"),
    mutants=("delivers-to-every-worker", "duplicates-frames"),
)
def exactly_one_inbox(bench: Bench) -> None:
    service = bench.name()
    other = bench.open("service")
    inboxes = [bench.inbox(service), bench.inbox(service), bench.keep(other.serve(service, 100))]
    line = bench.line()
    sent = Counter(b"request %d" % number for number in range(bench.profile.burst))
    bench.did(f"three inboxes competed for {sent.total()} requests")
    for frame in sent:
        line.send(service, frame, bench.times.arrive)
    arrived: Counter[bytes] = Counter()
    while arrived.total() < sent.total():
        _, delivery = _next_of(bench, inboxes)
        arrived[delivery.frame] += 1
        delivery.settle()
    for inbox in inboxes:
        while (extra := inbox.receive(bench.times.quiet)) is not None:
            arrived[extra.frame] += 1
    bench.expect.equal(arrived, sent, "how often each request arrives")


@rule(
    "INBOX-003",
    level=Level.MUST,
    needs=("competing_workers",),
    sentence="No request waits behind an inbox that is full while another one has room.",
    intent="One slow request must not hold up the others while workers are idle.",
    causes=("requests are dealt out in turn, before anybody asks for one", "prefetching beyond the capacity"),
    mutants=("deals-in-turn",),
)
def never_behind_a_busy_inbox(bench: Bench) -> None:
    service = bench.name()
    busy, idle = bench.inbox(service, capacity=1), bench.inbox(service, capacity=1)
    line = bench.line()
    line.send(service, b"slow", bench.times.arrive)
    holder, held = _next_of(bench, [busy, idle])
    if holder is idle:
        busy, idle = idle, busy
    bench.did("one of two inboxes with room for one took a request and kept it; three more were sent")
    for number in range(3):
        line.send(service, b"quick %d" % number, bench.times.arrive)
    for _ in range(3):
        delivery = bench.arrives(idle, "a request, at the inbox that is idle,")
        bench.expect.that(delivery.frame.startswith(b"quick"), "a request that is not held", delivery.frame)
        delivery.settle()
    held.settle()
    line.send(service, b"last", bench.times.arrive)
    _, last = _next_of(bench, [busy, idle])
    bench.expect.equal(last.frame, b"last", "the request after the slow one was settled")


@rule(
    "INBOX-004",
    level=Level.MUST,
    sentence="An inbox hands out no more unsettled deliveries than its capacity, and the next when one is settled.",
    intent="Capacity is how a worker says how much it can do; what it cannot do is for others.",
    causes=("capacity is ignored", "settling does not wake the receiver", "settling twice makes room for two"),
    mutants=("ignores-capacity", "settle-twice-counts-twice"),
)
def capacity_is_kept(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service, capacity=2), bench.line()
    for number in range(5):
        line.send(service, b"%d" % number, bench.times.arrive)
    first, second = bench.arrives(inbox), bench.arrives(inbox)
    bench.did("an inbox with room for two took two of five requests")
    bench.expect.equal(_frame(inbox.receive(bench.times.quiet)), None, "a third one while two are unsettled")
    waiting = Aside(lambda: inbox.receive(bench.times.arrive))
    waiting.begun.wait(bench.times.arrive)
    first.settle()
    first.settle()
    third = waiting.result(bench.times.arrive)
    bench.expect.that(third is not None, "the next request when one is settled", "nothing")
    bench.expect.equal(_frame(inbox.receive(bench.times.quiet)), None, "another one, after one was settled twice")
    Aside(second.settle).result(bench.times.arrive)
    fourth = bench.arrives(inbox, "the next request, when one is settled by another thread,")
    for delivery in (third, fourth):
        assert delivery is not None
        delivery.settle()
    rest = bench.arrives(inbox)
    frames = {one.frame for one in (first, second, third, fourth, rest) if one is not None}
    bench.expect.equal(len(frames), 5, "how many different requests arrive")


@rule(
    "INBOX-005",
    level=Level.MUST,
    needs=("competing_workers",),
    sentence="A delivery that is not accepted goes to another inbox, not marked as redelivered: nobody ran it.",
    intent="A worker that stops gives back what it has not started, and nobody may lose or refuse it.",
    causes=("settle(accepted=False) acknowledges all the same", "the library marks what is given back"),
    mutants=("drops-what-is-given-back",),
)
def not_accepted_goes_on(bench: Bench) -> None:
    service = bench.name()
    leaving, line = bench.inbox(service, capacity=1), bench.line()
    line.send(service, b"hand me on", bench.times.arrive)
    delivery = bench.arrives(leaving)
    staying = bench.inbox(service, capacity=1)
    bench.did("one inbox took a request, gave it back and closed; another one was there")
    delivery.settle(accepted=False)
    leaving.close()
    again = bench.arrives(staying, "the request that was given back")
    bench.expect.equal(again.frame, b"hand me on", "the request that was given back")
    bench.expect.that(not again.redelivered, "not marked as redelivered: nobody ran it", "redelivered is True")
    again.reply(b"done")
    again.settle()
    bench.expect.equal(bench.returns(line), b"done", "the reply to what was given back")


@rule(
    "INBOX-006",
    level=Level.MUST,
    sentence="``close`` from another thread ends a blocked ``receive`` of an inbox with ClosedError, at once.",
    intent="A service must be able to stop while its threads wait for work.",
    causes=(
        "close waits for the receiver, or for its lock",
        "the receiver is not woken",
        "the library's own error comes through",
    ),
    mutants=("close-does-not-wake",),
)
def close_ends_receive(bench: Bench) -> None:
    for _ in range(bench.profile.rounds):
        ends_when_closed(bench, bench.inbox(bench.name()))
    if bench.guarantees.notifications:
        bench.inbox(bench.name())  # where there is no broker, somebody must be there to subscribe to
        ends_when_closed(bench, bench.feed(bench.name("c")))


@rule(
    "INBOX-007",
    level=Level.MUST,
    needs=("survives_restart",),
    sentence="Requests that were queued while nobody served reach the next inbox.",
    intent="It was declared, so somebody relies on it while a service restarts.",
    causes=("the queue goes with its last reader",),
    mutants=("lies-about-survives",),
)
def queued_requests_survive(bench: Bench) -> None:
    service = bench.name()
    line = bench.line()
    bench.round_trip(line, (first := bench.inbox(service)), service)
    first.close()
    bench.did("served, closed, sent two requests, and served again")
    for frame in (b"one", b"two"):
        line.send(service, frame, bench.times.arrive)
    second = bench.inbox(service)
    got = sorted(bench.arrives(second, "a request that was queued").frame for _ in range(2))
    bench.expect.equal(got, [b"one", b"two"], "the requests that were queued")


def _next_of(bench: Bench, inboxes: list[Inbox]) -> tuple[Inbox, Delivery]:
    """Return what any of several inboxes has next, and which one it was."""
    found: list[tuple[Inbox, Delivery]] = []

    def look() -> bool:
        for inbox in inboxes:
            delivery = inbox.receive(0.002)
            if delivery is not None:
                found.append((inbox, delivery))
                return True
        return False

    bench.expect.that(until(look, bench.times.arrive), "a request arrives at one of the inboxes", "nothing")
    return found[0]


def _frame(delivery: Delivery | None) -> bytes | None:
    return None if delivery is None else delivery.frame
