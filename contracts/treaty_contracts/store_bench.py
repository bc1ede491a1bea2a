"""The workbench of a rule about stores: fresh storage, stores on it, and everything put away.

Every call to a store is written down, as frames are for transports. This room must not know which rule it serves.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

from treaty.storage import Batch, Change, Entry, Event, Outcome, Page, Position, Standing, StorageError, Store, Write
from treaty_contracts.expect import shown
from treaty_contracts.profile import Profile
from treaty_contracts.store_target import RETAIN, Promises, StoreContext, StoreTarget
from treaty_contracts.workbench import Workbench, quietly

_T = TypeVar("_T")
#: What the rules keep: any model and field will do.
MODEL: Final = "Thing"
#: The field that never gets into a log.
HIDDEN: Final = "secret"
#: More than any rule writes.
ALL: Final = 100_000


def put(key: str, value: Any = 1, *, expected: int | None = None, model: str = MODEL, secret: Any = None) -> Write:
    """Return a write that creates or replaces an object, with a hidden field if that is given."""
    data = {"value": value} if secret is None else {"value": value, HIDDEN: secret}
    return Write(model=model, key=key, data=data, hidden=(HIDDEN,), expected=expected)


def drop(key: str, *, expected: int | None = None, model: str = MODEL) -> Write:
    """Return a write that deletes an object."""
    return Write(model=model, key=key, data=None, hidden=(HIDDEN,), expected=expected)


def versions(store: Store, model: str = MODEL) -> dict[str, int]:
    """Return the version of each object."""
    return {entry.key: entry.version for entry in store.list(model, limit=ALL)}


def log(store: Store, after: int = 0) -> list[Change]:
    """Return what is in the log."""
    return list(store.changes_after(after, limit=ALL).changes)


def spelled(changes: Sequence[Change]) -> list[tuple[int, str, str]]:
    """Return changes as far as most rules care."""
    return [(change.sequence, str(change.event.value), change.key) for change in changes]


def done(outcome: Outcome) -> tuple[Change, ...]:
    """Return the changes of a batch that must be done.

    Raises:
        StorageError: it was not.
    """
    if isinstance(outcome, StorageError):
        raise outcome
    return outcome


class StoreBench(Workbench):
    """What a rule about stores works on.

    Args:
        target: the store under test.
        profile: how thoroughly to look.
        number: the seed of everything that is drawn.
    """

    def __init__(self, target: StoreTarget, profile: Profile, number: int = 0) -> None:
        super().__init__(target, profile, number)
        self.target: Final = target
        self._made = count(1)
        self._contexts: list[StoreContext] = []
        self._pace: float | None = None

    def storage(self, *, retain: int = RETAIN) -> StoreContext:
        """Return fresh storage, which is removed with the bench."""
        folder = tempfile.TemporaryDirectory(prefix="contract-store-", ignore_cleanup_errors=True)
        self._stack.callback(folder.cleanup)
        context = StoreContext(
            namespace="c" + os.urandom(6).hex(),
            folder=Path(folder.name),
            retain=retain,
            time_scale=self.target.time_scale,
        )
        if self.target.drop is not None:
            remove = self.target.drop
            self._stack.callback(lambda: quietly(lambda: remove(context)))
        return context

    def closed(self, storage: StoreContext | None = None) -> Store:
        """Return a store that was never opened, on fresh storage or on this."""
        context = storage or self.storage()
        made = Recording(self.target.opened(context), self.trace.say, f"store-{next(self._made)}")
        return self.keep(made)

    def open(self, storage: StoreContext | None = None) -> Store:
        """Return an open store, on fresh storage or on this."""
        made = self.closed(storage)
        made.open()
        return made

    @property
    def promises(self) -> Promises:
        """What the store declares."""
        return self.target.promises(self.storage())

    @property
    def pace(self) -> float:
        """The seconds of one write: the quicker of two."""
        if self._pace is None:
            took = []
            store = self.open()
            for number in range(2):
                started = time.monotonic()
                store.write([(put(str(number)),)])
                took.append(time.monotonic() - started)
            store.close()
            self._pace = min(took)
        return self._pace

    def close(self) -> None:
        """Put everything away."""
        self._stack.close()


class Recording(Store):
    """A store that writes down what is called, and changes nothing."""

    def __init__(self, inner: Store, say: Callable[[str], None], label: str) -> None:
        self.inner = inner
        self._say = say
        self._label = label
        self.durable = inner.durable  # type: ignore[misc]  # of this one, as the class inside says
        self.shared = inner.shared  # type: ignore[misc]

    def open(self) -> None:
        self._do("open()", self.inner.open)

    def close(self) -> None:
        self._do("close()", self.inner.close)

    def standing(self) -> Standing:
        return self._do("standing()", self.inner.standing)

    def get(self, model: str, keys: Sequence[str]) -> dict[str, Entry]:
        return self._do(f"get({model!r}, {keys!r})", lambda: self.inner.get(model, keys))

    def list(self, model: str, *, after: str = "", limit: int = 500) -> Sequence[Entry]:
        what = f"list({model!r}, after={after!r}, limit={limit})"
        return self._do(what, lambda: self.inner.list(model, after=after, limit=limit))

    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        return self._do(f"write({_batches(batches)})", lambda: self.inner.write(batches, reached=reached))

    def note_published(self, reached: Callable[[int], int]) -> Standing:
        return self._do("note_published(...)", lambda: self.inner.note_published(reached))

    def changes_since(self, position: Position, *, limit: int = 500) -> Page:
        what = f"changes_since({position!r}, limit={limit})"
        return self._do(what, lambda: self.inner.changes_since(position, limit=limit))

    def changes_after(self, sequence: int, *, limit: int = 500) -> Page:
        what = f"changes_after({sequence!r}, limit={limit})"
        return self._do(what, lambda: self.inner.changes_after(sequence, limit=limit))

    def _do(self, what: str, action: Callable[[], _T]) -> _T:
        try:
            result = action()
        except BaseException as raised:
            self._say(f"{self._label}.{shown(what)} raised {shown(repr(raised))}")
            raise
        self._say(f"{self._label}.{shown(what)} -> {shown(_short(result))}")
        return result


def _batches(batches: Sequence[Batch]) -> str:
    shown_ones = [
        [f"{'drop' if one.data is None else 'put'} {one.key!r}{_expected(one)}" for one in batch] for batch in batches
    ]
    return ", ".join(f"[{', '.join(batch)}]" for batch in shown_ones)


def _expected(write: Write) -> str:
    return "" if write.expected is None else f" if version {write.expected}"


def _short(result: Any) -> str:
    if isinstance(result, Page):
        lost = f", lost={result.lost}" if result.lost else ""
        return f"head {result.head}, {spelled(result.changes)}{lost}{', more' if result.more else ''}"
    if isinstance(result, list | tuple) and result and not isinstance(result[0], Entry):
        return str([spelled(one) if isinstance(one, tuple) else repr(one) for one in result])
    return repr(result)


__all__ = ["Event", "StoreBench", "done", "drop", "log", "put", "spelled", "versions"]
