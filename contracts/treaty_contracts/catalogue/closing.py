"""LIFE: close, whatever other threads are doing at that moment.

These rules use ends without a client or service. They must not know what a transport locks.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from threading import Semaphore
from typing import Final

from treaty import ClosedError, Inbox, Transport
from treaty_contracts import judging
from treaty_contracts.aside import Again, Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import until
from treaty_contracts.holdings import held, held_beside
from treaty_contracts.registry import Level, Strength, rule

#: How often something was done by a thread that is in the midst of it.
_BUSY: Final = 3
#: How much of what such a thread sent may be on its way.
_UNDER_WAY: Final = 16


@rule(
    "LIFE-019",
    level=Level.MUST,
    requires=("LINE-007", "LIFE-001", "LIFE-003", "LIFE-004", "LIFE-008"),
    strength=Strength.STOCHASTIC,
    sentence="``close`` may meet any use in another thread: that ends with ClosedError, and nothing is left of it.",
    intent="A program that stops does not know what its threads are doing.",
    causes=(
        "what is opened while the transport closes is closed by nobody",
        "something is taken away from a thread that is using it",
        "close and a use take two locks in different orders",
    ),
    mutants=("opens-while-closing", "close-unsubscribes-all"),
)
def close_meets_every_use(bench: Bench) -> None:
    bench.did("closed two transports while threads sent, replied, received, published, dialled, served and subscribed")
    bench.transport("service")  # opened once now: whoever asks for the guarantees opens it, and it may hold something
    before = held()
    for _ in range(max(1, bench.profile.rounds // 2)):
        near, far = bench.open("client"), bench.open("service")
        users = {name: Again(use) for name, use in _uses(bench, near, far).items()}
        for _ in range(2):  # once all have begun, each has seen what all the others do
            goals = {name: one.times + _BUSY for name, one in users.items()}
            until(partial(_all_at, users, goals), bench.times.arrive)
            idle = [name for name, one in users.items() if one.over or one.times < goals[name]]
            bench.expect.equal(idle, [], "what does not go on while nothing is closed")
        closing = [Aside(transport.close) for transport in (near, far)]
        for one in closing:
            one.result(bench.times.arrive)
        for name, user in users.items():
            error = user.end(bench.times.arrive)
            bench.expect.that(isinstance(error, ClosedError), f"{name}: ClosedError when close meets it", repr(error))
    left = held_beside(before, bench.times.arrive / 2)
    bench.expect.judged(judging.nothing_new(before, left, "after close in the midst of everything"))


def _all_at(users: Mapping[str, Again], goals: Mapping[str, int]) -> bool:
    return all(one.times >= goals[name] or one.over for name, one in users.items())


def _uses(bench: Bench, near: Transport, far: Transport) -> dict[str, Callable[[], object]]:
    """Return what threads do until all is closed. Whatever is sent is read as well, so that nothing piles up."""
    service, channel, brief = bench.name(), bench.name("c"), bench.times.brief
    line, inbox = near.dial(), far.serve(service, 10)
    line.send(service, b"held", bench.times.arrive)
    held = bench.arrives(inbox)

    def take(end: Inbox) -> bool:
        if delivery := end.receive(brief):
            delivery.settle()
        return delivery is not None

    send, take_request = _in_step(lambda: line.send(service, b"x", brief), lambda: take(inbox), brief)
    reply, take_reply = _in_step(lambda: held.reply(b"x"), lambda: line.receive(brief) is not None, brief)
    uses: dict[str, Callable[[], object]] = {
        "send": send,
        "receive at a line": take_reply,
        "receive at an inbox": take_request,
        "reply": reply,
        "dial": lambda: near.dial().close(),
        "serve": lambda: far.serve(bench.name(), 1).close(),
    }
    if bench.guarantees.notifications:
        feed = near.subscribe(channel)
        publish, take_notification = _in_step(lambda: far.publish(channel, b"x"), lambda: take(feed), brief)
        uses["publish"] = publish
        uses["receive of a subscription"] = take_notification
        uses["subscribe"] = lambda: near.subscribe(channel).close()
    return uses


def _in_step(
    give: Callable[[], object], take: Callable[[], bool], patience: float
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Hold back who gives while much is on its way: a broker that is flooded by one answers nobody in time, and whoever
    measures at the same time takes that for a fault. What never comes is not waited for in earnest.
    """
    room = Semaphore(_UNDER_WAY)

    def giving() -> None:
        room.acquire(timeout=patience)
        give()

    def taking() -> None:
        if take():
            room.release()

    return giving, taking
