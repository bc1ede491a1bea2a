"""ERR: what goes wrong arrives as what it is, and harms nobody else.

It must not know how frames travel.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from typing import Any

from treaty import InvalidParams, InvalidResult, RemoteError
from treaty_contracts import forge
from treaty_contracts.bench import Bench
from treaty_contracts.registry import BOTH, Level, rule
from treaty_contracts.subject import SampleError, Subject


@rule(
    "ERR-001",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="An error keeps its class where it is registered, and its type, text and fields where it is not.",
    intent="Callers decide by the class of an error, and people by its text.",
    causes=("errors are turned into text on the way",),
    mutants=("drops-errors",),
)
def errors_keep_their_type(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    sample = {"text": "none of the blue ones", "left": 3, "tags": ["a", "ü"]}
    registered: Any = bench.call(client, f"{subject.name}.typed", sample).error
    bench.expect.equal(type(registered), SampleError, "the class of a registered error")
    bench.expect.equal((str(registered), registered.left), ("none of the blue ones", 3), "its text and one field")
    bench.expect.equal(registered.tags, ["a", "ü"], "the other field")
    other: Any = bench.call(client, f"{subject.name}.fail", {"text": "no such thing"}).error
    bench.expect.equal(type(other), RemoteError, "the class of an error that nobody registered")
    bench.expect.equal((other.type, other.text), ("LookupError", "no such thing"), "its type and text")
    bench.expect.that(other.error_id, "an id under which the service logged it", repr(other.error_id))
    for params, culprit in (({"value": 1, "size": 2}, "size"), ([1, 2, 3], "3"), ({"valu": 1}, "valu")):
        wrong = bench.call(client, f"{subject.name}.echo", params).error
        bench.expect.that(isinstance(wrong, InvalidParams), f"InvalidParams for {params!r}", repr(wrong))
        bench.expect.that(culprit in str(wrong), f"a text that names {culprit!r}", str(wrong))


@rule(
    "ERR-002",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A handler that raises, or tries to end the process, does not stop the service.",
    intent="One bad request must not take a service away from everybody.",
    causes=("the receiving thread ends with the exception", "the delivery is not settled, and its place is lost"),
    mutants=("dies-on-raise", "never-frees-a-place"),
)
def raising_handlers_are_survived(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    for number in range(bench.profile.rounds):
        for method in ("fail", "exit", "typed"):
            ended = bench.call(client, f"{subject.name}.{method}")
            bench.expect.that(ended.error is not None, f"an error from {method}", repr(ended.value))
        bench.expect.equal(
            bench.result(client, f"{subject.name}.echo", [number]), number, "the result of the next call"
        )


@rule(
    "ERR-003",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A result that JSON cannot carry is InvalidResult at the caller.",
    intent="The caller must hear that it ran, and that asking again will not help.",
    causes=("the failure to write the answer is only logged",),
    mutants=("drops-errors",),
)
def opaque_results(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    ended = bench.call(client, f"{subject.name}.opaque")
    bench.expect.that(isinstance(ended.error, InvalidResult), "InvalidResult", repr(ended.error))
    bench.expect.equal(bench.result(client, f"{subject.name}.echo", [1]), 1, "the result of the next call")


@rule(
    "ERR-005",
    level=Level.MUST,
    sentence="A malformed frame harms nobody: it runs nothing, and every other call is answered.",
    intent="Ports are scanned, queues are shared, and programs have errors.",
    causes=("the transport looks into frames", "an exception ends the receiving thread", "the line is closed over it"),
    mutants=("crashes-on-garbage",),
)
def malformed_frames(bench: Bench) -> None:
    subject, client, line = bench.subject(), bench.client(), bench.line()
    message = forge.request(f"{subject.name}.echo", {"value": "forged"}, reply=line.address)
    garbage = forge.damaged(forge.sealed(bench.keyring, message))
    bench.did(f"sent {len(garbage)} malformed frames to a service, with a good call after each")
    for number, (what, frame) in enumerate(garbage.items()):
        line.send(subject.name, frame, bench.times.arrive)
        result = client.call(f"{subject.name}.echo", {"value": number})
        bench.expect.equal(result, number, f"the result of the call after: {what}")
    bench.expect.equal(len(subject.seen), len(garbage), "how many handlers ran")
    service = bench.name()
    inbox = bench.inbox(service)
    bench.did("replied malformed frames to a client, with the good answer after them")
    pending = client.send(f"{service}.echo")
    delivery = bench.arrives(inbox)
    good = forge.sealed(bench.keyring, forge.answer(delivery.frame, "good", bench.keyring))
    for frame in (*forge.damaged(good).values(), delivery.frame, good):
        delivery.reply(frame)
    delivery.settle()
    bench.expect.equal(pending.result(bench.times.arrive), "good", "the result among malformed replies")


@rule(
    "ERR-006",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="No traceback and no path of the service's machine crosses to the caller.",
    intent="They help attackers, and belong into the service's log.",
    causes=("errors are formatted with their traceback",),
    mutants=("leaks-traceback",),
)
def no_traceback_crosses(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    source = Subject.on_fail.__code__.co_filename
    for method in ("fail", "typed", "opaque", "exit", "nothing"):
        error = bench.call(client, f"{subject.name}.{method}").error
        text = f"{error!r} {error} {getattr(error, 'fields', '')}"
        for leak in ("Traceback", 'File "', source):
            bench.expect.that(leak not in text, f"no {leak!r} in the error of {method}", text)
    for crossing in bench.trace.snapshot():
        bench.expect.that(source.encode() not in crossing.frame, "no path of the service in a frame", crossing.frame)
