"""LINE and CALL: what is too large, too much, or for nobody, and many threads at once. The line stays usable.

It must not know how large any particular transport's frames may be: it asks the declaration.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import gc
import time
import tracemalloc
from functools import partial
from typing import Final

from treaty import ConnectionLost, DeadlineExceeded, FrameTooLarge, Inbox, Line, RemoteError, Unavailable
from treaty.sealing import MAX_FRAME
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.lines import LARGE
from treaty_contracts.expect import until
from treaty_contracts.holdings import held, peak
from treaty_contracts.registry import BOTH, Level, Strength, rule

#: How much is carried to see whether it is kept, in pieces of what size, and what memory varies by in any case.
_CARRIED: Final = 8 * 1024 * 1024
_PIECE: Final = 256 * 1024
_NOISE: Final = 2 * 1024 * 1024
#: How many small frames are carried for the same purpose, once and once more.
_FEWEST_SMALL, _SMALL_CARRIED = 100, 300
#: Seconds in which what is there is received: whether 0 will do is for another rule.
_GLANCE: Final = 0.001
#: How much of a frame that comes back there is at least.
_RETURNED: Final = 60


@rule(
    "LINE-013",
    level=Level.MUST,
    needs=("notices_absence",),
    sentence="A frame for a service that nobody serves comes back as Unavailable in the declared time, and is the one.",
    intent="A caller that is told can try elsewhere; and it must be told about the right call.",
    causes=("the library drops what it cannot route", "the error does not carry the frame", "retrying for too long"),
    mutants=("forgets-that-one-has-left", "lies-about-absence", "returns-the-wrong-frame"),
    requires=("SETUP-003",),
)
def absence_is_noticed(bench: Bench) -> None:
    absence = bench.guarantees.notices_absence
    assert absence is not None
    limit = absence * bench.target.time_scale + bench.times.slack
    nobody = bench.line()
    bench.did("sent a frame where nobody serves anything")
    _comes_back(bench, nobody, bench.name(), b"x" * 60 + b" for nobody", limit)
    bench.did("sent a frame for a service that is not there, beside one that is")
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    line.send(service, b"for somebody", bench.times.arrive)
    _comes_back(bench, line, bench.name(), b"y" * 60 + b" for nobody", limit)
    delivery = bench.arrives(inbox)
    bench.expect.equal(delivery.frame, b"for somebody", "what arrives at the service that is there")
    delivery.reply(b"answer")
    delivery.settle()
    bench.expect.equal(bench.returns(line), b"answer", "what the line gets after a frame came back")
    if not bench.guarantees.survives_restart:
        inbox.close()
        bench.did("the service stopped, and was sent another frame")
        for last in (False, True):
            try:
                _comes_back(bench, line, service, b"z" * 60 + b" for who has left", limit)
                break
            except ConnectionLost:  # that it went may be told first, and once
                if last:
                    raise


def _returned(line: Line) -> list[bytes]:
    """Return what waits at a line to be told as Unavailable."""
    back: list[bytes] = []
    while True:
        try:
            if line.receive(_GLANCE) is None:
                return back
        except Unavailable as error:
            back.append(error.frame or b"")


def _comes_back(bench: Bench, line: Line, service: str, frame: bytes, limit: float) -> None:
    started = time.monotonic()
    at_once = False
    try:
        line.send(service, frame, limit)
        at_once = True
        got = line.receive(limit)
    except Unavailable as error:
        took = time.monotonic() - started
        bench.expect.in_time(took, limit, "until the frame is known to be undeliverable")
        if at_once:
            back = error.frame or b""
            fits = len(back) >= _RETURNED and frame.startswith(back)
            bench.expect.that(fits, f"the frame that came back, or its first 64 bytes: {frame[:64]!r}", error.frame)
        return
    bench.expect.never(f"Unavailable in {limit:.2f} s", f"send returned, receive returned {got!r}")


@rule(
    "LINE-006",
    level=Level.MUST,
    sentence="Any number of threads may send on one line at the same time: each frame arrives once and whole.",
    intent="One client is shared by all threads of a program.",
    causes=("a socket that is not thread-safe is used without a lock", "parts of two frames are interleaved"),
    mutants=("interleaves-frames",),
    requires=("SETUP-005", "LINE-001"),
    strength=Strength.STOCHASTIC,
)
def many_threads_send(bench: Bench) -> None:
    service = bench.name()
    inbox, line, turns = bench.inbox(service, capacity=2 * _SMALL_ONES), bench.line(), bench.profile.burst
    shares = [
        # Small ones, and among them some that no buffer takes in one piece where several are under way.
        [b"%d:%d:" % (sender, number) + b"x" * (number * 37 if number % 4 else LARGE) for number in range(turns)]
        for sender in range(4)
    ]
    bench.did(f"{len(shares)} threads sent {turns} frames each on one line, some of 60 KiB, and then came a last one")

    def send_all() -> None:
        senders = [bench.sends(line, service, share) for share in shares]
        for sender in senders:
            sender.result(bench.profile.limit)
        line.send(service, b"last", bench.times.arrive)

    sending = Aside(send_all)
    sent = [frame for share in shares for frame in share]
    arrived = bench.gather(inbox, len(sent), b"last")
    sending.result(bench.times.arrive)
    bench.expect.judged(judging.exactly_once(sent, arrived, "the frames that arrive"))
    bench.round_trip(line, inbox, service)


@rule(
    "LINE-015",
    level=Level.MUST,
    sentence="One transport object may be used by any number of threads at once, to open and to close its ends.",
    intent="A program has one transport, and does not say which of its threads uses it first.",
    causes=("what is opened by the first user is opened twice", "the last one to close takes it from one who opens"),
    mutants=("opens-without-a-lock",),
    strength=Strength.STOCHASTIC,
)
def threads_share_a_transport(bench: Bench) -> None:
    near, far = bench.open("client"), bench.open("service")
    bench.did("four threads opened lines and inboxes of the same two transport objects, used them and closed them")

    def live(_: int) -> None:
        for _ in range(bench.profile.rounds):
            service = bench.name()
            inbox, line = far.serve(service, 1), near.dial()
            bench.round_trip(line, inbox, service, service.encode())
            line.close()
            inbox.close()

    for user in [Aside(partial(live, number)) for number in range(4)]:
        user.result(bench.profile.limit)


#: How many are sent while nobody reads: more than most libraries queue by number, and of large ones more than kernels
#: keep; and after how many refusals it is enough.
_LARGE_ONES: Final = 3_000
_SMALL_ONES: Final = 11_000
_REFUSED: Final = 10
#: With how many seconds more is sent where there is no room, and how many frames are kept for that.
_PATIENCE: Final = (0.0, 0.05, 0.3)
_KEPT: Final = 9
#: Seconds by which it may end late, where nothing is slower than this machine.
_WAKING: Final = 0.1


@rule(
    "LINE-017",
    level=Level.MUST,
    requires=("SETUP-005", "LINE-001", "LINE-003"),
    sentence="While nobody reads, ``send`` keeps its timeout, and each frame arrives later or comes back as Unavailable, "
    "never both and never neither.",
    intent="Whoever is told that a frame was certainly not delivered sends it again; who is told nothing relies on it.",
    causes=(
        "send blocks until there is room",
        "what waits for room counts slices and not time, or closes and connects again once it has given up",
        "a frame that is given up stays in a buffer, and is written later",
        "frames beyond the room are dropped silently",
    ),
    mutants=("drops-beyond-its-room", "gives-up-and-delivers", "refuses-late", "send-waits-for-room"),
)
def unavailable_is_certain(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service, capacity=2 * _SMALL_ONES), bench.line()
    bench.did("sent many frames of 8 KiB while nobody read, or until some were refused, and read all; and small ones")
    affordable = int(2 * bench.profile.budget * bench.target.time_scale / max(bench.pace, 1e-6))
    for size, count in ((8192, _LARGE_ONES), (64, _SMALL_ONES)):
        chosen = max(bench.profile.burst, min(count, affordable))
        frames = [b"%04d.%06d" % (size, number) + b"." * size for number in range(chosen + _KEPT)]
        tried, refused = _sent_to_none(bench, line, service, frames)
        starts = {frame[:_RETURNED]: frame for frame in frames}
        arrived: list[bytes] = []

        def all_told() -> bool:
            while (came := inbox.receive(_GLANCE)) is not None:
                arrived.extend(bench.settled(came))  # noqa: B023 - runs in this round
            refused.extend(starts[back[:_RETURNED]] for back in _returned(line))  # noqa: B023
            return len(arrived) + len(refused) >= len(tried)  # noqa: B023

        until(all_told, bench.times.arrive)
        bench.round_trip(line, inbox, service)
        all_told()
        # Whether there is a bound at all is not judged: it may be larger than what there is time to send.
        bench.did(f"of {len(tried)} frames of {size} bytes {len(refused)} were refused")
        bench.expect.judged(judging.certain(tried, refused, arrived, f"frames of {size} bytes while nobody reads"))


def _sent_to_none(bench: Bench, line: Line, service: str, frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Send frames while nobody reads. Return those that were tried, and those of them that were refused at once."""
    tried: list[bytes] = []
    refused: list[bytes] = []
    end = time.monotonic() + bench.profile.budget * bench.target.time_scale / 2

    def send(timeout: float) -> float:
        tried.append(frames[len(tried)])
        started = time.monotonic()
        try:
            line.send(service, tried[-1], timeout)
        except Unavailable:
            refused.append(tried[-1])
        took = time.monotonic() - started
        bench.expect.in_time(took, timeout + bench.times.arrive / 2, f"send with {timeout:g} s")
        return took

    # More than the kernel and most queues take; where a broker takes all, no more than there is time for.
    while len(refused) < _REFUSED and len(tried) < len(frames) - _KEPT and time.monotonic() < end:
        send(bench.times.brief / 10)
    if refused:
        bench.did(f"found no room, and sent some more, with {', '.join(f'{timeout:g}' for timeout in _PATIENCE)} s")
        for timeout in _PATIENCE:
            limit = timeout + max(bench.times.slack / 4, _WAKING)
            bench.expect.promptly(partial(send, timeout), limit, f"send with {timeout:g} s where there is no room")
    return tried, refused


