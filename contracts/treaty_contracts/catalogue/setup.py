"""SETUP: what must hold before anything else is worth looking at.

Each of these rules is small on purpose: when one fails, the rest is blocked and not a cascade of failures.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from treaty import Guarantees
from treaty_contracts.bench import Bench
from treaty_contracts.registry import QUESTIONS, Level, rule

_SMALLEST_LIMIT = 64 * 1024


@rule(
    "SETUP-001",
    level=Level.MUST,
    sentence="A transport opens, carries one request to a service and the answer back, and closes.",
    intent="Nothing else can be judged on a transport that does not do this.",
    causes=(
        "the two ends do not have the same address",
        "the target needs something that is not running",
        "serve returns before the service can be reached",
        "reply_to of a delivery differs from the address of the line",
    ),
    mutants=("dead",),
)
def opens_echoes_closes(bench: Bench) -> None:
    subject = bench.subject()
    client = bench.client()
    bench.did("started a service, made a client, called echo once")
    bench.expect.equal(client.call(f"{subject.name}.echo", {"value": "hello"}), "hello", "the result of echo")
    client.close()
    subject.stop()
    for role in ("client", "service"):
        bench.transport(role).close()


@rule(
    "SETUP-002",
    level=Level.MUST,
    sentence="A transport answers every question of its declaration, and both ends give the same answers.",
    intent="What is declared decides which rules apply, and what users may rely on.",
    causes=(
        "guarantees is not set before __init__ returns",
        "an answer is of another type",
        "the answers depend on which end asks",
    ),
    mutants=("declares-nonsense",),
)
def declaration_is_complete(bench: Bench) -> None:
    declared = [bench.transport(role).guarantees for role in ("service", "client")]
    for one in declared:
        bench.expect.that(isinstance(one, Guarantees), "guarantees is a treaty.Guarantees", type(one).__name__)
        for question in QUESTIONS:
            answer = getattr(one, question)
            fits = _is_time(answer) if question == "notices_absence" else isinstance(answer, bool)
            bench.expect.that(fits, f"an answer to {question} of the declared type", repr(answer))
        limit = one.max_frame
        fits = isinstance(limit, int) and not isinstance(limit, bool) and limit >= _SMALLEST_LIMIT
        bench.expect.that(fits, f"max_frame is a number of bytes, {_SMALLEST_LIMIT:,} or more", repr(limit))
    bench.expect.equal(declared[0], declared[1], "the declaration of the client's end")


@rule(
    "SETUP-003",
    level=Level.MUST,
    sentence="A frame for one service never reaches another one, on this address or on any other.",
    intent="Services share brokers and endpoints; names are all that keeps them apart.",
    causes=("names are cut, lowered or matched as prefixes", "the address is ignored"),
    mutants=("shares-all-names", "matches-prefixes"),
)
def names_are_isolated(bench: Bench) -> None:
    mine, longer = bench.name("a"), ""
    longer = f"{mine}b"
    inboxes = {mine: bench.inbox(mine), longer: bench.inbox(longer)}
    line = bench.line()
    bench.did(f"served {mine!r} and {longer!r}, sent two frames to each")
    for name in (longer, mine, longer, mine):
        line.send(name, name.encode(), bench.times.arrive)
    for name, inbox in inboxes.items():
        for _ in range(2):
            delivery = bench.arrives(inbox)
            bench.expect.equal(delivery.frame, name.encode(), f"what the inbox of {name!r} gets")
            delivery.settle()
        bench.round_trip(line, inbox, name)


def _is_time(answer: object) -> bool:
    return answer is None or (isinstance(answer, int | float) and not isinstance(answer, bool) and answer >= 0)
