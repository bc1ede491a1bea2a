"""LINE, INBOX and NOTE: what processes know of each other, and what one of them hears of another one.

Each rule has forked children that open a transport of their own, where processes are crossed. It must not know adapters.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Final

from treaty import AddressInUse, Delivery, Inbox, Line, Transport, Unavailable
from treaty_contracts import judging
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.processes import served_again
from treaty_contracts.peer import Peer
from treaty_contracts.registry import Level, Strength, rule

#: How many other processes there are, and how many lines each one opens: the first ones might differ by chance.
_OTHERS: Final = 2
_LINES: Final = 3
#: How many frames each one sends at most while the others do, and by how much one is longer than the one before it.
_AT_ONCE: Final = 60
#: How often they do it: whether they meet is chance.
_RALLIES: Final = 3
_LONGER: Final = 37


@rule(
    "LINE-016",
    level=Level.MUST,
    sentence="No two open lines have the same address, not even in two processes where those are crossed, unless replies "
    "find their way without one.",
    intent="Replies go to an address; where two lines share one, each reads the other's.",
    causes=(
        "the address is the one of the connection, or of the process",
        "it is a number that each process counts anew",
        "it is drawn from random numbers that a forked child has inherited",
    ),
    mutants=("counts-addresses-anew", "inherits-its-chance", "one-address-for-all"),
    requires=("LINE-014",),
)
def addresses_are_distinct(bench: Bench) -> None:
    service = bench.name()

    def work(transport: Transport, peer: Peer) -> list[str]:
        peer.wait()
        lines = [transport.dial() for _ in range(_LINES)]
        for line in lines:  # as an address may be given with the first use
            line.send(service, b"from there", bench.times.arrive)
        addresses = [line.address for line in lines]
        peer.tell()
        peer.wait()  # as only what is open at the same time is compared
        return addresses

    peers = [Peer(bench, "client", work) for _ in range(_OTHERS)] if bench.guarantees.crosses_processes else []
    inbox = bench.inbox(service)
    bench.did(f"opened {_LINES} lines here, and as many in each of {len(peers)} forked children")
    lines = [*(bench.line() for _ in range(_LINES - 1)), bench.keep(bench.open("client").dial())]
    for line in lines:
        bench.round_trip(line, inbox, service)
    addresses = [[line.address for line in lines]]
    for peer in peers:
        peer.go()
    for _ in range(_LINES * len(peers)):
        bench.arrives(inbox, "a frame of a line in another process").settle()
    for peer in peers:
        peer.did("opens lines")
    for peer in peers:
        peer.go()
        addresses.append(peer.report())
    known = [address for process in addresses for address in process if address]
    bench.expect.that(len(set(known)) == len(known), "distinct addresses, in each process and in all", addresses)


@rule(
    "LINE-021",
    level=Level.MUST,
    needs=("crosses_processes",),
    sentence="What several processes send to one service at the same time all arrives, each frame once and whole.",
    intent="A service has many clients, and none of them knows when the others send.",
    causes=(
        "what is sent is filed under a time and a number that two processes may have in common",
        "a lock that is to keep senders apart is one of the process",
        "parts of two frames are interleaved",
    ),
    mutants=("files-by-number",),
    requires=("LINE-014", "LINE-006"),
    strength=Strength.STOCHASTIC,
)
def processes_send_at_once(bench: Bench) -> None:
    service, turns = bench.name(), min(bench.profile.burst, _AT_ONCE)

    def frames(rally: int, sender: int) -> list[bytes]:
        return [b"%d:%d:%d:" % (rally, sender, number) + b"x" * (number * _LONGER) for number in range(turns)]

    def work(sender: int, transport: Transport, peer: Peer) -> int:
        peer.wait()
        line = transport.dial()
        line.send(service, b"ready", bench.times.arrive)  # or they would connect at the same time, and not send
        refused, end = 0, time.monotonic() + bench.times.arrive
        for rally in range(_RALLIES):
            peer.tell()
            peer.wait()
            for frame in frames(rally, sender):
                refused += not _sent(line, service, frame, bench.times.brief, end)
        peer.tell()
        peer.wait()  # as what was sent need not arrive once its line is closed
        return refused

    bench.did(f"{_OTHERS} forked children sent {turns} frames each to one service here, at the same time, {_RALLIES} ×")
    peers = [Peer(bench, "client", partial(work, sender)) for sender in range(_OTHERS)]
    inbox = bench.inbox(service, capacity=_OTHERS * turns)
    for peer in peers:
        peer.go()
        bench.expect.equal(bench.arrives(inbox).frame, b"ready", "what another process sends first")
        peer.did("has sent a first frame")
    for rally in range(_RALLIES):
        for peer in peers:
            peer.go()
        sent = [frame for sender in range(_OTHERS) for frame in frames(rally, sender)]
        arrived: list[bytes] = []
        while len(arrived) < len(sent) and (came := inbox.receive(bench.times.arrive)) is not None:
            arrived += bench.settled(came)
        arrived += bench.silence(inbox)
        bench.expect.judged(judging.exactly_once(sent, arrived, f"the frames of {_OTHERS} processes"))
        for peer in peers:
            peer.did("sends its frames")
    for peer in peers:
        peer.go()
        bench.expect.equal(peer.report(), 0, "how many frames of another process found no room for long")


def _sent(line: Line, service: str, frame: bytes, timeout: float, end: float) -> bool:
    """Send a frame, again where there is no room, as it was certainly not delivered then; return whether it went."""
    while time.monotonic() < end:
        with suppress(Unavailable):
            line.send(service, frame, timeout)
            return True
    return False


@rule(
    "INBOX-012",
    level=Level.MUST,
    needs=("crosses_processes",),
    sentence="An inbox in another process competes for the requests of a service where that is declared, and is refused "
    "with AddressInUse where it is not.",
    intent="A program that is started twice must share the work or say so, and not take half of the requests away.",
    causes=(
        "who serves is only known inside a process",
        "a lock or an address is shared that belongs to one",
        "workers of one process compete with each other only",
    ),
    mutants=("serves-twice-unawares",),
    requires=("LINE-014", "INBOX-003"),
)
def another_process_serves(bench: Bench) -> None:
    service, line = bench.name(), bench.line()
    competes = bench.guarantees.competing_workers

    def work(transport: Transport, peer: Peer) -> str:
        peer.wait()
        try:
            second = transport.serve(service, 1)
        except AddressInUse as error:
            return type(error).__name__
        if not competes:
            return "it serves as well"
        peer.tell()
        delivery = _new(bench, second)
        if delivery is None:
            return ""
        peer.wait()
        delivery.settle()
        return delivery.frame.decode()

    bench.did("forked a child with a transport of its own, served, and served the same service in the child")
    peer = Peer(bench, "service", work)  # before anything is served: what is inherited is no news of another process
    inbox = bench.inbox(service, capacity=1)
    bench.round_trip(line, inbox, service)
    peer.go()
    if competes:
        peer.did("serves as well")
        bench.did("sent two requests to the two inboxes, each with room for one")
        sending = bench.sends(line, service, [b"one", b"two"])
        mine = bench.arrives(inbox, "one of two requests")
        peer.go()
        theirs = peer.report()
        mine.settle()
        sending.result(bench.times.arrive)
        got = [mine.frame, str(theirs).encode()]
        bench.expect.judged(judging.exactly_once([b"one", b"two"], got, "what the inboxes of two processes get"))
    else:
        bench.expect.equal(peer.report(), AddressInUse.__name__, "serve in another process of what is served here")
    bench.round_trip(line, inbox, service, b"still here")
    bench.round_trip(bench.line(), inbox, service, b"and for new lines")


@rule(
    "INBOX-013",
    level=Level.MUST,
    needs=("redelivers", "crosses_processes"),
    sentence="What a process took, did not settle, and was killed over goes to another inbox, marked as redelivered.",
    intent="A worker that dies says no goodbye, and that is when its requests must not be lost.",
    causes=(
        "a request is given back by close, and by nothing else",
        "it is acknowledged when it is taken, and kept by the process that took it",
        "the end of a connection is not noticed",
    ),
    mutants=("redelivers-on-close-only",),
    requires=("LINE-014", "INBOX-008"),
)
def redelivered_after_a_kill(bench: Bench) -> None:
    service, line, frames = bench.name(), bench.line(), [b"taken %d" % number for number in range(3)]

    def work(transport: Transport, peer: Peer) -> str:
        inbox = transport.serve(service, len(frames))
        peer.tell()
        taken = [_new(bench, inbox) for _ in frames]
        if None not in taken:
            peer.tell()
            peer.wait()  # for ever
        return f"{taken.count(None)} of {len(frames)} did not come"

    bench.did("a forked child served and took requests, and was killed; then the same was served here")
    peer = Peer(bench, "service", work)
    peer.did("serves")
    for frame in frames:
        line.send(service, frame, bench.times.arrive)
    peer.did("takes the requests")
    peer.close()
    inbox = served_again(bench, service)
    for delivery in bench.redelivered(inbox, frames, "what a process that was killed had taken"):
        delivery.settle()


@rule(
    "NOTE-013",
    level=Level.MUST,
    needs=("notifications", "crosses_processes"),
    sentence="What one process publishes arrives at a subscription in another one.",
    intent="Who has to hear of a change is another program nearly always.",
    causes=(
        "subscriptions are kept in a table of the process",
        "the address of a channel means something only in this process",
    ),
    mutants=("notifies-only-itself",),
    requires=("LINE-014", "NOTE-001"),
)
def notifications_cross_processes(bench: Bench) -> None:
    channel, far = bench.name("c"), bench.open("service")
    far.serve(bench.name("p"), 1)

    def listen(transport: Transport, peer: Peer) -> str:
        feed = transport.subscribe(channel)
        peer.tell()
        delivery = feed.receive(bench.times.arrive)
        return "nothing" if delivery is None else delivery.frame.decode()

    def speak(transport: Transport, peer: Peer) -> str:
        transport.serve(bench.name("p"), 1)
        peer.tell()
        peer.wait()
        transport.publish(channel, b"from there")
        peer.wait()  # as it need not arrive once this end is closed
        return "published"

    bench.did("a forked child subscribed with a transport of its own, and something was published here")
    listener = Peer(bench, "client", listen)
    listener.did("subscribes")
    far.publish(channel, b"from here")
    bench.expect.equal(listener.report(), "from here", "what a subscriber in another process hears")
    far.close()  # where one process has the address, the other one has it now
    bench.did("subscribed here, and a forked child published with a transport of its own")
    speaker = Peer(bench, "service", speak)
    speaker.did("serves, and is going to publish")
    feed = bench.feed(channel)
    speaker.go()
    heard = bench.arrives(feed, "what another process published")
    bench.expect.equal(heard.frame, b"from there", "what another process published")
    speaker.go()
    bench.expect.equal(speaker.report(), "published", "how publish in another process ends")


def _new(bench: Bench, inbox: Inbox) -> Delivery | None:
    """Return the next delivery that nobody had before, in a process that has no bench."""
    delivery = inbox.receive(bench.times.arrive)
    while delivery is not None and delivery.redelivered and bench.guarantees.redelivers:
        delivery.settle()
        delivery = inbox.receive(bench.times.arrive)
    return delivery