@rule(
    "LIFE-024",
    level=Level.MUST,
    sentence="What a transport holds does not grow with what it carries: there is no thread or descriptor for each frame.",
    intent="A service that runs for months must not die of what it did on the first day.",
    causes=("a thread is started for each message", "a connection is opened for each message and kept"),
    mutants=("a-thread-for-each",),
    requires=("LIFE-004", "LINE-001"),
)
def carrying_holds_nothing(bench: Bench) -> None:
    service, count = bench.name(), bench.profile.burst
    inbox, line = bench.inbox(service), bench.line()
    bench.did(f"made a few round trips, looked, made {count} more, and looked again, while the ends were open")
    for _ in range(bench.profile.rounds):
        bench.round_trip(line, inbox, service)
    before = held()
    for _ in range(count):
        bench.round_trip(line, inbox, service)
    # A pool may have grown a little.
    few = count // 4
    until(lambda: (held() - before).total() < few, bench.times.arrive / 2)
    more = held() - before
    bench.expect.that(more.total() < few, f"fewer than {few} threads and descriptors more", dict(more))


@rule(
    "LIFE-026",
    level=Level.SHOULD,
    sentence="What was read and settled is let go: memory does not grow with what a transport has carried.",
    intent="A service that runs for months must not die of what it did on the first day.",
    causes=("deliveries are kept in a table and never taken out", "a cache of what was seen keeps whole frames"),
    mutants=("keeps-some-of-each", "keeps-what-it-carried"),
    requires=("LIFE-024", "LINE-001"),
)
def carrying_keeps_nothing(bench: Bench) -> None:
    service, size = bench.name(), min(_PIECE, bench.guarantees.max_frame)
    affordable = int(bench.profile.budget * bench.target.time_scale / 4 / max(bench.pace, 1e-6))
    count = max(bench.profile.burst, min(_CARRIED // size, affordable))
    inbox, line = bench.inbox(service), bench.line()
    bench.did(f"made {count} round trips of {size:,} bytes, looked, and made as many again, one after the other")

    def carry() -> int:
        for number in range(count):
            bench.round_trip(line, inbox, service, b"%08d" % number * (size // 8))
            bench.trace.restart()  # which would keep them
        return peak()

    # The first ones fill whatever has a bound.
    before = carry()
    more = carry() - before
    most = max(count * size // 2, _NOISE)
    bench.expect.that(more < most, f"less than {most:,} bytes of memory more", f"{more:,} bytes more")
    _small_ones_are_let_go(bench, line, inbox, service)


def _small_ones_are_let_go(bench: Bench, line: Line, inbox: Inbox, service: str) -> None:
    """See that of many frames of 1 KiB not half is kept: too little for the system to tell, but Python counts it."""
    affordable = int(bench.profile.budget * bench.target.time_scale / 16 / max(bench.pace, 1e-6))
    count = max(_FEWEST_SMALL, min(_SMALL_CARRIED, affordable))
    bench.did(f"made {count} round trips of 1,024 bytes, counted what Python holds, and made as many again")

    def carry() -> int:
        for number in range(count):
            bench.round_trip(line, inbox, service, b"%08d" % number * 128)
            bench.trace.restart()  # which would keep them
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        # The first ones fill whatever has a bound.
        before = carry()
        more = carry() - before
    finally:
        if not traced:
            tracemalloc.stop()
    most = count * 512
    bench.expect.that(more < most, f"less than {most:,} bytes more that Python holds", f"{more:,} bytes more")


@rule(
    "CALL-007",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A request or a result over the size limit is FrameTooLarge at the caller, and the next call works.",
    intent="Nobody should learn about a limit from a call that never ends.",
    causes=("the frame is dropped below the core", "the attempt leaves the connection in an odd state"),
    mutants=("misnames-too-large",),
    requires=("LINE-012", "CALL-004"),
)
def size_limit(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    size = min(MAX_FRAME, bench.guarantees.max_frame)
    bench.did(f"sent parameters of {size:,} characters, then asked for a result of as many")
    ended = bench.call(client, f"{subject.name}.echo", {"value": "x" * size})
    bench.expect.that(isinstance(ended.error, FrameTooLarge), "FrameTooLarge for the request", repr(ended.error))
    ended = bench.call(client, f"{subject.name}.large", {"size": size})
    bench.expect.that(isinstance(ended.error, FrameTooLarge), "FrameTooLarge for the result", repr(ended.error))
    bench.expect.equal(bench.result(client, f"{subject.name}.echo", {"value": 1}), 1, "the result of the next call")
    bench.expect.equal([name for name, _ in subject.seen], ["large", "echo"], "the handlers that ran")


@rule(
    "ERR-004",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="What the transport could not do and what the service answered are errors of different classes.",
    intent="Who asks again after an answer runs things twice; who does not after a lost frame loses them.",
    causes=("everything becomes one error", "absence is reported as an answer"),
    mutants=("merges-errors",),
    requires=("LINE-013", "CALL-004"),
)
def failures_are_told_apart(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    answered = bench.call(client, f"{subject.name}.fail", {"text": "no"}).error
    bench.expect.that(isinstance(answered, RemoteError), "RemoteError for what a handler raised", repr(answered))
    absence = bench.guarantees.notices_absence
    timeout = bench.times.brief if absence is None else absence * bench.target.time_scale + bench.times.slack
    # Whoever notices without having declared it is told so elsewhere.
    wanted = (DeadlineExceeded, Unavailable) if absence is None else (Unavailable,)

    def once() -> float:
        ended = bench.call(client, f"{bench.name()}.echo", timeout=timeout)
        fits = isinstance(ended.error, wanted)
        words = " or ".join(kind.__name__ for kind in wanted)
        bench.expect.that(fits, f"{words} for an absent service", repr(ended.error))
        return ended.seconds

    bench.expect.promptly(once, timeout + bench.times.slack, "a call to an absent service")
