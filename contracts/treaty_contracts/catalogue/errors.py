"""ERR: what goes wrong arrives as what it is, and harms nobody else.

It must not know how frames travel.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from treaty import (
    ClosedError,
    FrameTooLarge,
    InvalidParams,
    InvalidResult,
    InvalidTarget,
    RemoteError,
    Transport,
    Unsupported,
)
from treaty_contracts import forge, judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.registry import BOTH, Level, rule
from treaty_contracts.subject import SampleError, Subject

#: Seconds, more than thirty years: what does not fit into the number of milliseconds of a poll.
_HUGE: Final = 1e9


@rule(
    "ERR-001",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="An error keeps its class where it is registered, and its type, text and fields where it is not.",
    intent="Callers decide by the class of an error, and people by its text.",
    causes=("errors are turned into text on the way",),
    mutants=("answers-with-the-traceback", "forgets-registered-errors"),
    requires=("SETUP-003", "INBOX-001", "CALL-004"),
)
def errors_keep_their_type(bench: Bench) -> None:
    # A service for each error: whether one survives what it raises is for another rule.
    subject, client, another = bench.subject(), bench.client(), bench.subject()
    sample = {"text": "none of the blue ones", "left": 3, "tags": ["a", "ü"]}
    registered: Any = bench.call(client, f"{subject.name}.typed", sample).error
    bench.expect.equal(type(registered), SampleError, "the class of a registered error")
    bench.expect.equal((str(registered), registered.left), ("none of the blue ones", 3), "its text and one field")
    bench.expect.equal(registered.tags, ["a", "ü"], "the other field")
    other: Any = bench.call(client, f"{another.name}.fail", {"text": "no such thing"}).error
    bench.expect.equal(type(other), RemoteError, "the class of an error that nobody registered")
    bench.expect.equal((other.type, other.text), ("LookupError", "no such thing"), "its type and text")
    bench.expect.that(other.error_id, "an id under which the service logged it", repr(other.error_id))
    strict = bench.subject()
    for params, culprit in (({"value": 1, "size": 2}, "size"), ([1, 2, 3], "3"), ({"valu": 1}, "valu")):
        wrong = bench.call(client, f"{strict.name}.echo", params).error
        bench.expect.that(isinstance(wrong, InvalidParams), f"InvalidParams for {params!r}", repr(wrong))
        bench.expect.that(culprit in str(wrong), f"a text that names {culprit!r}", str(wrong))


@rule(
    "ERR-002",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A handler that raises, or tries to end the process, does not stop the service.",
    intent="One bad request must not take a service away from everybody.",
    causes=("the receiving thread ends with the exception", "the delivery is not settled, and its place is lost"),
    mutants=("dies-on-raise", "exits-with-a-handler"),
    requires=("CALL-004",),
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
    mutants=("opaque-becomes-null",),
    requires=("CALL-004",),
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
    mutants=("crashes-on-garbage", "accepts-any-request", "runs-before-it-checks"),
    requires=("LINE-001", "LINE-004", "LINE-007", "INBOX-001", "INBOX-004"),
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
    mutants=("leaks-traceback", "answers-with-the-traceback"),
    requires=("ERR-002",),
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


@rule(
    "ERR-008",
    level=Level.MUST,
    sentence="Whatever is raised is one of treaty's errors, raised from the error of the library that it stems from.",
    intent="Who catches the errors of one transport must not have to know the library below it.",
    causes=(
        "a call of the library is made outside the place where its errors are translated",
        "a timeout does not fit into what the library takes",
        "raise without from",
    ),
    mutants=("foreign-error-for-huge-timeouts", "foreign-error-after-close"),
    requires=("LINE-003", "LINE-005", "LINE-010", "LINE-012", "INBOX-006"),
)
def no_foreign_errors(bench: Bench) -> None:
    near, far = bench.open("client"), bench.open("service")
    service, channel = bench.name(), bench.name("c")
    line, inbox = near.dial(), far.serve(service, 1)
    line.send(service, b"held", bench.times.arrive)
    held = bench.arrives(inbox)
    over = bytes(bench.guarantees.max_frame + 1)
    uses: dict[str, Callable[[], object]] = {
        "send, in thirty years": lambda: line.send(service, b"x", _HUGE),
        "send to nobody": lambda: line.send(bench.name(), b"x", 0),
        "send to nobody, in no hurry": lambda: line.send(bench.name(), b"x", bench.times.brief / 4),
        "receive of what came back": lambda: line.receive(bench.times.brief / 4),
        "receive after that": lambda: line.receive(0),
        "send, too large": lambda: line.send(service, over, _HUGE),
        "reply, too large": lambda: held.reply(over),
        "publish, too large": lambda: far.publish(channel, over),
        "publish": lambda: far.publish(channel, b"x"),
        "subscribe": lambda: near.subscribe(channel).receive(0),
    }
    for name in ("", "a.b", "A", "a" * 300, "\x00", "*", "\ud800"):
        uses[f"send to {name[:8]!r}"] = partial(line.send, name, b"x", 0)
        uses[f"serve {name[:8]!r}"] = partial(far.serve, name, 1)
        uses[f"publish on {name[:8]!r}"] = partial(far.publish, name, b"x")
        uses[f"subscribe to {name[:8]!r}"] = partial(near.subscribe, name)
    bench.did("used everything as programs should not: too large, misnamed, for nobody, for thirty years, after close")
    raised = {what: _error(use) for what, use in uses.items()}
    receives: dict[str, Callable[[float], object]] = {"line": line.receive, "inbox": inbox.receive}
    blocked = {name: Aside(partial(receive, _HUGE)) for name, receive in receives.items()}
    for waiting in blocked.values():
        waiting.begun.wait(bench.times.arrive)
    line.close()
    inbox.close()
    raised |= {f"a blocked receive of the {name}": one.error(bench.times.arrive) for name, one in blocked.items()}
    raised |= {f"{what}, after close of the end": _error(use) for what, use in uses.items()}
    near.close()
    far.close()
    raised |= {f"{what}, after close of all": _error(use) for what, use in uses.items()}
    for verb in (True, False):
        raised[f"settle({verb}) after close"] = _error(partial(held.settle, verb))
    bench.expect.judged(judging.typed(raised, "what is raised"))


@rule(
    "ERR-009",
    level=Level.MUST,
    requires=("LINE-010", "LINE-012"),
    sentence="Where two things are wrong at once, the one that stands further up in the table of errors is raised.",
    intent="What a program is told must not depend on which check a transport happens to make first.",
    causes=("the size is looked at before the name", "what is not supported is refused before the end is looked at"),
    mutants=("checks-size-first", "foreign-error-after-close"),
)
def order_of_errors(bench: Bench) -> None:
    near, far = bench.open("client"), bench.open("service")
    service = bench.name()
    line, inbox = near.dial(), far.serve(service, 1)
    line.send(service, b"held", bench.times.arrive)
    held = bench.arrives(inbox)
    over = bytes(bench.guarantees.max_frame + 1)
    everything: dict[str, Callable[[], object]] = {
        "send": lambda: line.send("a.b", over, 0),
        "serve": lambda: far.serve("a.b", 1),
        "publish": lambda: far.publish("a.b", over),
        "subscribe": lambda: near.subscribe("a.b"),
    }
    bench.did("used names that are none with frames that are too large: while all was open, and after close")
    for what, use in everything.items():
        bench.expect.raises(InvalidTarget, use, f"{what} with a wrong name and too large a frame")
    bench.expect.raises(FrameTooLarge, lambda: line.send(bench.name(), over, 0), "send of too large a frame to nobody")
    large = FrameTooLarge if bench.guarantees.notifications else (FrameTooLarge, Unsupported)
    bench.expect.raises(large, lambda: far.publish(bench.name("c"), over), "publish of too large a frame to nobody")
    _all_closed(bench, everything, near, far)
    bench.expect.raises(ClosedError, lambda: held.reply(over), "reply of too large a frame after close")


def _all_closed(bench: Bench, uses: dict[str, Callable[[], object]], *transports: Transport) -> None:
    for transport in transports:
        transport.close()
    for what, use in uses.items():
        bench.expect.raises(ClosedError, use, f"{what} with a wrong name and too large a frame, after close")


def _error(use: Callable[[], object]) -> BaseException | None:
    try:
        use()
    except Exception as raised:  # whatever it is, it is what is judged
        return raised
    return None
