"""How far the log is published, when several workers publish and any of them may die in between.

This room must not know stores, threads or clocks: sequences go in, the last one before which nothing is missing comes
out.
"""

from __future__ import annotations

from typing import Final

#: How many ranges are remembered; what is forgotten is published once more, and ignored by who has it.
_MOST: Final = 1_000


class Progress:
    """The sequences that this worker has published, as far as the store has not been told.

    The store keeps the one number that all workers share: everything up to it is published. Whoever writes to the
    store carries it on by what is remembered here.
    """

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    @property
    def pending(self) -> bool:
        """Whether there is something that the store may not have been told."""
        return bool(self._ranges)

    def note_all(self, sequence: int) -> None:
        """Remember that everything up to a sequence is published, or can be published by nobody any more."""
        self._ranges = [(1, sequence), *(one for one in self._ranges if one[1] > sequence)]

    def note(self, sequence: int) -> None:
        """Remember that a change is published."""
        if self._ranges and self._ranges[-1][1] + 1 == sequence:
            self._ranges[-1] = (self._ranges[-1][0], sequence)
        elif len(self._ranges) < _MOST:
            self._ranges.append((sequence, sequence))

    def reached_from(self, published: int) -> int:
        """Return up to where everything is published, if everything is up to ``published``."""
        for first, last in sorted(self._ranges):
            if first > published + 1:
                break
            published = max(published, last)
        return published

    def settle(self, published: int) -> None:
        """Forget what the store knows now."""
        if self._ranges and self._ranges[0][0] <= published:
            self._ranges = [one for one in self._ranges if one[1] > published]
