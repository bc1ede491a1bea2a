"""LIFE: what is true of calls and of everything else while the way between the ends is cut, and when a peer is frozen.

The ways are cut through the hooks of a target. These rules must not know what stands between the ends.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from treaty import Client, ConnectionLost, Transport, Unavailable
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.links import NEEDS, Cut, ends_typed, works_again
from treaty_contracts.expect import timed, until
from treaty_contracts.peer import Peer
from treaty_contracts.registry import BOTH, Level, Strength, rule
from treaty_contracts.subject import Subject
from treaty_contracts.surface import Ended, Ticket
from treaty_contracts.witness import foreign, unchained


@rule(
    "LIFE-012",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="A call that ends with Unavailable was not executed, and never will be, however the way was cut.",
    intent="Whoever reads it asks again, and must not cause anything twice.",
    causes=("a connection that breaks after the request was written is reported as one that never was",),
    mutants=("calls-a-loss-unavailable",),
    requires=("LIFE-011",),
    strength=Strength.STOCHASTIC,
)
def unavailable_is_true(bench: Bench) -> None:
    subject, calls = _storm(bench)
    ran = _ran(subject)
    for name, ended in calls.items():
        if isinstance(ended.error, Unavailable):
            bench.expect.that(not ran[name], f"no handler for {name}, which is Unavailable", f"{ran[name]} ran")
    lost = [name for name, ended in calls.items() if name.startswith("taken") and ended.error is not None]
    unavailable = [name for name in lost if isinstance(calls[name].error, Unavailable)]
    bench.expect.equal(unavailable, [], "calls that a service had taken, and that are Unavailable all the same")


@rule(
    "LIFE-013",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="Through cuts and mending, a handler runs at most once for each call, and once for each that succeeds.",
    intent="What is sent again by the transport is done again by the handler.",
    causes=("a request is written again on the new connection", "what is redelivered is not marked"),
    mutants=("sends-again-when-mended",),
    requires=("LIFE-011",),
    strength=Strength.STOCHASTIC,
)
def at_most_once_through_cuts(bench: Bench) -> None:
    subject, calls = _storm(bench)
    ran = _ran(subject)
    for name, ended in calls.items():
        fits = ran[name] <= 1 if ended.error is not None else ran[name] == 1
        often = "once" if ended.error is None else "at most once"
        bench.expect.that(fits, f"the handler for {name} runs {often}", f"{ran[name]} times; {ended.error!r}")


def _storm(bench: Bench) -> tuple[Subject, dict[str, Ended]]:
    """Cut and mend in the middle of many calls, and return how each one ended, by name.

    Calls named ``taken`` were running when the way was cut; their handlers end while it is. The others, named
    ``met``, were sent about when it was cut.
    """
    subject, client = bench.subject(concurrency=8), bench.client()
    calls: dict[str, Ended] = {}
    for turn in range(bench.profile.rounds):
        taken = {f"taken {turn}.{number}": f"taken {turn}.{number}" for number in range(4)}
        limit = bench.times.slack * 3
        tickets = {
            name: bench.start(client, f"{subject.name}.wait", {"gate": gate}, timeout=limit)
            for name, gate in taken.items()
        }
        for gate in taken.values():
            begun = subject.started[gate].wait(bench.times.arrive)
            bench.expect.that(begun, "the handler runs", "it does not")
        names = [f"met {turn}.{number}" for number in range(bench.profile.burst)]
        for position, name in enumerate(names):
            if position == len(names) // 2:
                cut = Cut(bench)
                for gate in taken.values():
                    subject.gates[gate].set()
            tickets[name] = bench.start(client, f"{subject.name}.echo", [name], timeout=limit)
        cut.mend()
        for name, ticket in tickets.items():
            calls[name] = bench.end(ticket, limit)
            if calls[name].error is not None:
                ends_typed(bench, calls[name], name)
        # The fence: whatever was still to be run stands before this call.
        works_again(bench, client, subject.name, turn, "when the way is mended")
    return subject, calls


def _ran(subject: Subject) -> Counter[Any]:
    return Counter(value for _, value in subject.seen)


@rule(
    "LIFE-015",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="Whatever is used while the way is cut, and after it, raises nothing but Treaty's own errors.",
    intent="Nobody can handle the errors of libraries that they do not know of.",
    causes=("a call into the library stands outside of the try block", "an error class of the library is not caught"),
    mutants=("foreign-error-when-cut",),
)
def no_foreign_errors_when_cut(bench: Bench) -> None:
    for name, raised in _use_everything(bench):
        bench.expect.equal(foreign([raised] if raised else []), [], f"errors of other libraries out of {name}")


@rule(
    "LIFE-016",
    level=Level.SHOULD,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="An error that another library's error led to names it as its cause.",
    intent="What the library said is what tells somebody why.",
    causes=("raise without from", "from None"),
    mutants=("hides-the-cause",),
    requires=("LIFE-015",),
)
def causes_are_named(bench: Bench) -> None:
    for name, raised in _use_everything(bench):
        bench.expect.equal(
            unchained([raised] if raised else []), [], f"errors out of {name} that hide what led to them"
        )


def _use_everything(bench: Bench) -> list[tuple[str, Exception | None]]:
    """Use all that is open, and open more, while the way is cut and then when it is mended; return what was raised."""
    service, channel, brief = bench.name(), bench.name("c"), bench.times.brief / 4
    near, far = bench.open("client"), bench.open("service")
    line, inbox = bench.keep(near.dial()), bench.keep(far.serve(service, 9))
    line.send(service, b"before", bench.times.arrive)
    delivery = bench.arrives(inbox)
    uses: dict[str, Callable[[], Any]] = {
        "line.send at once": lambda: line.send(service, b"now", 0),
        "line.send": lambda: line.send(service, b"soon", brief),
        "line.receive": lambda: line.receive(brief),
        "inbox.receive": lambda: inbox.receive(brief),
        "delivery.reply": lambda: delivery.reply(b"answer"),
        "delivery.settle": delivery.settle,
        "transport.dial": lambda: bench.keep(near.dial()),
    }
    if bench.guarantees.notifications:
        feed = bench.keep(near.subscribe(channel))
        uses["subscription.receive"] = lambda: feed.receive(brief)
        uses["transport.publish"] = lambda: far.publish(channel, b"news")
        uses["transport.subscribe"] = lambda: bench.keep(near.subscribe(bench.name("c")))
    if bench.guarantees.competing_workers:
        uses["transport.serve"] = lambda: bench.keep(far.serve(bench.name(), 1))
    found = []
    cut = Cut(bench)
    for when in ("while the way is cut", "again", "when the way is mended"):
        if when == "when the way is mended":
            cut.mend()
        for name, use in uses.items():
            found.append((f"{name} {when}", _raised(use)))
    for name, end in (("line", line), ("inbox", inbox), ("client's transport", near), ("service's transport", far)):
        found.append((f"close of the {name}", _raised(end.close)))
    return found


def _raised(use: Callable[[], object]) -> Exception | None:
    try:
        use()
    except Exception as raised:  # whatever it is, it is the observation
        return raised
    return None


@rule(
    "LIFE-017",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="While the way is cut, everything closes in time, and leaves no thread.",
    intent="A program that is told to end must end, also when the network is why.",
    causes=("close says goodbye to a peer that is gone", "the thread that connects again is not ended"),
    mutants=("close-waits-for-the-peer",),
)
def closes_while_cut(bench: Bench) -> None:
    def live(*, through_a_cut: bool) -> None:
        near, far = bench.open("client"), bench.open("service")
        subject, client = bench.subject(transport=far), bench.client(transport=near)
        ends: list[tuple[str, Callable[[], object]]] = [("client", client.close), ("service", subject.stop)]
        bench.expect.equal(client.call(f"{subject.name}.echo", [1]), 1, "the result before")
        if bench.guarantees.notifications:
            subscription = client.subscribe(f"{subject.name}.#", lambda _: None)
            ends.insert(0, ("subscription", subscription.close))
        cut = Cut(bench) if through_a_cut else None
        for name, close in (*ends, ("client's transport", near.close), ("service's transport", far.close)):
            _, took = timed(partial(_aside, bench, close))
            bench.expect.in_time(took, bench.times.slack * 2, f"close of the {name}")
        if cut is not None:
            cut.mend()

    live(through_a_cut=False)
    before = set(threading.enumerate())
    for _ in range(max(1, bench.profile.rounds // 2)):
        live(through_a_cut=True)
    gone = until(lambda: not set(threading.enumerate()) - before, bench.times.slack)
    bench.expect.that(gone, "no thread beyond those before", [one.name for one in set(threading.enumerate()) - before])


def _aside(bench: Bench, action: Callable[[], object]) -> object:
    return Aside(action).result(bench.times.arrive)


@rule(
    "LIFE-021",
    level=Level.SHOULD,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="When a connection breaks, the calls that wait for an answer on it end soon, not only by their deadline.",
    intent="Deadlines are generous; who learns at once that an answer may never come can ask again while it matters.",
    causes=(
        "whoever sends next is told of the loss, and takes it away from who is inside receive",
        "the end of the connection is not read",
    ),
    mutants=("does-not-tell-of-a-cut", "tells-only-who-sends", "calls-a-loss-unavailable", "sends-again-when-mended"),
    requires=("LIFE-010", "LIFE-011"),
    strength=Strength.STOCHASTIC,
)
def those_who_wait_are_told(bench: Bench) -> None:
    subject, client = bench.subject(concurrency=4), bench.client()
    for turn in range(bench.profile.rounds):
        gates = [f"{turn}.{number}" for number in range(4)]
        waiting = [bench.start(client, f"{subject.name}.wait", {"gate": gate}) for gate in gates]
        for gate in gates:
            begun = subject.started[gate].wait(bench.times.arrive)
            bench.expect.that(begun, "the handler runs", "it does not")
        # Others call all the while, so that it may be one of them who finds the connection broken, and made again.
        others = []
        for position in range(bench.profile.burst):
            if position == bench.profile.burst // 2:
                cut = Cut(bench)
            others.append(bench.start(client, f"{subject.name}.echo", [position], timeout=bench.times.brief))
        if turn % 2 == 0:
            cut.mend()
        _all_told(bench, waiting)
        cut.mend()
        for ticket in others:
            bench.end(ticket, bench.times.brief)
        for gate in gates:
            subject.gates[gate].set()
        works_again(bench, client, subject.name, turn, "when the way is mended")


def _all_told(bench: Bench, waiting: list[Ticket]) -> None:
    limit = bench.times.slack * 2
    told = until(lambda: all(ticket.done for ticket in waiting), limit)
    left = sum(not ticket.done for ticket in waiting)
    what = f"{len(waiting)} calls that wait for an answer when the way is cut end within {limit:g} s"
    bench.expect.that(told, what, f"{left} still wait: receive has not told of the loss")
    for ticket in waiting:
        ended = ticket.wait(limit)
        fits = isinstance(ended.error, ConnectionLost)
        bench.expect.that(fits, "ConnectionLost", f"{ended.value!r}, {ended.error!r}")


@rule(
    "LIFE-022",
    level=Level.MUST,
    needs=NEEDS,
    surfaces=BOTH,
    sentence="A call to a service whose process is frozen ends by its deadline, and calls work when it goes on.",
    intent="A machine that swaps or a debugger that stops is not dead, and nobody may hang for it.",
    causes=(
        "the deadline is not looked at while the connection stands",
        "what was sent meanwhile is answered to others",
    ),
    mutants=("waits-for-the-frozen", "lies-about-processes"),
)
def frozen_service(bench: Bench) -> None:
    service, limit = bench.name(), bench.times.brief

    def work(transport: Transport, peer: Peer) -> str:
        with type("Frozen", (Subject,), {"name": service})(transport, secret=bench.secret, drain=0.0):
            peer.tell()
            peer.wait()
        return "ended"

    peer = Peer(bench, "service", work)
    peer.did("serves")
    client = bench.client()
    bench.expect.equal(bench.result(client, f"{service}.echo", [0]), 0, "a call before its process is frozen")
    _freeze(peer)
    bench.did("froze the process of the service")
    ends_typed(bench, bench.call(client, f"{service}.echo", ["frozen"], timeout=limit), "a call to it")
    os.kill(peer.pid, signal.SIGCONT)
    bench.did("let it go on")
    works_again(bench, client, service, 1, "when the service goes on")
    peer.go()
    bench.expect.equal(peer.report(), "ended", "how the process of the service ends")


@rule(
    "LIFE-025",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A service goes on while the process of a caller is frozen, and both its inbox and its transport close on time.",
    intent="Nobody can stop a program that waits for another one to read or to say goodbye.",
    causes=("close waits until all who are connected have gone", "a write to who does not read has no limit"),
    mutants=("waits-for-frozen-callers",),
    requires=("LIFE-022",),
)
def frozen_caller(bench: Bench) -> None:
    service = bench.name()

    def work(transport: Transport, peer: Peer) -> str:
        peer.wait()
        with Client(transport, secret=bench.secret, timeout=bench.times.arrive) as client:
            client.send(f"{service}.wait", ["gate"])
            client.call(f"{service}.echo", [1])
            peer.tell()
            peer.wait()
        return "ended"

    peer = Peer(bench, "client", work)
    far = bench.open("service")
    subject = bench.subject(transport=far, name=service, concurrency=2)
    peer.go()
    peer.did("has an open call, and called")
    _freeze(peer)
    bench.did("froze the process of a caller that has an open call, called, and closed the service and its transport")
    bench.expect.equal(bench.result(bench.client(), f"{service}.echo", [3]), 3, "a call of somebody else")
    subject.gates["gate"].set()
    for what, close in (("the service", subject.stop), ("its transport", far.close)):
        bench.expect.in_time(timed(close)[1], bench.times.slack * 2, f"close of {what} while a caller is frozen")
    os.kill(peer.pid, signal.SIGCONT)
    peer.go()
    bench.expect.equal(peer.report(), "ended", "how the process of the caller ends")


def _freeze(peer: Peer) -> None:
    os.kill(peer.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, peer.pid, os.WSTOPPED)  # not all of its threads stand still at once
