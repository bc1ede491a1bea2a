"""How far the log is published."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from treaty.storage.progress import Progress


def test_nothing_is_published_behind_a_hole() -> None:
    progress = Progress()
    for sequence in (1, 2, 4, 5):
        progress.note(sequence)
    assert progress.reached_from(0) == 2
    assert progress.reached_from(3) == 5
    assert progress.pending


def test_what_the_store_knows_is_forgotten() -> None:
    progress = Progress()
    for sequence in (1, 2, 3, 7):
        progress.note(sequence)
    progress.settle(3)
    assert progress.pending and progress.reached_from(3) == 3
    progress.settle(7)
    assert not progress.pending


def test_what_nobody_can_publish_any_more_counts_as_published() -> None:
    progress = Progress()
    progress.note(9)
    progress.note_all(8)
    assert progress.reached_from(2) == 9


def test_it_does_not_grow_without_bounds() -> None:
    progress = Progress()
    for sequence in range(0, 10_000, 2):
        progress.note(sequence)
    assert len(progress._ranges) == 1_000


@given(st.lists(st.lists(st.integers(1, 30), max_size=20), min_size=1, max_size=4), st.data())
def test_workers_together_never_claim_what_none_of_them_has_published(
    done: list[list[int]], data: st.DataObject
) -> None:
    workers = [Progress() for _ in done]
    published, noted = 0, set()
    steps = [(number, sequence) for number, one in enumerate(done) for sequence in sorted(set(one))]
    for number, sequence in data.draw(st.permutations(steps)):
        workers[number].note(sequence)
        noted.add(sequence)
        published = workers[number].reached_from(published)
        workers[number].settle(published)
        assert set(range(1, published + 1)) <= noted
