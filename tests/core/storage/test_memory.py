"""What only the store in memory does."""

from __future__ import annotations

from treaty.storage import MemoryStore

from .things import batch, put


def test_it_forgets_and_says_so() -> None:
    store = MemoryStore()
    assert not store.durable and not store.shared and repr(store) == "<MemoryStore closed>"
    store.open()
    store.write([batch(put("a"))])
    assert repr(store) == "<MemoryStore open>"
    store.close()
    store.open()
    assert not store.list("Host") and store.standing().sequence == 0
