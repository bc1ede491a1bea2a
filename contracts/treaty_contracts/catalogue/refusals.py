"""LIFE: what a refusal leaves behind at an end that stays open.

This rule uses ends without a client or service. It must not know why anything is refused.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from treaty import Line, Transport, Unavailable
from treaty_contracts import judging
from treaty_contracts.bench import Bench
from treaty_contracts.holdings import held, held_beside
from treaty_contracts.registry import Level, rule

#: No plain token, whatever the transport makes of it.
_NO_NAME: Final = "No Name"
#: How many frames are sent at most to find out whether a queue has a bound, and how large they are: a broker that takes
#: all is not to be flooded.
_MOST: Final = 4_000
_PIECE: Final = bytes(4096)


@rule(
    "LIFE-027",
    level=Level.MUST,
    sentence="What is refused, or has nobody to go to, leaves no thread and no descriptor.",
    intent="A program that makes the same mistake all day must not die of it in the evening.",
    causes=(
        "what was opened for a request is closed only where that goes well",
        "a connection is made for each attempt, and kept",
    ),
    mutants=(
        "keeps-one-for-each-bad-name",
        "keeps-one-for-each-full-queue",
        "keeps-one-for-each-large-frame",
        "keeps-one-for-each-who-has-gone",
    ),
    requires=("LINE-010", "LINE-012", "LIFE-004", "LIFE-008", "LINE-003"),
)
def refusals_leave_nothing(bench: Bench) -> None:
    near, far = bench.open("client"), bench.open("service")
    service, absent, large = bench.name(), bench.name(), bytes(far.guarantees.max_frame + 1)
    line, inbox = near.dial(), far.serve(service, 9)
    line.send(service, b"ask", bench.times.arrive)
    delivery = bench.arrives(inbox)
    with near.dial() as gone:
        gone.send(service, b"ask and go", bench.times.arrive)
        unheard = bench.arrives(inbox)
    uses: list[Callable[[], object]] = [
        lambda: unheard.reply(b"x"),
        lambda: line.send(_NO_NAME, b"x", bench.times.brief),
        lambda: line.send(service, large, bench.times.brief),
        lambda: line.send(absent, b"x", bench.times.brief),
        lambda: line.receive(0),  # where a frame that nobody took comes back
        lambda: delivery.reply(large),
        lambda: far.serve(_NO_NAME, 1),
    ]
    if far.guarantees.notifications:
        uses += [
            lambda: near.subscribe(_NO_NAME),
            lambda: far.publish(_NO_NAME, b"x"),
            lambda: far.publish(bench.name("c"), large),
        ]

    bench.did(f"tried {len(uses)} things that come to nothing: once to warm up, then a few times between two looks")
    _leave_nothing(bench, uses, "after what was refused, while all is open")
    _crowd(bench, near.dial(), far)


def _crowd(bench: Bench, line: Line, far: Transport) -> None:
    """See that requests that find no room leave nothing, where it does not take too many until there is none."""
    service = bench.name()
    inbox = far.serve(service, 1)
    if _filled(bench, line, service):
        bench.did("filled the queue of a service, and tried to send it more")
        uses: list[Callable[[], object]] = [
            lambda: line.send(service, _PIECE, 0),
            lambda: line.send(service, _PIECE, bench.times.brief / 4),
            lambda: line.receive(0),
        ]
        _leave_nothing(bench, uses, "after what found no room, while all is open")
    # It may be kept where the queue outlives its inbox; but each one may be slow to come.
    end = time.monotonic() + bench.times.arrive
    while time.monotonic() < end and (came := inbox.receive(bench.times.quiet)) is not None:
        came.settle()


def _filled(bench: Bench, line: Line, service: str) -> bool:
    """Send until there is no room, and return whether it came to that: a bound may be too large for the time there is."""
    line.send(service, _PIECE, bench.times.arrive)
    end = time.monotonic() + bench.times.slack
    for _ in range(_MOST):
        try:
            line.send(service, _PIECE, bench.times.brief / 10)
        except Unavailable:
            return True
        if time.monotonic() > end:
            break
    return False


def _leave_nothing(bench: Bench, uses: list[Callable[[], object]], what: str) -> None:
    """See that what comes to nothing leaves nothing: all is done once to warm up, and then between two looks."""

    def use_all() -> None:
        for use in uses:
            with suppress(Exception):  # which error it is to be is for other rules
                use()

    use_all()
    before = held()
    for _ in range(bench.profile.rounds + 1):
        use_all()
    left = held_beside(before, bench.times.arrive / 2)
    bench.expect.judged(judging.nothing_new(before, left, what))
