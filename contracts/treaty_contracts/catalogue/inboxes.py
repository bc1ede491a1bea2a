"""INBOX: the law of the end where frames arrive. Each rule drives lines and inboxes by hand.

No service and no client is involved: what fails here fails below everything else.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Final

from treaty import ConnectionLost, Delivery, Inbox, Line, TransportError, Unavailable
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.lines import LARGE, ends_when_closed
from treaty_contracts.expect import timed, until
from treaty_contracts.registry import Level, Strength, rule

#: A burst of these is more than the buffers of the system take.
_HEAVY: Final = 256 * 1024
#: How many requests are queued while nobody serves, and how many of them every queue has room for.
_QUEUED: Final = 300
_FEW: Final = 2


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
    mutants=("delivers-to-every-worker", "lies-about-competing"),
    requires=("SETUP-005",),
)
def exactly_one_inbox(bench: Bench) -> None:
    service = bench.name()
    other = bench.open("service")
    inboxes = [bench.inbox(service), bench.inbox(service), bench.keep(other.serve(service, 100))]
    line = bench.line()
    sent = [b"request %d" % number for number in range(bench.profile.burst)]
    bench.did(f"three inboxes competed for {len(sent)} requests")
    sending = bench.sends(line, service, sent)
    arrived: list[bytes] = []
    while len(arrived) < len(sent):
        _, delivery = _next_of(bench, inboxes)
        arrived.append(delivery.frame)
        delivery.settle()
    sending.result(bench.times.arrive)
    arrived += bench.silence(*inboxes)
    bench.expect.judged(judging.exactly_once(sent, arrived, "how often each request arrives"))


@rule(
    "INBOX-003",
    level=Level.MUST,
    needs=("competing_workers",),
    sentence="No request waits behind an inbox that is full while another one has room.",
    intent="One slow request must not hold up the others while workers are idle.",
    causes=("requests are dealt out in turn, before anybody asks for one", "prefetching beyond the capacity"),
    mutants=("deals-in-turn", "frees-what-was-replied"),
    requires=("INBOX-002",),
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
    sending = bench.sends(line, service, [b"quick %d" % number for number in range(3)])
    for _ in range(3):
        delivery = bench.arrives(idle, "a request, at the inbox that is idle,")
        bench.expect.that(delivery.frame.startswith(b"quick"), "a request that is not held", delivery.frame)
        delivery.settle()
    sending.result(bench.times.arrive)
    held.settle()
    line.send(service, b"last", bench.times.arrive)
    _, last = _next_of(bench, [busy, idle])
    bench.expect.equal(last.frame, b"last", "the request after the slow one was settled")


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
    mutants=("close-does-not-wake", "close-does-not-wake-the-full"),
    requires=("LINE-004",),
)
def close_ends_receive(bench: Bench) -> None:
    for _ in range(bench.profile.rounds):
        ends_when_closed(bench, lambda: bench.inbox(bench.name()))
    held: list[Delivery] = []

    def full() -> Inbox:
        inbox = bench.inbox(service := bench.name(), capacity=1)
        bench.line().send(service, b"taken", bench.times.arrive)
        held.append(bench.arrives(inbox))
        return inbox

    bench.did("closed inboxes that waited for a first request, and one that had no room for another")
    ends_when_closed(bench, full)
    if bench.guarantees.notifications:
        bench.inbox(bench.name())  # where there is no broker, somebody must be there to subscribe to
        ends_when_closed(bench, lambda: bench.feed(bench.name("c")))


@rule(
    "INBOX-007",
    level=Level.MUST,
    needs=("survives_restart",),
    sentence="Requests that were queued while nobody served reach the next inbox, all of them, and in order where that is "
    "kept.",
    intent="It was declared, so somebody relies on it while a service restarts.",
    causes=(
        "the queue goes with its last reader",
        "what an inbox has fetched ahead goes with it",
        "the queue has a limit that drops the oldest, and says nothing",
        "what a line has sent goes with it",
    ),
    mutants=("keeps-a-hundred", "keeps-the-last-three", "lies-about-survives", "stale-link", "takes-back-at-close"),
    requires=("LINE-008", "INBOX-004"),
)
def queued_requests_survive(bench: Bench) -> None:
    service = bench.name()
    line = bench.line()
    bench.round_trip(line, (first := bench.inbox(service)), service)
    first.close()
    sent: list[bytes] = []
    try:
        for number in range(_QUEUED):
            line.send(service, b"%03d" % number, bench.times.brief if sent else bench.times.arrive)
            sent.append(b"%03d" % number)
    except Unavailable:  # there is room for so many, and that was said
        if len(sent) < _FEW:
            raise
    line.close()
    bench.did(f"served, closed, sent {len(sent)} requests, closed the line, and served again")
    second = bench.inbox(service)
    came = bench.queued(second, sent, "a request that was queued")
    frames = [delivery.frame for delivery in came]
    bench.expect.judged(judging.exactly_once(sent, frames, "the requests that were queued"))
    # One that is marked may have been on its way to the first inbox, and is put back wherever that can be done.
    fresh = [delivery.frame for delivery in came if not delivery.redelivered]
    if bench.guarantees.ordered and fresh and len(sent) > 1:
        bench.expect.judged(judging.in_order(sent, fresh, "the requests that were queued"))
    idle = bench.name()
    never_read, line = bench.inbox(idle, capacity=2), bench.line()
    bench.did("sent two more while an inbox was open that nobody read, closed it, and served again")
    for frame in (b"three", b"four"):
        line.send(idle, frame, bench.times.arrive)
    never_read.close()
    third = bench.inbox(idle, capacity=2)
    came = bench.queued(third, [b"three", b"four"], "a request that an inbox was given and nobody read")
    got = sorted(delivery.frame for delivery in came)
    bench.expect.equal(got, [b"four", b"three"], "the requests that an inbox was given and nobody read")


@rule(
    "INBOX-009",
    level=Level.MUST,
    sentence="What was replied before the inbox was closed still arrives at its line.",
    intent="A service that stops has answered what it ran, and nobody may have to run it again.",
    causes=(
        "close drops what is still to be written",
        "the way back is cut before it is empty",
        "the buffer of the caller for replies is too small for what it has not read yet",
    ),
    mutants=("close-drops-replies",),
    requires=("SETUP-005", "LINE-001", "LINE-007"),
)
def replies_outlive_the_inbox(bench: Bench) -> None:
    large = min(_HEAVY, bench.guarantees.max_frame)
    bench.did(f"replied {bench.profile.burst} frames, and closed the inbox or its whole transport")
    bench.did(f"the frames had 1 KiB and were read after that, or {large:,} bytes and were read meanwhile")
    for size, close in product((1024, large), ("inbox", "transport")):
        replies = [b"reply %4d" % number + bytes(size - 10) for number in range(bench.profile.burst)]
        service, far = bench.name(), bench.open("service")
        inbox, line = far.serve(service, 1), bench.line()
        line.send(service, b"ask", bench.times.arrive)
        delivery = bench.arrives(inbox)
        # What is larger than the buffers of the system waits in those of the transport.
        reading = Aside(partial(_read, bench, line, len(replies))) if size > 1024 else None
        taken = _taken(delivery, replies)
        bench.expect.that(bool(taken), "a reply to a line that was just opened is taken", "ConnectionLost")
        delivery.settle()
        (inbox if close == "inbox" else far).close()
        came = reading.result(bench.profile.limit) if reading else _read(bench, line, len(taken))
        came = [frame for frame in came if frame not in replies[len(taken) :]]
        bench.expect.judged(judging.complete(taken, came, f"the replies from before the {close} was closed"))
        far.close()


def _taken(delivery: Delivery, replies: list[bytes]) -> list[bytes]:
    """Reply as long as there is room, and return what was taken."""
    for number, frame in enumerate(replies):
        try:
            delivery.reply(frame)
        except ConnectionLost:  # a small bound is no fault
            return replies[:number]
    return replies


def _read(bench: Bench, line: Line, count: int) -> list[bytes]:
    came: list[bytes] = []
    while len(came) < count:
        with suppress(ConnectionLost):  # the end of the connection may be told as well
            reply = line.receive(bench.times.arrive)
            if reply is None:
                break
            came.append(reply)
    return came


@rule(
    "INBOX-010",
    level=Level.MUST,
    needs=("competing_workers",),
    sentence="Only the first ``settle`` of a delivery counts: what was accepted is not given on, and the reverse.",
    intent="A request that its worker has done, and that is given back by a later line of code, runs twice.",
    causes=("settle is not idempotent once its argument differs",),
    mutants=("settles-again",),
    requires=("INBOX-004", "INBOX-005"),
)
def first_settle_counts(bench: Bench) -> None:
    service, line = bench.name(), bench.line()
    inbox = bench.inbox(service, capacity=1)
    bench.did("accepted one request and then refused it, refused another one and then accepted it, and sent a marker")
    line.send(service, b"accepted", bench.times.arrive)
    accepted = bench.arrives(inbox)
    accepted.settle()
    accepted.settle(accepted=False)
    line.send(service, b"refused", bench.times.arrive)
    refused = bench.arrives(inbox, "the request after one that was accepted")
    bench.expect.equal(refused.frame, b"refused", "the request after one that was accepted, and then refused")
    refused.settle(accepted=False)
    refused.settle()
    again = bench.arrives(inbox, "the request that was refused, and then accepted,")
    bench.expect.equal(again.frame, b"refused", "the request that was refused, and then accepted")
    again.settle()
    line.send(service, b"marker", bench.times.arrive)
    bench.expect.equal(bench.arrives(inbox).frame, b"marker", "the first request after both")


#: How many answers nobody reads, for each frame of a burst.
_UNHEARD: Final = 8


@rule(
    "INBOX-011",
    level=Level.MUST,
    sentence="A caller that does not read holds up nobody: ``reply`` to it comes back, others are served, and all closes.",
    intent="One program that stands still in a debugger must not stop the service that it has asked.",
    causes=(
        "reply holds a lock while it waits for room",
        "all answers go through one thread, which waits for the caller that is behind",
        "reply has no limit of its own",
        "the buffer of the caller for replies is too small for what it has not read yet",
    ),
    mutants=("waits-for-the-deaf",),
    requires=("SETUP-005", "LINE-001", "LINE-002", "LINE-007", "INBOX-004"),
)
def deaf_callers_hold_up_nobody(bench: Bench) -> None:
    service, answer = bench.name(), bytes(LARGE)
    inbox, deaf = bench.inbox(service, capacity=4), bench.line()
    other = bench.keep(bench.open("client").dial())
    deaf.send(service, b"asked, and never listened", bench.times.arrive)
    unheard = bench.arrives(inbox)
    count = bench.profile.burst * _UNHEARD

    def reply_all() -> int:
        for number in range(count):
            try:
                unheard.reply(answer)
            except TransportError:  # there is no room, or nobody: how it is told is for other rules
                return number
        return count

    bench.did(f"replied {count} times 60 KiB to a caller that does not read, and served another one meanwhile")
    replying, turns = Aside(reply_all), 0
    began = time.monotonic()
    while turns < bench.profile.rounds or not (replying.at or time.monotonic() > began + bench.profile.budget):
        bench.expect.promptly(
            lambda: timed(partial(bench.round_trip, other, inbox, service))[1],
            bench.times.slack,
            "a round trip of the other caller",
        )
        turns += 1
    bench.did(f"{replying.result(bench.times.arrive * 2)} answers were taken, and {turns} round trips made")
    unheard.settle()
    bench.round_trip(other, inbox, service)
    for name, close in (("inbox", inbox.close), ("line that was not read", deaf.close)):
        bench.expect.in_time(timed(close)[1], bench.times.slack * 2, f"close of the {name}")


def _next_of(bench: Bench, inboxes: list[Inbox]) -> tuple[Inbox, Delivery]:
    """Return what any of several inboxes has next, and which one it was."""
    found: list[tuple[Inbox, Delivery]] = []

    def look() -> bool:
        for inbox in inboxes:
            delivery = inbox.receive(0.002)
            if delivery is None:
                continue
            if delivery.redelivered and bench.guarantees.redelivers:
                delivery.settle()
                continue
            found.append((inbox, delivery))
            return True
        return False

    bench.expect.that(until(look, bench.times.arrive), "a request arrives at one of the inboxes", "nothing")
    return found[0]
