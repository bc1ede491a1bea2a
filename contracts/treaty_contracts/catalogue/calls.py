"""CALL: what a caller gets, on both surfaces. Where timing matters the rule plays the service itself, by hand.

It must not know how frames travel.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import math
from functools import partial
from typing import Any

from hypothesis import strategies as st

from treaty import DeadlineExceeded, UnknownMethod
from treaty_contracts import forge
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed
from treaty_contracts.registry import BOTH, Level, Strength, rule

#: Everything that JSON can carry. Whole numbers stay within 64 bits, as not every JSON reader goes further.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: 0.0 if number == 0 else number)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_AWKWARD: tuple[Any, ...] = (
    None, False, 0, 1, 1.0, -0.5, 2**53 + 1, -(2**63), 1e308, 5e-324, math.pi, "", "\x00", "a\x00b", "é", "✓", "😀",
    "\u2028", "\\", '"', [], {}, [[]], {"": None}, {"id": 1, "jsonrpc": "1.0", "error": {}}, "x" * 70_000,
)  # fmt: skip


@rule(
    "CALL-001",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="The result is the answer to that request, for every value that JSON can carry, of the same type.",
    intent="A library that changes what it carries cannot be debugged from either end.",
    causes=("frames are cut at 64 KiB or at a NUL", "text is encoded twice", "numbers pass through another codec"),
    mutants=("cuts-at-64k", "flips-a-bit"),
    strength=Strength.STOCHASTIC,
)
def results_are_faithful(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()

    def check(value: Any) -> None:
        for method in ("echo", "echo_later"):
            target = f"{subject.name}.{method}"
            bench.expect.equal(bench.result(client, target, {"value": value}), value, f"the result of {target}")

    for value in _AWKWARD:
        check(value)
    bench.each(JSON, check)


@rule(
    "CALL-002",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A call ends exactly once: a second answer to it changes nothing.",
    intent="Transports may deliver twice; programs must not notice.",
    causes=("the answer is matched by order", "a call stays open after its answer"),
    mutants=("answers-twice-differently", "dead"),
)
def ends_once(bench: Bench) -> None:
    service = bench.name()
    inbox, client = bench.inbox(service), bench.client()
    bench.did("answered one call three times, with different results, and another call once")
    ticket = bench.start(client, f"{service}.echo")
    delivery = bench.arrives(inbox)
    answers = [forge.sealed(bench.keyring, forge.answer(delivery.frame, n, bench.keyring)) for n in (1, 2, 3)]
    for answer in (answers[0], *answers):
        delivery.reply(answer)
    delivery.settle()
    bench.expect.equal(bench.end(ticket).value, 1, "the result")
    second = bench.start(client, f"{service}.echo")
    delivery = bench.arrives(inbox)
    delivery.reply(forge.sealed(bench.keyring, forge.answer(delivery.frame, "other", bench.keyring)))
    delivery.settle()
    bench.expect.equal(bench.end(second).value, "other", "the result of the next call")
    bench.expect.equal(client.open_calls, 0, "how many calls are open")


@rule(
    "CALL-003",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="Answers never swap between calls, whatever the order in which they come.",
    intent="Somebody else's answer is worse than none.",
    causes=("answers are matched by order, or by the connection", "ids are not unique across clients"),
    mutants=("swaps-replies", "echoes-to-the-wrong-line"),
    strength=Strength.STOCHASTIC,
)
def answers_never_swap(bench: Bench) -> None:
    service = bench.name()
    inbox = bench.inbox(service)
    clients = [bench.client(), bench.client(), bench.client(transport=bench.open("client"))]
    calls = len(clients) * 2
    bench.did(f"{calls} calls of {len(clients)} clients were open at once, and answered in a drawn order")

    def check(order: list[int]) -> None:
        tickets = [bench.start(clients[number % len(clients)], f"{service}.echo", [number]) for number in range(calls)]
        found = {}
        for _ in range(calls):
            delivery = bench.arrives(inbox)
            found[forge.asked(bench.keyring, delivery.frame).params[0]] = delivery
        bench.expect.equal(sorted(found), list(range(calls)), "the calls that arrive")
        for number in order:
            delivery = found[number]
            delivery.reply(forge.sealed(bench.keyring, forge.answer(delivery.frame, number, bench.keyring)))
            delivery.settle()
        for number, ticket in enumerate(tickets):
            bench.expect.equal(bench.end(ticket).value, number, f"the result of call {number}")

    bench.each(st.permutations(range(calls)), check)


@rule(
    "CALL-004",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A call of a method that a service does not have is UnknownMethod, at once.",
    intent="A typing error should not look like a network problem.",
    causes=("the refusal is dropped on the way back",),
    mutants=("drops-errors",),
)
def unknown_method(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    for method in ("nothing", "on_echo", "setup", "_ping", "__init__", "seen", "echo.value", "Echo", " "):
        ended, took = timed(partial(bench.call, client, f"{subject.name}.{method}"))
        bench.expect.that(
            isinstance(ended.error, UnknownMethod), f"UnknownMethod for {method!r}", f"{ended.value!r}, {ended.error!r}"
        )
        bench.expect.in_time(took, bench.times.slack, f"the refusal of {method!r}")
    bench.expect.equal(subject.seen, [], "the handlers that ran")


@rule(
    "CALL-005",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A call that is not answered ends with DeadlineExceeded at its deadline: not earlier, not much later.",
    intent="The deadline is the one promise that holds when everything else fails.",
    causes=("receive ignores its timeout", "receive returns early and is not called again"),
    mutants=("ignores-timeout", "swallows-requests"),
)
def deadline_is_kept(bench: Bench) -> None:
    service = bench.name()
    bench.inbox(service)
    client = bench.client()
    for timeout in (bench.times.brief / 2, bench.times.brief):
        ended = bench.call(client, f"{service}.echo", timeout=timeout)
        bench.expect.that(isinstance(ended.error, DeadlineExceeded), "DeadlineExceeded", repr(ended.error))
        bench.expect.that(ended.seconds >= timeout * 0.95, f"not before {timeout:g} s", f"{ended.seconds:.3f} s")
        bench.expect.in_time(ended.seconds, timeout + bench.times.slack, f"a call that has {timeout:g} s")


@rule(
    "CALL-006",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="An answer that comes after the deadline never answers a later call.",
    intent="After a slow moment, every answer would be one call late.",
    causes=("answers are matched by order", "what waits in the line is taken for the next answer"),
    mutants=("replays-stale-replies",),
)
def late_answers_are_dropped(bench: Bench) -> None:
    service = bench.name()
    inbox, client = bench.inbox(service), bench.client()
    bench.did("let a call miss its deadline, answered it late, and then answered the next one")
    ended = bench.call(client, f"{service}.echo", timeout=bench.times.brief)
    bench.expect.that(isinstance(ended.error, DeadlineExceeded), "DeadlineExceeded", repr(ended.error))
    late = bench.arrives(inbox)
    late.reply(forge.sealed(bench.keyring, forge.answer(late.frame, "late", bench.keyring)))
    ticket = bench.start(client, f"{service}.echo")
    delivery = bench.arrives(inbox)
    late.reply(forge.sealed(bench.keyring, forge.answer(late.frame, "later still", bench.keyring)))
    delivery.reply(forge.sealed(bench.keyring, forge.answer(delivery.frame, "in time", bench.keyring)))
    bench.expect.equal(bench.end(ticket).value, "in time", "the result of the call after the late one")
    bench.expect.equal(client.open_calls, 0, "how many calls are open")


@rule(
    "CALL-008",
    level=Level.SHOULD,
    sentence="A request that has expired when it is read is not run.",
    intent="Work that nobody waits for delays the work that somebody waits for.",
    causes=("the clocks of the two ends are far apart", "time under way is not counted"),
    mutants=("runs-expired-requests",),
)
def expired_requests_are_not_run(bench: Bench) -> None:
    subject, line = bench.subject(), bench.line()
    for age in (1.5, 3600.0):
        message = forge.request(f"{subject.name}.echo", {"value": age}, reply=line.address, age=age, ttl=1.0)
        line.send(subject.name, forge.sealed(bench.keyring, message), bench.times.arrive)
        answer = forge.opened(bench.keyring, bench.returns(line, "the answer to an expired request"))
        code = answer.error and answer.error.code  # type: ignore[union-attr]  # it is a response
        bench.expect.equal(code, DeadlineExceeded.code, "the error code of the answer")
    bench.expect.equal(subject.seen, [], "the handlers that ran")


@rule(
    "CALL-009",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="Caller and handler share no object that can be changed, even inside one process.",
    intent="What works in one process must not break when it is split into two.",
    causes=("messages are handed over without being written",),
    mutants=("shares-objects",),
)
def nothing_is_shared(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    value = {"list": [1, 2], "changed": False}
    result = bench.result(client, f"{subject.name}.keep", {"value": value})
    bench.expect.equal(value, {"list": [1, 2], "changed": False}, "the caller's parameters after the call")
    result["list"].append(3)
    bench.expect.equal(subject.kept[-1]["list"], [1, 2], "the handler's object after the caller changed the result")


@rule(
    "CALL-010",
    level=Level.MUST,
    surfaces=BOTH,
    requires=("CALL-001",),
    sentence="Status messages reach the call that they are about, in order and before its answer.",
    intent="Progress that jumps back, or belongs to somebody else, is worse than none.",
    causes=("statuses and answers take different ways", "statuses are dropped under load"),
    mutants=("reorders-frames", "one-reply-only", "loses-every-nth"),
)
def statuses_come_in_order(bench: Bench) -> None:
    subject, client = bench.subject(concurrency=2), bench.client()
    counts = [0, 1, bench.profile.burst]
    pendings = [client.send(f"{subject.name}.report", [count]) for count in counts]
    for count, pending in zip(counts, pendings, strict=True):
        bench.expect.equal(pending.result(bench.times.arrive), count, f"the result of report({count})")
        heard = [status.reason for status in pending.statuses()]
        if bench.guarantees.ordered:
            bench.expect.equal(heard, [f"step {number}" for number in range(count)], f"what report({count}) reports")
        else:
            bench.expect.equal(heard, sorted(heard, key=lambda text: int(text.split()[1])), "statuses never go back")
