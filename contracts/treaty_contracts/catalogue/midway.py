"""LIFE: what comes back into the middle of a transport's own work, by the same thread.

These rules use ends without a client or service. They must not know which steps a transport takes.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from treaty import Inbox, TransportError
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import Violated, said
from treaty_contracts.midway import Midway
from treaty_contracts.registry import Level, rule

#: At how many steps of each use it is tried, if there are more.
_PLACES: Final = 40


@rule(
    "LIFE-034",
    level=Level.MUST,
    sentence=(
        "Who sends in the middle of a send, a receive or a publish of the same thread, as a signal's handler or a "
        "``__del__`` may, does not hang: the frame goes out, or that is a TransportError."
    ),
    intent="The collector calls a __del__ at any moment, and it gives back what somebody lent over this very line.",
    causes=(
        "a lock is taken that this thread holds already",
        "two locks are taken in one order by who sends, and in the other one by who receives",
    ),
    mutants=("hangs-when-it-comes-back",),
    requires=("INBOX-001", "LINE-001", "LINE-003", "LINE-006", "SETUP-003"),
)
def coming_back_does_not_hang(bench: Bench) -> None:
    service, channel, brief = bench.name(), bench.name("c"), bench.times.brief
    inbox, line, far = bench.inbox(service), bench.line(), bench.transport("service")
    uses: dict[str, Callable[[], object]] = {
        "send": lambda: line.send(service, b"x", brief),
        "receive": lambda: line.receive(0),
    }
    if bench.guarantees.notifications:
        uses["publish"] = lambda: far.publish(channel, b"x")
    bench.round_trip(line, inbox, service)
    bench.did(f"sent at up to {_PLACES} steps, one after the other, of {', '.join(uses)}")
    for what, use in uses.items():
        counting = Midway(0, lambda: None)
        Aside(partial(_transported, partial(counting.during, use))).result(bench.times.arrive)
        for number in sorted({1 + counting.steps * place // _PLACES for place in range(_PLACES)}):
            one = Midway(number, partial(_transported, lambda: line.send(service, b"y", brief)))
            raised = _raised_aside(one, use, bench.times.arrive)
            bench.expect.that(raised is None, f"a send in the middle of {what} ends", raised)
            _make_room(inbox)
    other = bench.name()  # at the first one some of it all may still come in
    serving = bench.inbox(other)
    bench.round_trip(line, serving, other)
    bench.round_trip(bench.line(), serving, other)


def _raised_aside(one: Midway, use: Callable[[], object], limit: float) -> str | None:
    """Come back into the middle of a use, in a thread, and say what of it did not end or raised what it may not."""
    try:
        error = Aside(partial(_transported, partial(one.during, use))).error(limit)
    except Violated:
        return f"it hangs, and had got to {one.where}"
    return None if error is None else f"{said(error)}, and had got to {one.where}"


def _transported(use: Callable[[], object]) -> None:
    try:
        use()
    except TransportError:
        return  # which use may raise what is for other rules


def _make_room(inbox: Inbox) -> None:
    while (delivery := inbox.receive(0)) is not None:
        delivery.settle()
