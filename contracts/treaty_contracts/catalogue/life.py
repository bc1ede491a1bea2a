"""LIFE: opening, closing, and what is left behind.

What a process holds is read from the process itself: its threads, and its descriptors where the system lists them.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from treaty import (
    Client,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    Inbox,
    Line,
    Resource,
    Transport,
    Unavailable,
)
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed
from treaty_contracts.holdings import held, held_beside
from treaty_contracts.registry import BOTH, Level, rule
from treaty_contracts.subject import Subject


@rule(
    "LIFE-001",
    level=Level.MUST,
    sentence="``close`` of anything is idempotent, never raises, and works while another thread is inside.",
    intent="Programs end in every order, and usually twice.",
    causes=("the second close touches what the first one freed", "close waits for a lock that a receiver holds"),
    mutants=("close-hangs", "second-close-raises"),
    requires=("LINE-005", "INBOX-006"),
)
def close_is_idempotent(bench: Bench) -> None:
    def once() -> float:
        near, far = bench.open("client"), bench.open("service")
        ends: list[Line | Inbox] = [near.dial(), far.serve(bench.name(), 1)]
        if bench.guarantees.notifications:
            ends.append(near.subscribe(bench.name("c")))
        blocked = [Aside(partial(end.receive, bench.times.slack * 5)) for end in ends]
        for waiting in blocked:
            waiting.begun.wait(bench.times.arrive)
        took = max(timed(partial(_aside, bench, transport.close))[1] for transport in (near, far))
        for waiting in blocked:
            error = waiting.error(bench.times.arrive)
            bench.expect.that(isinstance(error, ClosedError), "a blocked receive raises ClosedError", repr(error))
        for end in (*ends, near, far, *ends):
            name = type(end).__mro__[-3].__name__
            bench.expect.equal(_raised(end.close), None, f"what a second close raises ({name})")
        return took

    bench.did("closed a transport while threads waited at its line, its inbox and its subscription; closed all again")
    bench.expect.promptly(once, bench.times.slack * 2, "close of a transport")


@rule(
    "LIFE-002",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="Calls that are open when their client is closed end at once, with ClosedError.",
    intent="Nobody may wait for an answer that nobody can receive any more.",
    causes=("close waits for the receiver, or for its lock",),
    mutants=("calls-it-late", "forgets-open-calls"),
    requires=("LINE-004", "LINE-005", "ASYNC-003"),
)
def open_calls_end_with_the_client(bench: Bench) -> None:
    def once() -> float:
        service = bench.name()
        inbox, client = bench.inbox(service), bench.client()
        tickets = [bench.start(client, f"{service}.echo") for _ in range(3)]
        for _ in tickets:
            bench.arrives(inbox)
        closed = time.monotonic()
        _aside(bench, client.close)
        for ticket in tickets:
            ended = ticket.wait(bench.times.arrive)
            bench.expect.that(isinstance(ended.error, ClosedError), "ClosedError", f"{ended.value!r}, {ended.error!r}")
        return time.monotonic() - closed

    bench.expect.promptly(once, bench.times.slack * 2, "close of a client with open calls, and the end of these")


@rule(
    "LIFE-003",
    level=Level.MUST,
    sentence="Whatever is used after close raises ClosedError.",
    intent="What opens again silently is never closed, and what fails oddly is never understood.",
    causes=("check() is not called first", "the library's own error comes through", "a closed end connects again"),
    mutants=("foreign-error-after-close", "reopens-silently"),
)
def use_after_close(bench: Bench) -> None:
    service, channel = bench.name(), bench.name("c")
    near, far = bench.open("client"), bench.open("service")
    line, inbox = near.dial(), far.serve(service, 2)
    line.send(service, b"before", bench.times.arrive)
    delivery = bench.arrives(inbox)
    uses: dict[str, Callable[[], Any]] = {
        "line.send": lambda: line.send(service, b"after", bench.times.brief),
        "line.receive": lambda: line.receive(bench.times.brief),
        "inbox.receive": lambda: inbox.receive(bench.times.brief),
        "delivery.reply": lambda: delivery.reply(b"after"),
        "transport.dial": near.dial,
        "transport.serve": lambda: far.serve(bench.name(), 1),
    }
    if bench.guarantees.notifications:
        feed = near.subscribe(channel)
        feed.close()
        uses["subscription.receive"] = lambda: feed.receive(bench.times.brief)
        uses["transport.publish"] = lambda: far.publish(channel, b"after")
        uses["transport.subscribe"] = lambda: near.subscribe(channel)
    line.close()
    inbox.close()
    bench.did("closed the ends and used them, then closed the transports and used everything")
    for name, use in uses.items():
        if not name.startswith("transport."):
            bench.expect.raises(ClosedError, use, f"{name} after its own close")
    near.close()
    far.close()
    for name, use in uses.items():
        bench.expect.raises(ClosedError, use, f"{name} after close of the transport")
    bench.expect.equal(_raised(delivery.settle), None, "what settle raises after close")


@rule(
    "LIFE-004",
    level=Level.MUST,
    sentence="After close no thread and no descriptor is left.",
    intent="A program that opens and closes all day must not die of it in the evening.",
    causes=("a thread is not joined", "a socket, pipe or poll object is not closed", "a context or pool is kept"),
    mutants=("leaks-a-descriptor", "leaks-a-thread"),
)
def nothing_is_left(bench: Bench) -> None:
    def live() -> None:
        near, far = bench.target.opened(bench.context("client")), bench.target.opened(bench.context("service"))
        subject = _named(bench)(far, secret=bench.secret, drain=0.2)
        with subject:
            from_client = Client(near, secret=bench.secret, timeout=bench.times.arrive)
            from_client.call(f"{subject.name}.echo", [1])
            from_client.send(f"{subject.name}.echo_later", [1]).result(bench.times.arrive)
            if near.guarantees.notifications:
                from_client.subscribe(f"{subject.name}.#", lambda _: None)
                subject.publish("event", 1)
            from_client.close()
        near.close()
        far.close()

    bench.did("opened, called, subscribed and closed: once to warm up, then a few times between two looks")
    live()
    before = held()
    for _ in range(bench.profile.rounds):
        live()
    left = held_beside(before, bench.times.arrive / 2)
    bench.expect.judged(judging.nothing_new(before, left, "after close"))


@rule(
    "LIFE-005",
    level=Level.SHOULD,
    sentence="An address that was closed can be served again at once.",
    intent="A restart should not wait for a timer of the operating system.",
    causes=("the socket lingers", "the name of the old reader is still registered"),
    mutants=("lingers",),
)
def address_is_free_at_once(bench: Bench) -> None:
    service = bench.name()
    for number in range(bench.profile.rounds + 1):
        transport = bench.open("service")
        inbox = transport.serve(service, 1)
        bench.round_trip(bench.line(), inbox, service, b"%d" % number)
        transport.close()


@rule(
    "LIFE-006",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A client that outlives its service reaches the next one; at most one call fails on the way, typed.",
    intent="Services are restarted; their callers are not.",
    causes=("a broken connection is not replaced", "requests go to the queue of the one that is gone"),
    mutants=("stale-link",),
    requires=("LIFE-005",),
)
def calls_work_after_a_restart(bench: Bench) -> None:
    name, client = bench.name(), bench.client()
    bench.did("stopped a service and closed its transport, and started both again, while a client stayed")
    for number in range(2):
        transport = bench.open("service")
        subject = bench.subject(transport=transport, name=name)
        ended = bench.call(client, f"{name}.echo", [number])
        what = (
            "result and error of the first call after the restart" if number else "result and error before the restart"
        )
        if number and ended.error is not None:
            fits = isinstance(ended.error, ConnectionLost | Unavailable)
            bench.expect.that(fits, "ConnectionLost or Unavailable, if anything", repr(ended.error))
            ended = bench.call(client, f"{name}.echo", [number])
            what = "result and error of the second call after the restart, as the first had failed"
        bench.expect.equal((ended.value, ended.error), (number, None), what)
        subject.stop()
        transport.close()


@rule(
    "LIFE-008",
    level=Level.MUST,
    sentence="A transport on which no line and no inbox is open holds no thread and no descriptor.",
    intent="A transport object is made early and shared; what it costs should be what is used.",
    causes=(
        "the connection belongs to the transport and not to its ends",
        "what was opened for a connection that was refused is closed by nobody",
    ),
    mutants=("transport-keeps-a-thread", "keeps-the-refused"),
    requires=("LIFE-004",),
)
def idle_transport_holds_nothing(bench: Bench) -> None:
    def live(near: Transport, far: Transport) -> None:
        service = bench.name()
        line, inbox = near.dial(), far.serve(service, 1)
        bench.round_trip(line, inbox, service)
        line.close()
        inbox.close()

    def opened() -> tuple[Transport, Transport]:
        return bench.open("client"), bench.open("service")

    def holds_nothing(when: str) -> None:
        left = held_beside(before, bench.times.arrive / 2)
        bench.expect.judged(judging.nothing_new(before, left, when))

    bench.did("warmed up and closed all; looked; opened transports, and used them; looked while they were open")
    cold = held()
    warm = opened()
    live(*warm)
    for transport in warm:
        transport.close()
    # What ends a little later must not hide what comes next; what stays for good is judged by another rule.
    before = held_beside(cold, bench.times.slack / 4)
    idle = opened()
    holds_nothing("while transports are open that were never used")
    for _ in range(bench.profile.rounds):
        live(*idle)
    holds_nothing("while transports are open whose lines and inboxes are closed")
    with idle[0].dial() as line, suppress(Unavailable):
        line.send(bench.name(), b"for nobody", bench.times.brief)
    holds_nothing("while transports are open whose lines were closed after they had found nobody")


@rule(
    "LIFE-009",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A call whose service stops in the middle ends typed, by its deadline at the latest.",
    intent="Every call ends, whatever happens to the other end.",
    causes=("close drops the answers that were just handed over", "the caller is not told, and its deadline is lost"),
    mutants=("abandoned-counts-as-done",),
)
def service_stops_in_mid_call(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    # Enough for the handler to begin, however late its request comes: that is for other rules.
    ticket = bench.start(client, f"{subject.name}.wait", {"gate": "never"}, timeout=bench.times.first)
    begun = subject.started["never"].wait(bench.times.arrive)
    bench.expect.that(begun, "the handler runs", "it does not")
    subject.stop(drain=0)
    ended = bench.end(ticket, bench.times.first)
    subject.gates["never"].set()
    fits = isinstance(ended.error, ConnectionLost | DeadlineExceeded)
    bench.expect.that(fits, "ConnectionLost or DeadlineExceeded", f"{ended.value!r}, {ended.error!r}")


@rule(
    "LIFE-020",
    level=Level.MUST,
    sentence="``closed`` says whether close was called, and leaving a ``with`` statement closes.",
    intent="Programs ask before they use, and rely on with where they may be interrupted.",
    causes=("close is overridden and does not say so", "__exit__ is overridden, or returns something true"),
    mutants=("never-closed", "swallows-exceptions"),
)
def closed_is_said(bench: Bench) -> None:
    transport = bench.open("service")
    ends: list[Resource] = [transport, transport.dial(), transport.serve(bench.name(), 1)]
    if bench.guarantees.notifications:
        ends.append(transport.subscribe(bench.name("c")))
    for end in reversed(ends):
        name = type(end).__mro__[-3].__name__
        bench.expect.that(not end.closed, f"what is open does not say that it is closed ({name})", end.closed)
        raised = _raised(partial(_raise_inside, end))
        bench.expect.equal(raised, _LEFT, f"what is raised inside of with, which gives the very object ({name})")
        bench.expect.that(end.closed, f"what was left by with says that it is closed ({name})", end.closed)


_LEFT: Final = LookupError("raised inside of with")


def _raise_inside(end: Resource) -> None:
    with end as entered:
        raise _LEFT if entered is end else ValueError(f"with gives {entered!r}")


def _named(bench: Bench) -> type[Subject]:
    return type("Subject", (Subject,), {"name": bench.name()})


def _aside(bench: Bench, action: Callable[[], object]) -> object:
    return Aside(action).result(bench.times.arrive)


def _raised(action: Callable[[], object]) -> BaseException | None:
    try:
        action()
    except Exception as raised:  # whatever it is, it is the observation
        return raised
    return None
