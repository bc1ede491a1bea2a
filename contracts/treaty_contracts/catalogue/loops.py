"""ASYNC: what awaiting adds to calling. One client serves both; these rules hold them against each other.

It must not know how frames travel.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import asyncio
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from itertools import pairwise
from typing import Any, Final

from hypothesis import strategies as st

from treaty import Cancelled, Client, Delivery, Inbox
from treaty_contracts import forge, judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import until
from treaty_contracts.registry import BOTH, Level, Strength, rule
from treaty_contracts.surface import Blocking, Ended, OnLoop, Ticket

_KINDS: Final[tuple[tuple[str, Any], ...]] = (
    ("fail", {"text": "x"}), ("typed", {"text": "x", "left": 1, "tags": []}), ("opaque", {}), ("nothing", {}),
    ("echo", {"wrong": 1}), ("echo", [1, 2]), ("report", [3]),
)  # fmt: skip
#: What a plan is made of: a method and its parameters.
_STEPS = st.one_of(
    st.tuples(st.sampled_from(["echo", "echo_later"]), st.integers(0, 9).map(lambda n: {"value": n})),
    st.sampled_from(_KINDS),
)

#: Seconds for which a loop may stand still, on any scale.
_GAP: Final = 0.1
#: How often it is looked at before a loop is said to stand still: a busy machine may hold one up for as long.
_LOOKS: Final = 8
#: How many calls each user of a shared client makes, and how many of them at once.
_SHARE, _AT_ONCE = 9, 3


@rule(
    "ASYNC-001",
    level=Level.MUST,
    requires=("LINE-007", "CALL-001", "CALL-004", "CALL-010", "ERR-001", "ERR-002"),
    sentence="The blocking and the asyncio surface come to the same ends for the same plan of calls.",
    intent="Two surfaces that drift apart are two libraries.",
    causes=("one of the two takes another way through the transport",),
    mutants=("awaiting-forgets-after-news",),
    strength=Strength.STOCHASTIC,
)
def surfaces_agree(bench: Bench) -> None:
    subject, client = bench.subject(concurrency=4), bench.client()
    blocking, on_loop = Blocking(), OnLoop()
    bench.keep(on_loop)

    def check(plan: list[tuple[str, Any]]) -> None:
        ends = []
        for surface in (blocking, on_loop):
            tickets = [surface.start(client, f"{subject.name}.{method}", params) for method, params in plan]
            ends.append([_comparable(bench.end(ticket)) for ticket in tickets])
        bench.expect.equal(ends[1], ends[0], "how the calls end on the asyncio surface")

    # One plan with something of everything, so that nothing plain is left to chance.
    check([*_KINDS, ("echo_later", {"value": 1})])
    bench.each(st.lists(_STEPS, min_size=1, max_size=6), check, trips=4)


@rule(
    "ASYNC-002",
    level=Level.MUST,
    sentence="A call that is cancelled ends with Cancelled, gives its place free, and its late answer is dropped.",
    intent="Who gives up must not pay for it, nor get the answer later instead of another one.",
    causes=("answers are matched by order",),
    mutants=("cancelling-leaks", "blocks-the-loop"),
    requires=("LINE-006", "CALL-002", "CALL-006"),
)
def cancelling(bench: Bench) -> None:
    service = bench.name()
    inbox, client = bench.inbox(service), bench.client()
    on_loop = bench.keep(OnLoop())
    bench.did("cancelled a call from a thread and another one by its task, and answered both late")
    pending = client.send(f"{service}.echo")
    first = bench.arrives(inbox)
    bench.expect.that(pending.cancel(), "cancel() of an open call says that it was open", "it says no")
    bench.expect.raises(Cancelled, lambda: pending.result(bench.times.arrive), "the result of a cancelled call")
    task = on_loop.run(_call(client, f"{service}.echo"))
    second = _request(bench, inbox)
    task.cancel()
    freed = until(lambda: client.open_calls == 0, bench.times.slack)
    bench.expect.that(freed, "no open call after both were cancelled", client.open_calls)
    last = client.send(f"{service}.echo")
    third = _request(bench, inbox)
    for delivery, value in ((first, "late"), (second, "late"), (third, "in time")):
        delivery.reply(forge.sealed(bench.keyring, forge.answer(delivery.frame, value, bench.keyring)))
    bench.expect.equal(last.result(bench.times.arrive), "in time", "the result of the call after those")
    bench.expect.equal(client.open_calls, 0, "how many calls are open")


@rule(
    "ASYNC-003",
    level=Level.MUST,
    sentence="Awaiting calls never blocks the event loop: not to a busy service, and not to an absent one.",
    intent="Everything else in the program stands still while its loop does.",
    causes=("send with a timeout of 0 waits for a connection or a lock", "dialling is done on the loop"),
    mutants=("blocks-the-loop",),
    strength=Strength.STOCHASTIC,
    requires=("LINE-004", "LINE-013"),
)
def loop_is_never_blocked(bench: Bench) -> None:
    service = bench.name()
    bench.inbox(service)
    on_loop = bench.keep(OnLoop())
    bench.did("awaited calls to a silent service and to an absent one, while a clock ticked on the loop; several times")
    # The machine itself may hold a loop up; and one that stands still for a whole call must show.
    allowed = max(bench.times.slack / 8, _GAP)
    for target in (f"{service}.echo", f"{bench.name()}.echo"):

        def once(target: str = target) -> float:
            client = bench.client(transport=bench.open("client"))
            running = on_loop.run(_longest_gap(client, target, allowed * 3))
            try:
                found: tuple[float, int] = running.result(bench.times.arrive)
            except NotYet:
                bench.expect.never("the loop goes on, and all calls end", f"not in {bench.times.arrive:g} s")
            gap, ends = found
            bench.expect.equal(ends, 8, f"how many calls of {target} end with an error")
            return gap

        bench.expect.promptly(once, allowed, "the longest time for which the loop stood still", tries=_LOOKS)


@rule(
    "ASYNC-004",
    level=Level.MUST,
    sentence="One client serves several threads and several event loops, at the same time and one after the other.",
    intent="A web application holds one client for its whole life, and servers have loops and threads at will.",
    causes=("something is bound to the loop or the thread that used it first",),
    mutants=("belongs-to-a-loop",),
    strength=Strength.STOCHASTIC,
    requires=("SETUP-005", "LINE-004", "LINE-006"),
)
def loops_and_threads_share(bench: Bench) -> None:
    subject, client = bench.subject(concurrency=2), bench.client()
    target = f"{subject.name}.echo"
    bench.did("two loops and two threads shared a client, and then another loop used it")

    def in_thread(start: int) -> list[Any]:
        return [client.call(target, [number]) for number in range(start, start + _SHARE)]

    def in_loop(start: int) -> list[Any]:
        return asyncio.run(_gather(client, target, start))

    users = [Aside(partial(use, start)) for start, use in
             ((0, in_thread), (100, in_loop), (200, in_thread), (300, in_loop))]  # fmt: skip
    mine = {f"user {number}": list(range(number * 100, number * 100 + _SHARE)) for number in range(len(users))}
    got = {f"user {number}": user.result(bench.times.arrive * 2) for number, user in enumerate(users)}
    bench.expect.judged(judging.own(mine, got, "what the users get"))
    bench.expect.equal(
        Aside(lambda: in_loop(7)).result(bench.times.arrive * 2), list(range(7, 7 + _SHARE)), "a later loop"
    )


@rule(
    "ASYNC-005",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="Many calls may be open on one client at once, and each one ends with its own result.",
    intent="A client is shared by everything in a program.",
    causes=("the transport runs out of room and drops", "answers are matched by order"),
    mutants=("few-open-calls",),
    requires=("SETUP-005", "LINE-004", "LINE-006", "CALL-003"),
)
def many_open_calls(bench: Bench) -> None:
    service, numbers = bench.name(), range(bench.profile.burst * 2)
    inbox, client = bench.inbox(service, capacity=10_000), bench.client()
    bench.did(f"{len(numbers)} calls were open at once: none was answered before all had arrived")
    tickets = [bench.start(client, f"{service}.echo", [number]) for number in numbers]
    asked = {}
    for arrived in numbers:
        delivery = _request_or_end(bench, inbox, tickets)
        bench.expect.that(delivery is not None, f"{len(numbers)} open calls", _refused(tickets, arrived))
        assert delivery is not None
        asked[forge.asked(bench.keyring, delivery.frame).params[0]] = delivery
    for number, delivery in asked.items():
        delivery.reply(forge.sealed(bench.keyring, forge.answer(delivery.frame, number, bench.keyring)))
        delivery.settle()
    ends = {f"call {number}": bench.end(ticket) for number, ticket in zip(numbers, tickets, strict=True)}
    got = {call: ended.value if ended.error is None else repr(ended.error) for call, ended in ends.items()}
    mine = {f"call {number}": number for number in numbers}
    bench.expect.judged(judging.own(mine, got, "how calls end"))


def _request_or_end(bench: Bench, inbox: Inbox, tickets: list[Ticket]) -> Delivery | None:
    """Return the next request; nothing if a call is over instead, though none was answered, or if none comes."""
    found: list[Delivery] = []

    def look() -> bool:
        delivery = inbox.receive(0.02)
        if delivery is not None and delivery.redelivered and bench.guarantees.redelivers:
            delivery.settle()
        elif delivery is not None:
            found.append(delivery)
        return bool(found) or any(ticket.done for ticket in tickets)

    until(look, bench.times.arrive)
    return found[0] if found else None


def _refused(tickets: list[Ticket], arrived: int) -> str:
    errors = [repr(ticket.wait(0).error) for ticket in tickets if ticket.done]
    return f"{arrived} arrived, and {len(errors)} calls ended before any was answered: {', '.join(errors[:1])}"


def _request(bench: Bench, inbox: Any) -> Any:
    """Return the next request; what cancels an earlier one is settled on the way."""
    while True:
        delivery = bench.arrives(inbox, "a request")
        if delivery.frame[3:4] == b"q":
            return delivery
        delivery.settle()


def _comparable(ended: Ended) -> tuple[Any, str, str]:
    """Return what must be equal: error ids differ from call to call."""
    error = ended.error
    return ended.value, type(error).__name__, str(getattr(error, "text", error))


async def _call(client: Client, target: str) -> Any:
    return await client.send(target)


async def _gather(client: Client, target: str, start: int) -> list[Any]:
    found: list[Any] = []
    for first in range(start, start + _SHARE, _AT_ONCE):
        found += await asyncio.gather(*(_echo(client, target, number) for number in range(first, first + _AT_ONCE)))
    return found


async def _echo(client: Client, target: str, number: int) -> Any:
    return await client.send(target, [number])


async def _longest_gap(client: Client, target: str, seconds: float) -> tuple[float, int]:
    """Await eight calls; return for how long the loop stood still at most, and how many calls ended with an error."""
    loop = asyncio.get_running_loop()
    ticks = [loop.time()]

    def tick() -> None:
        ticks.append(loop.time())
        handle[0] = loop.call_later(0.005, tick)

    handle = [loop.call_later(0.005, tick)]
    calls = [client.send(target, timeout=seconds) for _ in range(8)]
    ends = await asyncio.gather(*(pending.replied() for pending in calls), return_exceptions=True)
    handle[0].cancel()
    ticks.append(loop.time())
    gap = max(after - before for before, after in pairwise(ticks))
    return gap, sum(isinstance(end, Exception) for end in ends)
