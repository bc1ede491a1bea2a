"""CALL: what a caller gets, on both surfaces. Where timing matters the rule plays the service itself, by hand.

It must not know how frames travel.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st

from treaty import DeadlineExceeded, Inbox, UnknownMethod
from treaty_contracts import forge, judging
from treaty_contracts.alphabet import CHARACTERS
from treaty_contracts.bench import Bench
from treaty_contracts.registry import BOTH, Level, Strength, rule
from treaty_contracts.surface import Ticket

#: Everything that JSON can carry. Whole numbers stay within 64 bits, as not every JSON reader goes further.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: 0.0 if number == 0 else number)
    | st.text(CHARACTERS, max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS, max_size=8), inner, max_size=4),
    max_leaves=12,
)
#: How many awkward values are under way at once. Whether many calls may be open is for another rule.
_AT_ONCE: Final = 4
_AWKWARD: tuple[Any, ...] = (
    None, False, 0, 1, 1.0, -0.5, 2**53 + 1, -(2**63), 1e308, 5e-324, math.pi, "", "\x00", "a\x00b", "é", "✓", "😀",
    "\u2028", "\\", '"', [], {}, [[]], {"": None}, {"id": 1, "jsonrpc": "1.0", "error": {}},
)  # fmt: skip


@rule(
    "CALL-001",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="The result is the answer to that request, for every value that JSON can carry, of the same type.",
    intent="A library that changes what it carries cannot be debugged from either end.",
    causes=("frames are cut at 64 KiB or at a NUL", "text is encoded twice", "numbers pass through another codec"),
    mutants=("rounds-large-numbers",),
    strength=Strength.STOCHASTIC,
    requires=("SETUP-005", "LINE-001", "LINE-004", "LINE-006"),
)
def results_are_faithful(bench: Bench) -> None:
    subject, client = bench.subject(concurrency=4), bench.client()

    def check_all(values: Sequence[Any]) -> None:
        asked = [(method, value) for value in values for method in ("echo", "echo_later")]
        tickets = [bench.start(client, f"{subject.name}.{method}", {"value": value}) for method, value in asked]
        for (method, value), ticket in zip(asked, tickets, strict=True):
            ended = bench.end(ticket)
            bench.expect.that(ended.error is None, f"{method}: a result", repr(ended.error))
            bench.expect.judged(judging.faithful([(value, ended.value)], f"the result of {method}"))

    # Longer than 16 bits can say, where that may travel at all: the rest of a message is well below four KiB.
    long = "x" * min(70_000, bench.guarantees.max_frame - 4096)
    bench.did(f"had {len(_AWKWARD) + 1} awkward values echoed, a few at once, and then drawn ones")
    for part in range(0, len(_AWKWARD), _AT_ONCE):
        check_all(_AWKWARD[part : part + _AT_ONCE])
    check_all([long])
    bench.each(JSON, lambda value: check_all([value]), trips=2)


@rule(
    "CALL-002",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A call ends exactly once: a second answer to it changes nothing.",
    intent="Transports may deliver twice; programs must not notice.",
    causes=("the answer is matched by order", "a call stays open after its answer"),
    mutants=("keeps-calls-open", "matches-by-order"),
    requires=("LINE-004",),
)
def ends_once(bench: Bench) -> None:
    service = bench.name()
    inbox, client = bench.inbox(service), bench.client()
    bench.did("answered one call three times, with different results, and another call once")
    ticket = bench.start(client, f"{service}.echo")
    delivery = bench.arrives(inbox)
    answers = [forge.sealed(bench.keyring, forge.answer(delivery.frame, n, bench.keyring)) for n in (1, 2, 3)]
    delivery.reply(answers[0])
    # Where order is not kept another answer may overtake the first, which is then the one.
    first = None if bench.guarantees.ordered else bench.end(ticket).value
    for answer in answers:
        delivery.reply(answer)
    delivery.settle()
    bench.expect.equal(first or bench.end(ticket).value, 1, "the result")
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
    mutants=("blocks-the-loop",),
    strength=Strength.STOCHASTIC,
    requires=("SETUP-005", "LINE-002", "LINE-004", "LINE-006"),
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
        got = {f"call {number}": bench.end(ticket).value for number, ticket in enumerate(tickets)}
        mine = {f"call {number}": number for number in range(calls)}
        bench.expect.judged(judging.own(mine, got, "the results of calls"))

    bench.each(st.permutations(range(calls)), check, trips=3)


@rule(
    "CALL-004",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A call of a method that a service does not have is UnknownMethod, at once.",
    intent="A typing error should not look like a network problem.",
    causes=("the refusal is dropped on the way back",),
    mutants=("drops-errors", "ignores-unknown-methods"),
    requires=("LINE-004", "LINE-006"),
)
def unknown_method(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    methods = ("nothing", "on_echo", "setup", "_ping", "__init__", "seen", "echo.value", "Echo", " ")

    def once() -> float:
        tickets = [bench.start(client, f"{subject.name}.{method}") for method in methods]
        ends = [bench.end(ticket) for ticket in tickets]
        for method, ended in zip(methods, ends, strict=True):
            fits = isinstance(ended.error, UnknownMethod)
            bench.expect.that(fits, f"UnknownMethod for {method!r}", f"{ended.value!r}, {ended.error!r}")
        return max(ended.seconds for ended in ends)

    bench.expect.promptly(once, bench.times.slack, "the refusals of unknown methods")
    bench.expect.equal(subject.seen, [], "the handlers that ran")


@rule(
    "CALL-005",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A call that is not answered ends with DeadlineExceeded at its deadline: not earlier, not much later.",
    intent="The deadline is the one promise that holds when everything else fails.",
    causes=("receive ignores its timeout", "receive returns early and is not called again"),
    mutants=("ends-calls-early", "ends-calls-late"),
    requires=("LINE-003", "LINE-004"),
)
def deadline_is_kept(bench: Bench) -> None:
    service, client = bench.name(), bench.client()
    inbox = bench.inbox(service)
    # To connect may take longer than these calls have, and Unavailable is right then.
    _answer(bench, bench.start(client, f"{service}.echo"), inbox, "early")
    timeouts = (bench.times.brief / 2, bench.times.brief)

    def once() -> float:
        tickets = [bench.start(client, f"{service}.echo", timeout=timeout) for timeout in timeouts]
        late = 0.0
        for timeout, ticket in zip(timeouts, tickets, strict=True):
            ended = ticket.wait(timeout + bench.times.arrive)
            bench.expect.that(isinstance(ended.error, DeadlineExceeded), "DeadlineExceeded", repr(ended.error))
            bench.expect.that(ended.seconds >= timeout * 0.95, f"not before {timeout:g} s", f"{ended.seconds:.3f} s")
            late = max(late, ended.seconds - timeout)
        return late

    bench.did("made two calls at once, with different deadlines, to a service that does not answer")
    bench.expect.promptly(once, bench.times.slack, "from the deadline of a call to its end")


def _answer(bench: Bench, ticket: Ticket, inbox: Inbox, value: str) -> None:
    delivery = bench.arrives(inbox)
    delivery.reply(forge.sealed(bench.keyring, forge.answer(delivery.frame, value, bench.keyring)))
    delivery.settle()
    bench.expect.equal(bench.end(ticket).value, value, "the result of a call that is answered in time")


@rule(
    "CALL-006",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="An answer that comes after the deadline never answers a later call.",
    intent="After a slow moment, every answer would be one call late.",
    causes=("answers are matched by order", "what waits in the line is taken for the next answer"),
    mutants=("late-answers-count",),
    requires=("LINE-003", "CALL-002"),
)
def late_answers_are_dropped(bench: Bench) -> None:
    service = bench.name()
    inbox, client = bench.inbox(service), bench.client()
    bench.did("answered a call in time, let one miss its deadline, answered it late, and then answered the next one")
    _answer(bench, bench.start(client, f"{service}.echo"), inbox, "early")
    # How late it ends is another question.
    missed = bench.start(client, f"{service}.echo", timeout=bench.times.brief / 2)
    ended = missed.wait(bench.times.arrive)
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
    requires=("CALL-004",),
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
    requires=("LINE-008", "CALL-001"),
    sentence="Status messages reach the call that they are about, in order and before its answer.",
    intent="Progress that jumps back, or belongs to somebody else, is worse than none.",
    causes=("statuses and answers take different ways", "statuses are dropped under load"),
    mutants=("reverses-statuses",),
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
        elif heard:
            bench.expect.judged(judging.never_back([int(text.split()[1]) for text in heard], "statuses"))


@rule(
    "CALL-011",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="What comes after the answer of a call changes nothing: no status of it is heard any more.",
    intent="A call that is over must not come back to life.",
    causes=("a call stays open after its answer", "statuses are matched by order"),
    mutants=("hears-late-statuses",),
    requires=("LINE-004", "CALL-002"),
)
def nothing_after_the_answer(bench: Bench) -> None:
    service = bench.name()
    inbox, client = bench.inbox(service), bench.client()
    bench.did("answered one call, sent a status about it, and answered another one")
    pending = client.send(f"{service}.echo")
    first = bench.arrives(inbox)
    first.reply(forge.sealed(bench.keyring, forge.answer(first.frame, "answer", bench.keyring)))
    bench.expect.equal(pending.result(bench.times.arrive), "answer", "the result")
    for frame in (
        forge.news(first.frame, "too late", bench.keyring),
        forge.answer(first.frame, "again", bench.keyring),
    ):
        first.reply(forge.sealed(bench.keyring, frame))
    ticket = bench.start(client, f"{service}.echo")
    second = bench.arrives(inbox)
    second.reply(forge.sealed(bench.keyring, forge.answer(second.frame, "second", bench.keyring)))
    bench.expect.equal(bench.end(ticket).value, "second", "the result of the next call")
    bench.expect.equal([status.reason for status in pending.statuses()], [], "the statuses of the first call")
    bench.expect.equal(pending.result(0), "answer", "the result of the first call, asked for again")
