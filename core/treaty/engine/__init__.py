"""The two pumps: :class:`Caller` for the end that asks, :class:`Answerer` for the end that is asked.

Bytes and ``now`` go in, events and bytes come out. No socket, clock, thread or waiter lives here. Every rule of the
protocol is in this room or above it.
"""

from treaty.engine.answerer import Answer, Answerer, Asked, Dropped, Exchange, Run, Stop
from treaty.engine.caller import Caller, Ended, Happened, Ignored, Outgoing, Progressed
from treaty.engine.instant import MAX_TTL, SKEW_MS, Instant

__all__ = [
    "MAX_TTL",
    "SKEW_MS",
    "Answer",
    "Answerer",
    "Asked",
    "Caller",
    "Dropped",
    "Ended",
    "Exchange",
    "Happened",
    "Ignored",
    "Instant",
    "Outgoing",
    "Progressed",
    "Run",
    "Stop",
]
