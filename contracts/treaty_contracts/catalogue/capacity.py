"""INBOX: how many deliveries an inbox hands out before one is settled, and where one goes that it gives back.

No service and no client is involved: what fails here fails below everything else.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from contextlib import suppress
from functools import partial
from threading import Event
from typing import Final

from treaty import Delivery, Line, Unavailable
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.lines import BLOCKED
from treaty_contracts.expect import timed, until
from treaty_contracts.registry import Level, rule

#: Capacities that are tried besides two, and a larger one that is drawn.
_ROOMS: Final = (1, 3, 5, 8)
#: How many requests wait while one is given back, and for how many seconds each inbox is asked for them in turn.
_WAITING: Final = 8
_GLANCE: Final = 0.002


@rule(
    "INBOX-004",
    level=Level.MUST,
    sentence="An inbox hands out no more unsettled deliveries than its capacity, and the next when one is settled.",
    intent="Capacity is how a worker says how much it can do; what it cannot do is for others.",
    causes=("capacity is ignored", "settling does not wake the receiver", "settling twice makes room for two"),
    mutants=(
        "frees-what-was-replied",
        "hands-out-one-more",
        "ignores-capacity",
        "settle-twice-counts-twice",
        "settling-wakes-nobody",
    ),
    requires=("SETUP-003", "LINE-004", "INBOX-001", "LINE-006"),
)
def capacity_is_kept(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service, capacity=2), bench.line()
    requests = [b"%d" % number for number in range(5)]
    sending = bench.sends(line, service, requests)
    first, second = bench.arrives(inbox), bench.arrives(inbox)
    steps = [("taken", first.frame), ("taken", second.frame)]
    bench.did("an inbox with room for two took two of five requests; one was settled twice, the other by a thread")
    steps += [("taken", frame) for frame in bench.silence(inbox)]
    bench.expect.judged(judging.within_capacity(steps, 2, "a third one while two are unsettled"))
    waiting = Aside(partial(bench.arrives, inbox, "the next request when one is settled"))
    waiting.begun.wait(bench.times.arrive)
    Event().wait(BLOCKED)
    first.settle()
    first.settle()
    third, took = timed(partial(waiting.result, bench.times.arrive * 2))
    # Who is not woken finds it when its time is over.
    bench.expect.in_time(took, bench.times.arrive / 2, "the next request at a thread that waits when one is settled")
    steps += [("settled", first.frame), ("settled", first.frame), ("taken", third.frame)]
    steps += [("taken", frame) for frame in bench.silence(inbox)]
    bench.expect.judged(judging.within_capacity(steps, 2, "another one, after one was settled twice"))
    Aside(second.settle).result(bench.times.arrive)
    fourth = bench.arrives(inbox, "the next request, when one is settled by another thread,")
    for delivery in (third, fourth):
        delivery.settle()
    rest = bench.arrives(inbox)
    sending.result(bench.times.arrive)
    came = [one.frame for one in (first, second, third, fourth, rest)]
    bench.expect.judged(judging.exactly_once(requests, came, "the requests that arrive"))
    _every_capacity_is_kept(bench, line)


def _every_capacity_is_kept(bench: Bench, line: Line) -> None:
    """See that inboxes with room for some, and for a drawn number, hand out as many, and one for each that is settled."""
    rooms = (*_ROOMS, bench.random.randint(9, max(10, bench.profile.burst)))
    bench.did(f"inboxes with room for {', '.join(map(str, rooms))} were sent two more each; then one was settled")
    names = {room: bench.name() for room in rooms}
    inboxes = {room: bench.inbox(name, room) for room, name in names.items()}
    steps: dict[int, list[tuple[str, bytes]]] = {room: [] for room in rooms}
    taken: dict[int, list[Delivery]] = {room: [] for room in rooms}

    def take(room: int, count: int, what: str) -> None:
        for _ in range(count):
            taken[room].append(bench.arrives(inboxes[room], what))
            steps[room].append(("taken", taken[room][-1].frame))

    def no_more(when: str) -> None:
        for frame in bench.silence(*inboxes.values()):
            room = int(frame.partition(b" ")[0])
            steps[room].append(("taken", frame))
        for room in rooms:
            bench.expect.judged(judging.within_capacity(steps[room], room, f"an inbox with room for {room}, {when}"))

    sent = {room: [b"%d %d" % (room, number) for number in range(room + 2)] for room in rooms}
    sending = [bench.sends(line, names[room], sent[room]) for room in rooms]
    for room in rooms:
        take(room, room, f"one of {room} requests at an inbox with room for as many")
    no_more("when that many are unsettled")
    for room in rooms:
        taken[room][0].settle()
        steps[room].append(("settled", taken[room][0].frame))
        take(room, 1, f"the next request at an inbox with room for {room}, when one is settled,")
    no_more("when one was settled and another one taken")
    for room in rooms:
        for delivery in taken[room]:
            delivery.settle()
        take(room, 1, f"the last request at an inbox with room for {room}")
        came = [delivery.frame for delivery in taken[room]]
        bench.expect.judged(judging.exactly_once(sent[room], came, f"what an inbox with room for {room} gets"))
        taken[room][-1].settle()
    for one in sending:
        one.result(bench.times.arrive)


@rule(
    "INBOX-005",
    level=Level.MUST,
    needs=("competing_workers",),
    sentence="A delivery that is not accepted goes to another inbox, not marked as redelivered: nobody ran it.",
    intent="A worker that stops gives back what it has not started, and nobody may lose or refuse it.",
    causes=(
        "settle(accepted=False) acknowledges all the same",
        "the library marks what is given back",
        "there is no room for what is given back while others wait",
    ),
    mutants=(
        "crowds-out-what-is-given-back",
        "drops-what-is-given-back",
        "marks-what-is-given-back",
        "deals-in-turn",
    ),
    requires=("INBOX-001", "INBOX-002", "INBOX-004"),
)
def not_accepted_goes_on(bench: Bench) -> None:
    service = bench.name()
    leaving, line = bench.inbox(service, capacity=1), bench.line()
    line.send(service, b"hand me on", bench.times.arrive)
    delivery = bench.arrives(leaving)
    staying = bench.inbox(service, capacity=1)
    bench.did("one inbox took a request and gave it back; another one was there")
    delivery.settle(accepted=False)
    taken: list[Delivery] = []

    def given() -> bool:
        again = staying.receive(0.02)
        if again is not None:
            taken.append(again)
        elif back := leaving.receive(0):
            # One that reads ahead may have taken it once more, before the other one could.
            back.settle(accepted=False)
        return bool(taken)

    came = until(given, bench.times.arrive)
    bench.expect.that(came, "the request that was given back arrives at the other inbox", "it does not")
    again = taken[0]
    bench.expect.equal(again.frame, b"hand me on", "the request that was given back")
    bench.expect.that(not again.redelivered, "not marked as redelivered: nobody ran it", "redelivered is True")
    again.reply(b"done")
    again.settle()
    bench.expect.equal(bench.returns(line), b"done", "the reply to what was given back")
    _given_back_to_others(bench, line)


def _given_back_to_others(bench: Bench, line: Line) -> None:
    """See that a request arrives that is given back while others wait, and that they do."""
    service, sent, arrived = bench.name(), list[bytes](), list[bytes]()
    busy = bench.inbox(service, capacity=1)
    with suppress(Unavailable):  # there may be room for less
        for number in range(_WAITING + 1):
            frame = b"request %d" % number
            line.send(service, frame, bench.times.slack)
            sent.append(frame)
    bench.did(f"an inbox with room for one took a request and gave it back while {len(sent) - 1} others waited")
    delivery = bench.arrives(busy)
    idle = bench.inbox(service, capacity=1)
    delivery.settle(accepted=False)

    def all_came() -> bool:
        for inbox in (idle, busy):
            if (came := inbox.receive(_GLANCE)) is not None:
                arrived.extend(bench.settled(came))
        return len(arrived) >= len(sent)

    until(all_came, bench.times.arrive)
    arrived += bench.silence(idle, busy)
    bench.expect.judged(judging.exactly_once(sent, arrived, "a request that was given back, and those that waited"))
