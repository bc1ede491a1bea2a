"""Group commit: who writes at once shares a transaction, and everybody hears what became of his own batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from treaty.storage import Batch, Change, Event, MemoryStore, NotFound, Outcome
from treaty.storage.commits import Commits

from .things import LIMIT, batch, drop, put, spell


class Slow:
    """A store whose writes wait for a sign."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.store.open()
        self.groups: list[int] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.told: list[int] = []
        self.fail: Exception | None = None

    def write(self, batches: Sequence[Batch]) -> Sequence[Outcome]:
        self.groups.append(len(batches))
        self.entered.release()
        assert self.go.acquire(timeout=LIMIT)
        if self.fail is not None:
            raise self.fail
        return self.store.write(batches)

    def then(self, changes: list[Change]) -> None:
        self.told += [change.sequence for change in changes]


def start(commits: Commits, given: Batch, results: list[object]) -> threading.Thread:
    def work() -> None:
        try:
            results.append(commits.commit(given))
        except Exception as raised:
            results.append(raised)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def waiting(commits: Commits, number: int) -> bool:
    from .things import eventually

    return eventually(lambda: len(commits._waiting) == number)


def test_those_who_wait_are_written_together() -> None:
    slow, results = Slow(), list[object]()
    commits = Commits(slow.write, slow.then)
    threads = [start(commits, batch(put("first")), results)]
    assert slow.entered.acquire(timeout=LIMIT)
    threads += [start(commits, batch(put(str(number)), put(f"{number}b")), results) for number in range(9)]
    threads.append(start(commits, batch(drop("never")), results))
    assert waiting(commits, 10)
    slow.go.release(2)
    for thread in threads:
        thread.join(LIMIT)
    assert slow.groups == [1, 10]
    assert slow.told == list(range(1, 20))
    errors = [one for one in results if isinstance(one, NotFound)]
    changes = sorted(one[0].sequence for one in results if isinstance(one, tuple))
    assert len(errors) == 1 and changes == [1, *range(2, 20, 2)]


def test_a_group_is_bounded_but_a_large_batch_is_done() -> None:
    slow, results = Slow(), list[object]()
    commits = Commits(slow.write, slow.then)
    threads = [start(commits, batch(put("first")), results)]
    assert slow.entered.acquire(timeout=LIMIT)
    for size in (1_500, 600, 300, 200):
        threads.append(start(commits, batch(*(put(f"{size}-{number}") for number in range(size))), results))
        assert waiting(commits, len(threads) - 1)
    slow.go.release(9)
    for thread in threads:
        thread.join(LIMIT)
    assert slow.groups == [1, 1, 2, 1]
    assert slow.told == list(range(1, 2_602))


@pytest.mark.parametrize("error", [OSError("disk"), NotFound("Host", "x")])
def test_when_the_transaction_fails_all_of_the_group_hear_of_it_and_the_next_go_on(error: Exception) -> None:
    slow, results = Slow(), list[object]()
    commits = Commits(slow.write, slow.then)
    threads = [start(commits, batch(put("a")), results)]
    assert slow.entered.acquire(timeout=LIMIT)
    threads += [start(commits, batch(put("b")), results), start(commits, batch(put("c")), results)]
    assert waiting(commits, 2)
    slow.go.release()
    assert slow.entered.acquire(timeout=LIMIT)
    slow.fail = error
    slow.go.release()
    for thread in threads:
        thread.join(LIMIT)
    assert results[0] == slow.store.changes_after(0).changes and results[1:] == [error, error]
    slow.fail = None
    slow.go.release()
    assert spell(commits.commit(batch(put("d")))) == [(2, Event.CREATED.value, "d")]


def five_at_once(commits: Commits, slow: Slow, results: list[object]) -> None:
    """Have one write, and then four who came meanwhile: so many are there just now."""
    threads = [start(commits, batch(put("first")), results)]
    assert slow.entered.acquire(timeout=LIMIT)
    threads += [start(commits, batch(put(str(number))), results) for number in range(4)]
    assert waiting(commits, 4)
    slow.go.release(2)
    for thread in threads:
        thread.join(LIMIT)
    assert slow.entered.acquire(timeout=LIMIT)
    assert slow.groups == [1, 4]


def test_a_transaction_waits_for_half_of_those_who_were_there_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treaty.storage.commits._GATHER", LIMIT)
    slow, results = Slow(), list[object]()
    commits = Commits(slow.write, slow.then)
    five_at_once(commits, slow, results)
    slow.go.release()
    threads = [start(commits, batch(put("early")), results)]
    assert waiting(commits, 1)
    threads.append(start(commits, batch(put("late")), results))
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert slow.groups == [1, 4, 2]


def test_it_does_not_wait_long_for_them_nor_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, results = Slow(), list[object]()
    commits = Commits(slow.write, slow.then)
    five_at_once(commits, slow, results)
    slow.go.release(2)
    commits.commit(batch(put("alone")))
    monkeypatch.setattr("treaty.storage.commits._GATHER", 2 * LIMIT)
    start(commits, batch(put("still alone")), results).join(LIMIT)
    assert slow.groups == [1, 4, 1, 1]
