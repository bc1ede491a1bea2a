"""SETUP: what must hold before anything else is worth looking at.

Each of these rules is small on purpose: when one fails, the rest is blocked and not a cascade of failures.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Final, Self

from treaty import DeadlineExceeded, Guarantees, Transport, TreatyError
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.names import alike
from treaty_contracts.forking import Child
from treaty_contracts.registry import Level, rule
from treaty_contracts.target import wanted_of
from treaty_contracts.world import Seeding, world

#: To how many services a line sends where names are compared.
_ON_A_LINE: Final = 10
#: Standard output and standard error.
_STREAMS: Final = (1, 2)


@rule(
    "SETUP-001",
    level=Level.MUST,
    sentence="A transport opens, carries one request to a service and the answer back, and closes.",
    intent="Nothing else can be judged on a transport that does not do this.",
    causes=(
        "the two ends do not have the same address",
        "open gives the same transport object twice, and not a new one for each end",
        "the target needs something that is not running",
        "serve returns before the service can be reached",
        "reply_to of a delivery differs from the address of the line",
    ),
    mutants=("adds-a-byte", "dead", "hands-out-arrays"),
)
def opens_echoes_closes(bench: Bench) -> None:
    subject = bench.subject()
    client = bench.client()
    bench.did("started a service, made a client, called echo once")
    try:
        result = client.call(f"{subject.name}.echo", {"value": "hello"}, timeout=bench.times.first)
    except DeadlineExceeded:
        _see_the_way_back(bench)
        raise
    bench.expect.equal(result, "hello", "the result of echo")
    client.close()
    subject.stop()
    for role in ("client", "service"):
        bench.transport(role).close()


def _see_the_way_back(bench: Bench) -> None:
    """Say so if the core does not answer because the answer would go elsewhere: nothing that crosses would show it."""
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    line.send(service, b"probe", bench.times.slack)
    delivery = inbox.receive(bench.times.slack)
    if delivery is not None:
        bench.did("got no answer; sent a frame by hand, to see where an answer to it would go")
        same, wanted = (
            delivery.reply_to == line.address,
            f"as reply_to of a delivery the address of its line, {line.address!r}",
        )
        bench.expect.that(same, wanted, repr(delivery.reply_to))


@rule(
    "SETUP-002",
    level=Level.MUST,
    requires=("SETUP-001",),
    sentence="A transport answers every question of its declaration, and both ends give the same answers.",
    intent="What is declared decides which rules apply, and what users may rely on.",
    causes=(
        "guarantees is not set before __init__ returns",
        "an answer is of another type",
        "the answers depend on which end asks",
    ),
    mutants=("answers-change", "declares-nonsense"),
)
def declaration_is_complete(bench: Bench) -> None:
    declared = [bench.transport(role).guarantees for role in ("service", "client")]
    for one in declared:
        bench.expect.that(isinstance(one, Guarantees), "guarantees is a treaty.Guarantees", type(one).__name__)
        for question in Guarantees.__struct_fields__:
            answer = getattr(one, question)
            wanted = wanted_of(question, answer)
            bench.expect.that(not wanted, f"{question}: {wanted}", repr(answer))
    bench.expect.equal(declared[0], declared[1], "the declaration of the client's end")


@rule(
    "SETUP-003",
    level=Level.MUST,
    sentence="A frame for one service never reaches another one, however alike their names are.",
    intent="Services share brokers and endpoints; names are all that keeps them apart.",
    causes=(
        "names are cut, read as numbers or matched as prefixes",
        "one queue serves all names",
        "a dash becomes something else",
    ),
    mutants=("cuts-long-names", "drops-trailing-zeros", "matches-prefixes", "reads-numbers", "shares-all-names"),
)
def names_are_isolated(bench: Bench) -> None:
    _isolated(bench, alike(bench.name("a"))[:2])  # what mixes up all names shows in few steps
    _isolated(bench, alike(bench.name("a")))


def _isolated(bench: Bench, names: tuple[str, ...]) -> None:
    inboxes = {name: bench.inbox(name) for name in names}
    sent = {name: [f"{name}, {number}".encode() for number in range(2)] for name in names}
    bench.did(f"served {', '.join(names)}; sent a frame to each from one line or two, and another one from others")
    # Not many from each line: what a line loses or doubles is for another rule.
    ways = [names[at : at + _ON_A_LINE] for at in range(0, len(names), _ON_A_LINE)]
    for number in range(2):
        for way in ways:
            line = bench.line()
            for name in way:
                line.send(name, sent[name][number], bench.times.arrive)
    others = {name: line for way in ways for line in [bench.line()] for name in way}
    for name, inbox in inboxes.items():
        got = []
        for _ in range(2):
            delivery = bench.arrives(inbox)
            got.append(delivery.frame)
            delivery.settle()
        bench.expect.judged(judging.isolated(sent, {name: got}, f"what the inbox of {name!r} gets"))
        bench.round_trip(others[name], inbox, name)


@rule(
    "SETUP-004",
    level=Level.MUST,
    sentence="Opening, one round trip and closing print nothing, and leave the program around them as it was.",
    intent="A library is a guest: its host's signals, warnings, logs and terminal are not its own.",
    causes=(
        "a print or a logging.basicConfig was left in",
        "the library below installs signal handlers or filters warnings",
        "a thread ends with an exception, such as at close",
        "umask, gc, setlocale, nice or random.seed is called, and not called back",
        "a hook for errors in threads, or a function of a module, is replaced",
    ),
    mutants=(
        "changes-warnings",
        "dies-in-a-thread",
        "silences-threads",
        "patches-sockets",
        "prints",
        "sets-a-handler",
        "hides-new-files",
        "changes-turns",
        "seeds-the-program",
    ),
)
def good_guest(bench: Bench) -> None:
    bench.did("opened both ends, carried one frame, published one, and closed all, in a program that is watched")
    # First in a child, in whose main thread this is, as only there handlers of signals can be set.
    _flush()
    changed = Child(partial(_changed, bench), bench.times.arrive * 3).report()
    bench.expect.equal(changed, "", "what is changed of what belongs to the program, in its main thread")
    with _Watched() as watched:
        # Looked at meanwhile: what is put in place of what watches is put away when nobody watches any more.
        before = {**world(), "the directory for temporary files": True}
        _visit(bench, bench.open("client"), bench.open("service"))
        after = world()
    bench.expect.equal(watched.printed, "", "what is printed to standard output and standard error")
    bench.expect.that(watched.intact, "sys.stdout and sys.stderr stay as they were, and open", "they do not")
    bench.expect.equal(watched.uncaught, [], "the exceptions that end a thread")
    bench.expect.that(not watched.seeded, "random numbers of the program are not seeded", "random.seed was called")
    bench.expect.judged(judging.same_world(before, after, "what belongs to the program"))


def _changed(bench: Bench) -> str:
    elsewhere = f"{bench.namespace}m"
    with _Watched():
        before = world()
        near, far = (bench.target.opened(bench.context(role, elsewhere)) for role in ("client", "service"))
        _visit(bench, near, far)
        after = world()
    return judging.same_world(before, after, "what belongs to the program").observed


def _visit(bench: Bench, near: Transport, far: Transport) -> None:
    service, channel = bench.name(), bench.name("c")
    line, inbox = near.dial(), far.serve(service, 1)
    bench.round_trip(line, inbox, service)
    if near.guarantees.notifications:
        near.subscribe(channel)
        far.publish(channel, b"news")
    # Closing while somebody waits is where threads stumble. Whether it wakes them is for another rule.
    waiting = [Aside(partial(_wait, end.receive, bench.times.brief * 2)) for end in (line, inbox)]
    for one in waiting:
        one.begun.wait(bench.times.arrive)
    near.close()
    far.close()
    for one in waiting:
        one.error(bench.times.arrive)


@rule(
    "SETUP-005",
    level=Level.MUST,
    sentence="Each frame of a burst arrives once, and so does each reply.",
    intent="Where frames are lost or doubled without cause, every other rule would say so again.",
    causes=(
        "buffers overflow silently",
        "something is read and forgotten, such as at a switch between threads",
        "frames that are under way are sent again",
    ),
    requires=("SETUP-001", "SETUP-002"),
    mutants=("drops-under-load", "duplicates-frames", "loses-every-nth"),
)
def bursts_arrive_once(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service, capacity=10_000), bench.line()
    frames = [b"%06d" % number for number in range(bench.profile.burst)]
    bench.did(f"sent {len(frames)} frames and a last one; sent them again, and replied each once all had arrived")
    sending = bench.sends(line, service, (*frames, b"last"))
    arrived = bench.gather(inbox, len(frames), b"last")
    sending.result(bench.times.arrive)
    bench.expect.judged(judging.exactly_once(frames, arrived, "a frame that was sent: how often it arrives"))
    sending = bench.sends(line, service, (*frames, b"last"))
    deliveries = [bench.arrives(inbox) for _ in range(len(frames) + 1)]
    sending.result(bench.times.arrive)

    def reply_all() -> None:
        for delivery in deliveries:
            delivery.reply(delivery.frame)
            delivery.settle()

    replying = Aside(reply_all)
    came = bench.gather(line, len(frames), b"last")
    replying.result(bench.times.arrive)
    bench.expect.judged(judging.exactly_once(frames, came, "a frame that was replied: how often it arrives"))


def _wait(receive: Callable[[float], object], seconds: float) -> None:
    with suppress(TreatyError):
        receive(seconds)


class _Watched:
    """Keeps what is printed meanwhile, by whatever means, and what ends threads."""

    def __enter__(self) -> Self:
        self.printed = ""
        self.uncaught: list[str] = []
        self.seeded = False
        self._file = tempfile.TemporaryFile()
        self._streams = sys.stdout, sys.stderr
        self._hook = threading.excepthook
        self._saved = [os.dup(stream) for stream in _STREAMS]
        _flush()
        for stream in _STREAMS:
            os.dup2(self._file.fileno(), stream)
        # What runs the suite may have put something else in their places, which leads elsewhere.
        self._lent = [open(stream, "w", closefd=False) for stream in _STREAMS]  # noqa: SIM115
        sys.stdout, sys.stderr = self._lent
        self.intact = False
        threading.excepthook = self._note
        self._seeding = Seeding().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _flush()
        self.intact = [sys.stdout, sys.stderr] == self._lent and not any(stream.closed for stream in self._lent)
        threading.excepthook = self._hook
        self._seeding.__exit__(kind, error, traceback)
        self.seeded = self._seeding.seen
        sys.stdout, sys.stderr = self._streams
        for stream, saved in zip(_STREAMS, self._saved, strict=True):
            os.dup2(saved, stream)
            os.close(saved)
        self._file.seek(0)
        self.printed = self._file.read().decode("utf-8", "backslashreplace")
        self._file.close()

    def _note(self, args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "a thread"
        self.uncaught.append(f"{name}: {args.exc_type.__name__}: {args.exc_value}")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
