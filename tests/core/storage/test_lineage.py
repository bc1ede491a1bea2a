"""Whether a log went on, or was cut back and written anew."""

from __future__ import annotations

import pytest

from treaty.storage import Position
from treaty.storage.lineage import Life, lost
from treaty.storage.records import Lost

LIVES = [Life(epoch="a", start=0), Life(epoch="b", start=10), Life(epoch="c", start=10), Life(epoch="d", start=15)]


@pytest.mark.parametrize(
    ("epoch", "sequence", "expected"),
    [
        ("d", 20, None),
        ("d", 15, None),
        ("a", 10, None),
        ("c", 12, None),
        ("a", 11, "history"),  # it was longer once: a backup was restored
        ("b", 11, "history"),
        ("d", 21, "history"),
        ("d", 14, "history"),
        ("x", 3, "history"),  # an epoch that the backup knows nothing of
        ("a", 4, "pruned"),
        ("a", 5, None),
    ],
)
def test_who_can_go_on(epoch: str, sequence: int, expected: Lost | None) -> None:
    assert lost(Position(epoch=epoch, sequence=sequence), LIVES, floor=5, head=20) == expected


def test_a_store_without_lives_is_nobodys() -> None:
    assert lost(Position(epoch="a", sequence=0), [], floor=0, head=0) == "history"
