"""WIRE: what travels is what the wire's description says, and what later versions will add is let pass.

It must not know how frames travel.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import msgspec

from treaty import Request, Response
from treaty.codec import BODIES
from treaty.sealing import MAGIC, PREFIX, VERSION
from treaty_contracts import forge
from treaty_contracts.bench import Bench
from treaty_contracts.registry import Level, rule
from treaty_contracts.vectors import load

_REFUSAL = b"x"


@rule(
    "WIRE-001",
    level=Level.MUST,
    sentence="Every frame that crosses the interface fits the description of the wire, at both ends.",
    intent="Programs in other languages read the description, and not this library.",
    causes=("the transport adds to frames, or changes them",),
    mutants=("sends-no-sender",),
    requires=("LINE-007", "INBOX-004", "CALL-004", "CALL-010", "ERR-002"),
)
def frames_fit_the_description(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    for method in ("echo", "fail", "typed", "report", "nothing"):
        client.send(f"{subject.name}.{method}", [3] if method == "report" else None).reply(bench.times.arrive)
    client.notify(f"{subject.name}.echo", [1])
    client.call(f"{subject.name}.echo", [2])
    if bench.guarantees.notifications:
        client.subscribe(f"{subject.name}.#")
        subject.publish("event", 1)
    for crossing in bench.trace.snapshot():
        frame = crossing.frame
        bench.expect.equal(frame[:3], MAGIC + VERSION, f"the first bytes of what {crossing.end} did {crossing.verb}")
        kind = frame[3:4]
        if kind == _REFUSAL:
            bench.expect.equal(len(frame), PREFIX, "the size of a refusal")
            continue
        bench.expect.that(kind in BODIES, f"one of the kinds {sorted(BODIES)}", kind)
        body = bench.keyring.open(frame, kind).body
        msgspec.json.decode(body, type=BODIES[kind])
        bench.expect.that(len(forge.opened(bench.keyring, frame).sender) > 0, "a sender", body)


@rule(
    "WIRE-002",
    level=Level.MUST,
    sentence="Members that this version does not know are ignored, in requests and in answers.",
    intent="The next version can add something without breaking this one.",
    causes=("the transport looks into frames",),
    mutants=("rejects-unknown-members",),
    requires=("SETUP-003", "LINE-004"),
)
def unknown_members_are_ignored(bench: Bench) -> None:
    extra = {"later": {"version": [1, None]}, "x-new": True}
    subject, client, line = bench.subject(), bench.client(), bench.line()
    message = forge.request(f"{subject.name}.echo", {"value": 1}, reply=line.address)
    line.send(subject.name, forge.sealed(bench.keyring, message, extra), bench.times.arrive)
    answer = forge.opened(bench.keyring, bench.returns(line, "the answer to a request with unknown members"))
    assert isinstance(answer, Response)
    bench.expect.equal(answer.result, 1, "the result of a request with unknown members")
    service = bench.name()
    inbox = bench.inbox(service)
    pending = client.send(f"{service}.echo")
    delivery = bench.arrives(inbox)
    delivery.reply(forge.sealed(bench.keyring, forge.answer(delivery.frame, 2, bench.keyring), extra))
    bench.expect.equal(pending.result(bench.times.arrive), 2, "the result of an answer with unknown members")


@rule(
    "WIRE-003",
    level=Level.MUST,
    sentence="Frames that were recorded from earlier releases travel unchanged, and mean the same.",
    intent="Two releases are in use at the same time whenever somebody upgrades.",
    causes=("the transport changes frames", "the wire was changed without another version"),
    mutants=("forgets-headers",),
)
def recorded_frames_are_accepted(bench: Bench) -> None:
    vectors = load()
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    for vector in vectors.good:
        bench.round_trip(line, inbox, service, vector.frame)
        message = forge.opened(vectors.keyring, vector.frame)
        bench.expect.equal(message, vector.message, f"what {vector.name!r} means")
    bench.expect.that(any(isinstance(one.message, Request) for one in vectors.good), "a recorded request", vectors)
