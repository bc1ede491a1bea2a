"""LIFE: what becomes of a transport while the operating system gives nothing more.

These rules use ends without a client or service. They must not know what a transport opens.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

from treaty import Inbox, Transport, TransportError
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import said
from treaty_contracts.holdings import few_descriptors, held, held_beside
from treaty_contracts.peer import Peer
from treaty_contracts.registry import Level, rule

#: How many descriptors may still be opened: what is opened as second or third must not keep what was first.
_LEFT: Final = range(8)


@rule(
    "LIFE-033",
    level=Level.MUST,
    sentence=(
        "Where no descriptor is left, what needs one is a TransportError, leaves nothing, and works when there is one "
        "again."
    ),
    intent="A process that has too much open must be able to tell, and to recover.",
    causes=(
        "what the operating system raises goes through as it is",
        "what was opened first is kept where there is no descriptor for the second",
        "a thread ends with the error, and nobody starts it again",
    ),
    mutants=("keeps-half-in-a-shortage", "raw-errors-in-a-shortage", "stays-short"),
    requires=("LIFE-004", "LIFE-024", "LIFE-027", "LINE-001", "LINE-014", "SETUP-003"),
)
def shortage_is_told(bench: Bench) -> None:
    service, channel = bench.name(), bench.name("c")
    ask = partial(_ask, bench, service, channel)
    peer = Peer(bench, "client", ask) if bench.guarantees.crosses_processes else None
    far, inbox = bench.transport("service"), bench.inbox(service)
    over = Event()
    answering = Aside(partial(_answer, inbox, over, bench.times.brief))
    if peer is None:
        bench.did(f"asked as a client of this process, with {_LEFT.start} to {_LEFT.stop - 1} descriptors left")
        faults = Aside(partial(ask, bench.transport("client"))).result(bench.times.arrive * 3)
    else:
        bench.did(f"asked from a process with {_LEFT.start} to {_LEFT.stop - 1} descriptors left")
        peer.go()
        faults = peer.report()
    bench.expect.equal(faults, [], "what goes wrong at a client")
    over.set()
    answering.result(bench.times.arrive)

    # Nobody connects meanwhile: who accepts that may be a library, of which not every one bears a shortage.
    uses: dict[str, Callable[[], object]] = {"serve": lambda: far.serve(bench.name(), 1).close()}
    if bench.guarantees.notifications:
        uses["publish"] = lambda: far.publish(channel, b"x")
    bench.did("served and published with as few left")
    bench.expect.equal(_endure(bench, uses), [], "what goes wrong where requests are taken")
    for name in (service, bench.name()):
        taking = inbox if name == service else bench.inbox(name)
        bench.round_trip(bench.line(), taking, name)


def _ask(bench: Bench, service: str, channel: str, near: Transport, peer: Peer | None = None) -> list[str]:
    """Do what a client does, and say what goes wrong: in a process of its own, if there is a peer."""
    if peer is not None:
        peer.wait()
    brief, arrive = bench.times.brief / 4, bench.times.arrive

    def ask_anew() -> None:
        with near.dial() as another:
            another.send(service, b"x", brief)

    with near.dial() as line:
        uses: dict[str, Callable[[], object]] = {
            "dial, and a first send": ask_anew,
            "send": lambda: line.send(service, b"x", brief),
        }
        if near.guarantees.notifications:
            uses["subscribe"] = lambda: near.subscribe(channel).close()
        faults = _endure(bench, uses)
        try:
            with near.dial() as another:
                for one in (line, another):
                    one.send(service, _AGAIN, arrive)
                    if one.receive(arrive) is None:
                        faults.append("no answer when there are descriptors again")
        except TransportError as error:
            faults.append(f"when there are descriptors again: {said(error)}")
    return faults


_AGAIN: Final = b"again"


def _answer(inbox: Inbox, over: Event, patience: float) -> None:
    while not over.is_set():
        delivery = inbox.receive(patience)
        if delivery is not None:
            if delivery.frame == _AGAIN:
                delivery.reply(delivery.frame)
            delivery.settle()


def _endure(bench: Bench, uses: dict[str, Callable[[], object]]) -> list[str]:
    """Use everything with few descriptors left, and return what is raised or left behind that may not be."""
    for use in uses.values():  # what is loaded with the first use is no part of this
        _misfit(use)
    before, faults = held(), []
    for left in _LEFT:
        for what, use in uses.items():
            with few_descriptors(left):
                error = _misfit(use)
            if error is not None:
                faults.append(f"{what}, with {left} left: {said(error)}")
    behind = held_beside(before, bench.times.arrive / 2) - before
    return faults + [f"{times} × {name} stays" for name, times in sorted(behind.items())]


def _misfit(use: Callable[[], object]) -> Exception | None:
    try:
        use()
    except TransportError:
        return None
    except Exception as error:  # whatever it is, it is the observation
        return error
    return None
