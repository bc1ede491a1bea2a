"""AUTH, ERR, LIFE and NOTE: what happens on the way between the ends, seen and done through the hooks of a target.

Only transports that cross processes have something between their ends. These rules must not know what it is.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import os
import threading
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from treaty import Client, ConnectionLost, DeadlineExceeded, TransportError, Unavailable
from treaty_contracts import forge
from treaty_contracts.bench import Bench
from treaty_contracts.expect import timed, until
from treaty_contracts.hooks import faulty
from treaty_contracts.registry import BOTH, Level, rule
from treaty_contracts.subject import Subject
from treaty_contracts.surface import Ended
from treaty_contracts.witness import Witness, crossed, derived, foreign

NEEDS: Final = ("crosses_processes",)
#: How a call may end for which the way was cut.
_ENDS: Final = (DeadlineExceeded, ConnectionLost, Unavailable)
#: Characters of the text that is echoed where the medium is looked at: most of what crosses, and not to be compressed.
_LARGE: Final = 40_000


class Cut:
    """The way between the ends is cut, until it is mended or the bench is closed."""

    def __init__(self, bench: Bench) -> None:
        bench.did("cut the way between the ends")
        self._bench = bench
        self._mend: Callable[[], None] | None = bench.hook("cut_link")()
        bench.keep(self)

    def mend(self) -> None:
        mend, self._mend = self._mend, None
        if mend is not None:
            self._bench.did("mended it")
            mend()

    close = mend


def ends_typed(bench: Bench, ended: Ended, what: str) -> None:
    names = ", ".join(kind.__name__ for kind in _ENDS)
    bench.expect.that(isinstance(ended.error, _ENDS), f"{what}: one of {names}", f"{ended.value!r}, {ended.error!r}")


def ends_cut(bench: Bench, ended: Ended, what: str) -> None:
    """Judge how a call ended that began while the way was cut. One that is answered is no fault of the transport."""
    if ended.error is None:
        raise faulty(bench.target, "cut_link", f"cut nothing: {what} was answered")
    ends_typed(bench, ended, what)


def works_again(bench: Bench, client: Client, service: str, number: int, after: str) -> None:
    """Call until a call succeeds; until then each one ends as calls do for which there is no way."""
    tried: list[Ended] = []

    def works() -> bool:
        tried.append(bench.call(client, f"{service}.echo", [number], timeout=bench.times.slack))
        if tried[-1].error is not None:
            ends_typed(bench, tried[-1], f"a call {after}")
        return tried[-1].error is None

    came, took = timed(partial(until, works, bench.times.arrive))
    last = repr(tried[-1].error)
    bench.expect.that(
        came, f"calls work again {after}, within {bench.times.arrive:g} s", f"{len(tried)} failed: {last}"
    )
    bench.expect.equal(tried[-1].value, number, f"the result of the first call that works {after}")
    bench.did(f"calls worked again after {took:.2f} s, in {len(tried)} attempts")


# What is on the medium


@rule(
    "AUTH-007",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("tap",),
    sentence="Neither the secret nor a key that is derived from it ever crosses the medium, in any spelling.",
    intent="Whoever can listen in must not learn how to speak.",
    causes=("the transport sends its settings along", "the secret is used to log in to a broker"),
    mutants=("sends-the-secret",),
)
def secret_never_crosses(bench: Bench) -> None:
    seen = bench.hook("tap")()
    subject, client = bench.subject(), bench.client()
    text = b64encode(os.urandom(_LARGE * 3 // 4)).decode()
    bench.did("listened in on calls that succeed, fail, report and are refused, and on notifications")
    bench.expect.that(bench.result(client, f"{subject.name}.echo", [text]) == text, "the text echoed", "another one")
    for method, params in (("fail", None), ("nothing", None), ("report", [3])):
        bench.call(client, f"{subject.name}.{method}", params)
    bench.call(bench.client(secret=os.urandom(32)), f"{subject.name}.echo", [1])
    if bench.guarantees.notifications:
        feed = bench.feed(subject.name)
        subject.publish("event", text)
        bench.arrives(feed, "what was published").settle()
    medium = seen()
    # A medium may compress, but this text to no less than three quarters; a tap that sees less sees something else.
    frames = sum(crossing.size for crossing in bench.trace.snapshot() if crossing.direction == "in")
    bench.expect.that(
        len(medium) >= frames / 2, f"most of {frames:,} bytes of frames on the medium", f"{len(medium):,}"
    )
    root = urlsafe_b64decode(bench.secret.rpartition(".")[2] + "=")
    names = {
        "the secret": [root, bench.secret.rpartition(".")[2].encode()],
        "a derived key": derived(root, bench.key.id),
    }
    for what, held in names.items():
        bench.expect.that(not crossed(medium, held), f"{what} is not on the medium", "it is")


# Strangers


@rule(
    "ERR-007",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("inject",),
    sentence="What is no message of the transport, put before a service, harms nobody: all others are served on.",
    intent="Ports are scanned, and queues are written to by mistake.",
    causes=("an exception ends the receiving thread", "the place of what was thrown away is never given free"),
    mutants=("dies-of-strangers",),
    requires=("ERR-005",),
)
def strangers_harm_nobody(bench: Bench) -> None:
    near, far = Witness(bench.open("client")), Witness(bench.open("service"))
    subject, client, inject = (
        bench.subject(transport=far, concurrency=2),
        bench.client(transport=near),
        bench.hook("inject"),
    )
    waiting = bench.start(client, f"{subject.name}.wait", {"gate": "open", "value": "waited"})
    begun = subject.started["open"].wait(bench.times.arrive)
    bench.expect.that(begun, "the handler of a call runs", "it does not")
    good = forge.sealed(bench.keyring, forge.request(f"{subject.name}.echo", {"value": "forged"}))
    junk = {
        **forge.damaged(good),
        "nothing": b"",
        "JSON": b'{"body": [1], "properties": {}}',
        "much": os.urandom(99_999),
    }
    bench.did(f"put {len(junk)} pieces of something else before a service, with a call after each")
    for number, (what, data) in enumerate(junk.items()):
        inject(subject.name, data)
        bench.expect.equal(bench.result(client, f"{subject.name}.echo", [number]), number, f"the result after: {what}")
    subject.gates["open"].set()
    ended = bench.end(waiting)
    bench.expect.equal((ended.value, ended.error), ("waited", None), "the result of a call that was under way")
    bench.expect.equal(len(subject.seen), len(junk) + 1, "how many handlers ran")
    bench.expect.equal(
        foreign(near.raised + far.raised), [], "exceptions of other libraries that crossed the interface"
    )


# The way is cut


@rule(
    "LIFE-010",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    surfaces=BOTH,
    sentence="A call whose way is cut, before or after it was sent, ends typed, and by its deadline at the latest.",
    intent="Networks break in the middle; nobody may hang for it.",
    causes=(
        "the end of the connection is not noticed, nor the deadline looked at",
        "connecting has no limit of its own",
    ),
    mutants=("hangs-when-cut",),
)
def calls_end_when_cut(bench: Bench) -> None:
    # Two at a time: the second one would be answered at once if there was a way.
    subject, client, limit = bench.subject(concurrency=2), bench.client(), bench.times.slack
    under_way = bench.start(client, f"{subject.name}.wait", {"gate": "never"}, timeout=limit)
    begun = subject.started["never"].wait(bench.times.arrive)
    bench.expect.that(begun, "the handler runs", "it does not")
    Cut(bench)
    begun_late = bench.start(client, f"{subject.name}.echo", ["late"], timeout=limit)
    ends_typed(bench, bench.end(under_way, limit), "a call that was under way")
    ends_cut(bench, bench.end(begun_late, limit), "a call that began when the way was cut")
    subject.gates["never"].set()


@rule(
    "LIFE-011",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    surfaces=BOTH,
    sentence="When the way is mended, the same client and the same service work again, without being made anew.",
    intent="Both are made once, and live as long as their programs.",
    causes=(
        "only one of the two ends connects again",
        "what is kept about the old connection is used with the new one",
        "send refuses until receive has told of the loss: while no call is open, nobody is there to be told",
    ),
    mutants=("stays-cut", "refuses-until-it-has-told"),
    requires=("LIFE-010",),
)
def works_when_mended(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    bench.expect.equal(bench.result(client, f"{subject.name}.echo", [-1]), -1, "the result before")
    for number in range(bench.profile.rounds):
        cut = Cut(bench)
        if number % 2:  # whether anything is tried meanwhile must not matter
            ended = bench.call(client, f"{subject.name}.echo", ["cut"], timeout=bench.times.brief)
            ends_cut(bench, ended, "a call while the way is cut")
        cut.mend()
        works_again(bench, client, subject.name, number, "when the way is mended")


@rule(
    "LIFE-014",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("restart_peer",),
    sentence="When what both ends connect through was restarted, the same client, service and subscription work again.",
    intent="Brokers are upgraded; nobody wants to restart everything that uses them.",
    causes=("queues and subscriptions are not declared again", "the service does not say again that it is there"),
    mutants=("forgets-its-subscriptions", "stays-cut", "refuses-until-it-has-told"),
)
def works_after_a_restart_of_the_peer(bench: Bench) -> None:
    near, far = Witness(bench.open("client")), Witness(bench.open("service"))
    subject, client = bench.subject(transport=far), bench.client(transport=near)
    heard = threading.Event()
    if bench.guarantees.notifications:
        client.subscribe(f"{subject.name}.#", lambda _: heard.set())
    for number in range(2):
        bench.hook("restart_peer")()
        bench.did("restarted what both ends connect through")
        works_again(bench, client, subject.name, number, "after the restart")
        if bench.guarantees.notifications:
            heard.clear()
            came = until(lambda: _published(subject, heard, bench.times.brief), bench.times.arrive)
            bench.expect.that(came, "notifications are heard again after the restart", "none is")
    if not near.raised + far.raised:  # which is right where connections are made anew and nothing was lost
        bench.warn("no end noticed that its peer was restarted: is that so, or does restart_peer do nothing?")
    bench.expect.equal(
        foreign(near.raised + far.raised), [], "exceptions of other libraries that crossed the interface"
    )


def _published(subject: Subject, heard: threading.Event, limit: float) -> bool:
    try:
        subject.publish("marker", None)
    except TransportError:
        return False
    return heard.wait(limit)


@rule(
    "NOTE-009",
    level=Level.MUST,
    needs=("crosses_processes", "notifications"),
    hooks=("cut_link",),
    sentence="A subscription lives through a cut: soon after the way is mended, what is published arrives again.",
    intent="A subscriber that is deaf from then on, and does not know, works with what is no longer true.",
    causes=("the new connection does not subscribe", "receive raises for ever what broke the old connection"),
    mutants=("forgets-its-subscriptions",),
    requires=("NOTE-001",),
)
def subscription_lives_through_a_cut(bench: Bench) -> None:
    near, far = Witness(bench.open("client")), Witness(bench.open("service"))
    channel = bench.name("c")
    bench.keep(far.serve(bench.name("p"), 1))
    feed = bench.keep(near.subscribe(channel))
    far.publish(channel, b"before")
    bench.expect.equal(bench.arrives(feed, "what was published before").frame, b"before", "what arrives before")
    for turn in range(bench.profile.rounds):
        cut = Cut(bench)
        if turn % 2:  # whether anybody listens meanwhile must not matter
            _transported(lambda: feed.receive(bench.times.brief))
        cut.mend()
        marker = b"marker %d" % turn

        def arrives(marker: bytes = marker) -> bool:
            _transported(lambda: far.publish(channel, marker))
            delivery = _transported(lambda: feed.receive(bench.times.quiet))
            return delivery is not None and delivery.frame == marker

        came, took = timed(partial(until, arrives, bench.times.arrive))
        bench.expect.that(came, f"what is published arrives again, within {bench.times.arrive:g} s", "it does not")
        bench.did(f"what was published arrived again after {took:.2f} s")
    bench.expect.equal(
        foreign(near.raised + far.raised), [], "exceptions of other libraries that crossed the interface"
    )


def _transported(use: Callable[[], Any]) -> Any:
    """Use the interface, which may fail for want of a connection."""
    try:
        return use()
    except TransportError:
        return None
