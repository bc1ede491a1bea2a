"""Whether a log is the one that a subscriber has read, only longer: the lives of a store, one for each opening.

This room must not know databases or subscribers. The idea is Kafka's leader epochs (KIP-101): a number alone cannot
tell a log that went on from one that was cut back and written anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from treaty.storage.records import Lost, Position


class Life(Struct, frozen=True, kw_only=True):
    """An epoch, and the last sequence before it began. It lasts until the next one begins."""

    epoch: str
    start: int


def lost(position: Position, lives: Sequence[Life], *, floor: int, head: int) -> Lost | None:
    """Say why a subscriber that stands at a position cannot go on from there, or ``None`` if it can.

    Args:
        position: where it stands.
        lives: the epochs of the store, oldest first.
        floor: up to which sequence the log was pruned.
        head: the last sequence in the log.
    """
    for number, life in enumerate(lives):
        if life.epoch == position.epoch:
            end = lives[number + 1].start if number + 1 < len(lives) else head
            if not life.start <= position.sequence <= end:
                return "history"
            return "pruned" if position.sequence < floor else None
    return "history"
