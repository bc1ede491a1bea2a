"""LINE and CALL: what is too large, and what nobody serves. Both must end typed, and leave the line usable.

It must not know how large any particular transport's frames may be: it asks the declaration.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import time
from typing import Final

from treaty import DeadlineExceeded, FrameTooLarge, Line, RemoteError, Unavailable
from treaty.sealing import MAX_FRAME
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed
from treaty_contracts.registry import BOTH, Level, rule

#: Larger than any buffer on the way, and smaller than most limits.
_MEDIUM: Final = 1024 * 1024 + 7


@rule(
    "LINE-012",
    level=Level.MUST,
    sentence="max_frame bytes of any kind travel both ways; one byte more is FrameTooLarge, and the line stays usable.",
    intent="The core plans with the declared limit; a frame that vanishes there is a call that never ends.",
    causes=(
        "a limit of the library or the broker is lower than what is declared",
        "the limit is not checked",
        "the connection is broken by the attempt",
    ),
    mutants=("lies-about-max-frame", "no-size-check", "poisoned-by-size"),
)
def frame_limit(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    limit = bench.guarantees.max_frame
    bench.did(f"sent and replied {limit:,} bytes, drawn ones and zeros, and tried one more")
    bench.round_trip(line, inbox, service, bench.random.randbytes(min(_MEDIUM, limit)))
    bench.round_trip(line, inbox, service, bench.random.randbytes(limit))
    largest = bytes(limit)
    bench.round_trip(line, inbox, service, largest)
    over = largest + b"x"
    bench.expect.raises(FrameTooLarge, lambda: line.send(service, over, bench.times.arrive), "send, one byte over")
    line.send(service, b"small", bench.times.arrive)
    delivery = bench.arrives(inbox)
    bench.expect.equal(delivery.frame, b"small", "what arrives after the attempt")
    bench.expect.raises(FrameTooLarge, lambda: delivery.reply(over), "reply, one byte over")
    if bench.guarantees.notifications:
        publish = bench.transport("service").publish
        bench.expect.raises(FrameTooLarge, lambda: publish(bench.name("c"), over), "publish, one byte over")
    delivery.reply(b"small")
    delivery.settle()
    bench.expect.equal(bench.returns(line), b"small", "what comes back after the attempt")


@rule(
    "LINE-013",
    level=Level.MUST,
    needs=("notices_absence",),
    sentence="A frame for a service that nobody serves comes back as Unavailable in the declared time, and is the one.",
    intent="A caller that is told can try elsewhere; and it must be told about the right call.",
    causes=("the library drops what it cannot route", "the error does not carry the frame", "retrying for too long"),
    mutants=("lies-about-absence", "returns-the-wrong-frame"),
)
def absence_is_noticed(bench: Bench) -> None:
    absence = bench.guarantees.notices_absence
    assert absence is not None
    limit = absence * bench.target.time_scale + bench.times.slack
    nobody = bench.line()
    bench.did("sent a frame where nobody serves anything")
    _comes_back(bench, nobody, bench.name(), b"x" * 60 + b" for nobody", limit)
    bench.did("sent a frame for a service that is not there, beside one that is")
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    line.send(service, b"for somebody", bench.times.arrive)
    _comes_back(bench, line, bench.name(), b"y" * 60 + b" for nobody", limit)
    delivery = bench.arrives(inbox)
    bench.expect.equal(delivery.frame, b"for somebody", "what arrives at the service that is there")
    delivery.reply(b"answer")
    delivery.settle()
    bench.expect.equal(bench.returns(line), b"answer", "what the line gets after a frame came back")


def _comes_back(bench: Bench, line: Line, service: str, frame: bytes, limit: float) -> None:
    started = time.monotonic()
    at_once = False
    try:
        line.send(service, frame, limit)
        at_once = True
        got = line.receive(limit)
    except Unavailable as error:
        took = time.monotonic() - started
        bench.expect.in_time(took, limit, "until the frame is known to be undeliverable")
        if at_once:
            back = error.frame or b""
            fits = len(back) >= 60 and frame.startswith(back)
            bench.expect.that(fits, f"the frame that came back, or its first 64 bytes: {frame[:64]!r}", error.frame)
        return
    bench.expect.never(f"Unavailable in {limit:.2f} s", f"send returned, receive returned {got!r}")


@rule(
    "CALL-007",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A request or a result over the size limit is FrameTooLarge at the caller, and the next call works.",
    intent="Nobody should learn about a limit from a call that never ends.",
    causes=("the frame is dropped below the core", "the attempt leaves the connection in an odd state"),
    mutants=("swallows-frame-too-large", "poisoned-by-size"),
)
def size_limit(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    size = min(MAX_FRAME, bench.guarantees.max_frame)
    bench.did(f"sent parameters of {size:,} characters, then asked for a result of as many")
    ended = bench.call(client, f"{subject.name}.echo", {"value": "x" * size})
    bench.expect.that(isinstance(ended.error, FrameTooLarge), "FrameTooLarge for the request", repr(ended.error))
    ended = bench.call(client, f"{subject.name}.large", {"size": size})
    bench.expect.that(isinstance(ended.error, FrameTooLarge), "FrameTooLarge for the result", repr(ended.error))
    bench.expect.equal(bench.result(client, f"{subject.name}.echo", {"value": 1}), 1, "the result of the next call")
    bench.expect.equal([name for name, _ in subject.seen], ["large", "echo"], "the handlers that ran")


@rule(
    "ERR-004",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="What the transport could not do and what the service answered are errors of different classes.",
    intent="Who asks again after an answer runs things twice; who does not after a lost frame loses them.",
    causes=("everything becomes one error", "absence is reported as an answer"),
    mutants=("merges-errors",),
)
def failures_are_told_apart(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    answered = bench.call(client, f"{subject.name}.fail", {"text": "no"}).error
    bench.expect.that(isinstance(answered, RemoteError), "RemoteError for what a handler raised", repr(answered))
    absence = bench.guarantees.notices_absence
    timeout = bench.times.brief if absence is None else absence * bench.target.time_scale + bench.times.slack
    wanted = DeadlineExceeded if absence is None else Unavailable
    ended, took = timed(lambda: bench.call(client, f"{bench.name()}.echo", timeout=timeout))
    bench.expect.that(isinstance(ended.error, wanted), f"{wanted.__name__} for an absent service", repr(ended.error))
    bench.expect.in_time(took, timeout + bench.times.slack, "a call to an absent service")
