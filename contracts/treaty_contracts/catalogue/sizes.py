"""LINE: frames of every size and of any bytes, up to the declared limit and one byte beyond it.

It must not know how large any particular transport's frames may be: it asks the declaration.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Final

from hypothesis import strategies as st

from treaty import FrameTooLarge
from treaty_contracts.bench import Bench
from treaty_contracts.registry import Level, Strength, rule

#: Frames that have broken transports before: terminators, markers, escapes, and the edges of buffers.
_AWKWARD = (
    b"\x00", b"\n", b"\r\n\r\n", b"\xff\xfe", b'{"a": 1}', b"[1]", b"null", b" ", "ü".encode("latin-1"),
    "✓".encode(), bytes(range(256)), b"\x00" * 1000,
)  # fmt: skip
_EDGES = tuple(2**power + step for power in range(4, 17) for step in (-1, 0, 1))[:-1]
#: How much a reader takes at once, often, and how much of it a transport's own header may be.
_READ, _HEADER = 65_536, 96
#: Beyond the size that every transport takes: where libraries begin another fragment, block or buffer.
_LARGE_EDGES: Final = (65_537, 100_000, 131_071, 131_072, 131_073, 200_000, 262_144)
#: Up to what size is drawn: what is larger costs more than it tells, but for the limit itself.
_LARGEST_DRAWN: Final = 4 * 1024 * 1024
#: The size of large frames among small ones, how many there are at most, how many small ones come before, and how often.
_MIXED_IN: Final = 200_000
_LARGE_IN_BURST, _BEFORE_LARGE, _SMALL_BETWEEN = 8, 2, 5
#: Larger than any buffer on the way, and smaller than most limits.
_MEDIUM: Final = 1024 * 1024 + 7


def large_sizes(bench: Bench) -> Iterator[int]:
    """Say which sizes over 64 KiB to try: edges, and drawn ones while there is time.

    Each order of magnitude is drawn as often as any other. Where no more than 64 KiB is declared, there are none.
    The limit itself is not among them.
    """
    limit = min(bench.guarantees.max_frame, _LARGEST_DRAWN)
    end = time.monotonic() + bench.profile.budget * bench.target.time_scale / 8
    if limit <= _READ + 1:
        return
    yield from (size for size in _LARGE_EDGES if size < limit)
    for _ in range(bench.profile.examples):
        if time.monotonic() > end:
            break
        yield int(math.exp(bench.random.uniform(math.log(_READ + 1), math.log(limit - 1))))


def mixed_sizes(bench: Bench, count: int) -> list[bytes]:
    """Return numbered frames for a burst: small ones, and among the first of them some that are far larger."""
    size = min(_MIXED_IN, bench.guarantees.max_frame)
    large = range(_BEFORE_LARGE, min(count, _BEFORE_LARGE + _LARGE_IN_BURST * _SMALL_BETWEEN), _SMALL_BETWEEN)
    return [b"%06d" % number + bytes(size - 6 if number in large else 0) for number in range(count)]


@rule(
    "LINE-001",
    level=Level.MUST,
    sentence="A frame of any bytes, of one byte up to below max_frame, arrives unchanged in both directions.",
    intent="Frames are sealed: one bit that changes on the way makes a message worthless.",
    causes=(
        "the bytes pass through text, base64 or JSON",
        "a terminator or a length field of 8 or 16 bits",
        "frames are joined, split or stripped",
        "a read that fills its buffer is taken for the end, or for no more than a part",
        "what is too large for one piece is lost, or put together wrongly",
    ),
    mutants=(
        "cuts-at-64k",
        "cuts-at-nul",
        "flips-a-bit",
        "loses-full-reads",
        "loses-some-sizes",
        "passes-through-text",
        "strips-blanks",
    ),
    requires=("SETUP-005",),
    strength=Strength.STOCHASTIC,
)
def bytes_travel_unchanged(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    bench.did("sent frames of awkward bytes and drawn ones, and replied each")
    edges = [bench.random.randbytes(size) for size in _EDGES if size <= bench.guarantees.max_frame]
    for frame in (*_AWKWARD, *edges):
        bench.round_trip(line, inbox, service, frame)
    affordable = int(bench.profile.budget * bench.target.time_scale / 2 / max(bench.pace, 1e-6))
    bench.did(f"sent frames that, with a header of up to {_HEADER} bytes, are {_READ:,} bytes")
    for header in range(1, min(_HEADER, affordable) + 1):
        bench.round_trip(line, inbox, service, bytes(_READ - header))
    bench.did("sent frames of more than 64 KiB, of edges of sizes and drawn ones, as far as they are declared")
    for size in large_sizes(bench):
        bench.round_trip(line, inbox, service, bench.random.randbytes(size))
        bench.trace.restart()  # which would keep them
    drawn = st.binary(min_size=1, max_size=2048)
    bench.each(drawn, lambda frame: bench.round_trip(line, inbox, service, frame))


@rule(
    "LINE-012",
    level=Level.MUST,
    sentence="max_frame bytes of any kind travel both ways; one byte more is FrameTooLarge, and the line stays usable.",
    intent="The core plans with the declared limit; a frame that vanishes there is a call that never ends.",
    causes=(
        "one read of a stream is taken for the whole frame, of which it is a part",
        "a limit of the library or the broker is lower than what is declared",
        "the limit is not checked",
        "the connection is broken by the attempt",
    ),
    mutants=(
        "ends-the-process",
        "foreign-error-in-send",
        "hangs-for-ever",
        "lies-about-max-frame",
        "no-size-check",
        "poisoned-by-size",
    ),
    requires=("LINE-001",),
)
def frame_limit(bench: Bench) -> None:
    service = bench.name()
    inbox, line = bench.inbox(service), bench.line()
    limit = bench.guarantees.max_frame
    bench.did(f"sent and replied {limit:,} bytes, drawn ones and zeros, and tried one more")
    bench.round_trip(line, inbox, service, bench.random.randbytes(min(_MEDIUM, limit)))
    bench.round_trip(line, inbox, service, bench.random.randbytes(limit))
    largest = bytes(limit)
    bench.round_trip(line, inbox, service, largest)
    over = largest + b"x"
    bench.expect.raises(FrameTooLarge, lambda: line.send(service, over, bench.times.arrive), "send, one byte over")
    line.send(service, b"small", bench.times.arrive)
    delivery = bench.arrives(inbox)
    bench.expect.equal(delivery.frame, b"small", "what arrives after the attempt")
    bench.expect.raises(FrameTooLarge, lambda: delivery.reply(over), "reply, one byte over")
    if bench.guarantees.notifications:
        publish = bench.transport("service").publish
        bench.expect.raises(FrameTooLarge, lambda: publish(bench.name("c"), over), "publish, one byte over")
    delivery.reply(b"small")
    delivery.settle()
    bench.expect.equal(bench.returns(line), b"small", "what comes back after the attempt")
