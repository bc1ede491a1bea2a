"""The present, as the engine is told it. This room must not know any clock."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

#: How far two clocks may be apart, in milliseconds.
SKEW_MS: Final = 30_000
#: The longest time that a call may take, in seconds.
MAX_TTL: Final = 86_400.0


class Instant(Struct, frozen=True):
    """The present, on two clocks: ``wall`` in milliseconds since the epoch, ``steady`` in seconds from anywhere."""

    wall: int
    steady: float
