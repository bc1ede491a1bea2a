"""A store in SQL, through SQLAlchemy Core: SQLite in a file, or PostgreSQL. Its tables and engines have
rooms of their own; nobody else knows SQLAlchemy. The feed's one row is locked by whoever writes, so that sequences have
no holes and are committed in their order. This room must not know models or services.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from treaty.storage.causes import cause
from treaty.storage.checks import Damaged, check_tables, feed_of, lives_of
from treaty.storage.engines import LOCK, WRITES, execute, make_engine, read_url, readers, shown
from treaty.storage.errors import StorageError, StoreUnavailable, Unreadable
from treaty.storage.lineage import lost
from treaty.storage.memory import RETAIN
from treaty.storage.planning import Outcome, Plan, identities, plan
from treaty.storage.records import PAGE, Batch, Entry, Identity, Page, Position, Standing
from treaty.storage.rows import change_of, entry_of, row_of, text_of
from treaty.storage.store import Store
from treaty.storage.tables import (
    ADVANCE,
    CHANGES,
    DELETE,
    FEED,
    INSERT,
    LIVES,
    LOCK_FEED,
    LOG,
    METADATA,
    OBJECTS,
    PRUNE,
    READ,
    READ_FEED,
    READ_ONE,
    SCHEMA,
    UPDATE,
    read_some,
)

_LOG: Final = logging.getLogger("treaty.storage")
_EMPTIED: Final = "the file was emptied: put back a backup, and start the service again"
_WRITTEN_OVER: Final = "the file holds another history than before, it was written over: start the service again"
#: How many keys one SELECT looks for.
_AT_ONCE: Final = 512


class SqlStore(Store):
    """Keeps objects in a database, with one feed for all of them.

    Args:
        url: as SQLAlchemy writes it: ``sqlite:////var/lib/app.db``, ``postgresql://user:password@host/database``.
        retain: how many changes the log holds.

    Raises:
        ConfigurationError: a URL that cannot be read, of another database, or whose driver is not installed.
    """

    durable: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def __init__(self, url: str, *, retain: int = RETAIN) -> None:
        self._url = read_url(url)
        self._retain = retain
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._path = Path(self._url.database or "").absolute()
        self._name = str(self._path) if self._sqlite else shown(self._url)
        self._engine: sa.Engine | None = None
        #: Held by whoever writes; the connection for it is kept, as taking one costs as much as a statement or two.
        self._writes = threading.Lock()
        self._kept: Connection | None = None
        self._file = (0, 0)
        #: Where the log ended when we last held it, and where it ends after what is being written.
        self._known: Position | None = None
        self._head = 0
        #: Why the file is of no use until it is opened anew, whatever is put in its place; empty while it is sound.
        self._ruined = ""
        #: Whether a connection was lost: what the other end did in the meantime is not known, so a new epoch begins.
        self._lost_sight = False

    def __repr__(self) -> str:
        return f"<SqlStore {self._name} {'closed' if self._engine is None else 'open'}>"

    def open(self) -> None:
        self._file, self._known, self._ruined = (0, 0), None, ""
        if self._sqlite:
            self._look_at_file()
        self._engine = make_engine(self._url)
        try:
            with self._translated(), self._engine.connect().execution_options(**{WRITES: True}) as found:
                self._prepare(found)
                found.commit()
            if self._sqlite:
                self._file = _identity(self._path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        engine, self._engine = self._engine, None
        if self._writes.acquire(timeout=LOCK):  # else its owner hangs, and so would we
            self._let_go()
            self._writes.release()
        if engine is not None:
            engine.dispose()

    def standing(self) -> Standing:
        with self._reading() as connection:
            feed = feed_of(connection.execute(READ_FEED).all())
        return Standing(epoch=feed.epoch, sequence=feed.sequence, published=feed.published)

    def get(self, model: str, keys: Sequence[str]) -> dict[str, Entry]:
        with self._reading() as connection:
            return {key: entry for (_, key), entry in _entries(connection, [(model, key) for key in keys]).items()}

    def list(self, model: str, *, after: str = "", limit: int = PAGE) -> Sequence[Entry]:
        query = READ.where(OBJECTS.c.model == model, OBJECTS.c.key > after).order_by(OBJECTS.c.key).limit(limit)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [entry_of(model, row) for row in rows]

    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        try:
            return self._write(batches, reached)
        except StorageError as error:
            of_one = isinstance(error, Unreadable) or isinstance(error.__cause__, sa.exc.DataError)
            if len(batches) == 1 or not of_one:
                raise
        # One of them is more than the database can take, or about what cannot be read; the others shall not suffer.
        outcomes: list[Outcome] = []
        for batch in batches:
            try:
                outcomes += self._write([batch], reached)
            except StorageError as error:
                outcomes.append(error)
        return outcomes

    def note_published(self, reached: Callable[[int], int]) -> Standing:
        with self._writing() as (connection, feed):
            epoch, sequence, before, floor, _ = feed
            published = reached(before)
            if published != before:
                connection.execute(ADVANCE, {"at_sequence": sequence, "up_to": published, "at_floor": floor})
            return Standing(epoch=epoch, sequence=sequence, published=published)

    def changes_since(self, position: Position, *, limit: int = PAGE) -> Page:
        with self._reading() as connection:
            epoch, head, _, floor, _ = feed_of(connection.execute(READ_FEED).all())
            why = lost(position, lives_of(connection), floor=floor, head=head)
            if why is not None:
                return Page(epoch=epoch, head=head, lost=why)
            page = _page(connection, position.sequence, limit, epoch=epoch, head=head)
        # Nobody is led across a hole: what is before it is good, and behind it only everything helps.
        whole = tuple(one for number, one in enumerate(page.changes, position.sequence + 1) if one.sequence == number)
        last = position.sequence + len(whole)
        if len(whole) == limit or last == head:
            return page
        _LOG.warning("%s: change %d is not in %s any more", self._name, last + 1, CHANGES.name)
        return Page(epoch=epoch, head=head, changes=whole, more=bool(whole), lost=None if whole else "pruned")

    def changes_after(self, sequence: int, *, limit: int = PAGE) -> Page:
        with self._reading() as connection:
            epoch, head, _, floor, _ = feed_of(connection.execute(READ_FEED).all())
            return _page(connection, max(sequence, floor), limit, epoch=epoch, head=head)

    # Inside

    def _write(self, batches: Sequence[Batch], reached: Callable[[int], int]) -> Sequence[Outcome]:
        with self._writing() as (connection, feed):
            epoch, head, before, floor, _ = feed
            existing = _entries(connection, identities(batches))
            at = time.time_ns() // 1_000_000
            planned = plan(batches, existing, epoch=epoch, head=head, at=at)
            published = reached(before)
            if planned.changes or published != before:
                self._head = head = head + len(planned.changes)
                floor = self._pruned(connection, head, floor)
                execute(connection, ADVANCE, {"at_sequence": head, "up_to": published, "at_floor": floor})
            if planned.changes:
                _carry_out(connection, planned, existing)
        return planned.outcomes

    def _pruned(self, connection: Connection, head: int, floor: int) -> int:
        if head - floor <= self._retain + max(self._retain // 10, 1):
            return floor
        floor = head - self._retain
        connection.execute(PRUNE, {"up_to": floor})
        lives = connection.execute(sa.select(LIVES.c.number, LIVES.c.start).order_by(LIVES.c.number)).all()
        over = [life.number for life, following in itertools.pairwise(lives) if following.start <= floor]
        if over:
            connection.execute(sa.delete(LIVES).where(LIVES.c.number <= over[-1]))
        return floor

    def _prepare(self, connection: Connection) -> None:
        if not self._sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7238942)"))  # two workers may begin at once
        if not check_tables(connection, self._name):
            METADATA.create_all(connection)
            first = {"id": 1, "schema": SCHEMA, "epoch": "", "sequence": 0, "published": 0, "floor": 0}
            connection.execute(sa.insert(FEED), first)
        feed = _begin_epoch(connection)
        self._known = Position(epoch=feed.epoch, sequence=feed.sequence)

    def _look_at_file(self) -> None:
        """Look at the tables before anything is written: the journal mode alone would alter the file."""
        if not self._path.exists():
            return
        if not self._path.is_file():
            raise StoreUnavailable(self._name, "this is no file")
        if not self._path.stat().st_size:
            _LOG.warning("%s is there, and empty: a new store is made in it", self._name)
            return
        for reader in readers(self._path):
            with self._translated(), reader.connect() as connection:
                check_tables(connection, self._name)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._translated(), self._usable().connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Any]]:
        """Hold the feed's row, so that nobody else writes, and see that it goes on from where it was."""
        with self._translated(), self._writes:
            engine = self._usable()
            if self._kept is None:
                self._kept = engine.connect().execution_options(**{WRITES: True})
            try:
                feed = feed_of(self._kept.execute(LOCK_FEED).all())
                if self._lost_sight or not self._goes_on(self._kept, feed):
                    feed = _begin_epoch(self._kept)
                self._head = feed.sequence
                yield self._kept, feed
                self._commit(self._kept)
            except BaseException:
                self._let_go()  # nobody knows what state it is in
                raise
            self._lost_sight = False
            self._known = Position(epoch=feed.epoch, sequence=self._head)

    def _commit(self, connection: Connection) -> None:
        """End the transaction, and say so where nobody can tell whether it was done.

        Raises:
            StoreUnavailable: the connection was lost before the answer came.
        """
        try:
            connection.commit()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self._lost_sight = True
            why = (
                f"the connection was lost while it wrote, so what was to be written may be there ({cause(error, None)})"
            )
            raise StoreUnavailable(self._name, why) from error

    def _goes_on(self, connection: Connection, feed: Any) -> bool:
        """Whether this is the log that we know, only longer. It is another one where a backup was put in its place.

        Raises:
            StoreUnavailable: it is another one in SQLite, where what we still hold would be mixed into it.
        """
        known = self._known
        if known is None or (feed.epoch == known.epoch and feed.sequence >= known.sequence):
            return True
        if lost(known, lives_of(connection), floor=feed.floor, head=feed.sequence) != "history":
            return True
        if self._sqlite and feed.floor <= known.sequence:  # else our life may only have been pruned
            self._ruined = _WRITTEN_OVER
            raise StoreUnavailable(self._name, self._ruined)
        return False

    def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            with suppress(SQLAlchemyError):
                kept.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                self._lost_sight = True
            # SQLite says "locked" of a file that was emptied.
            why = self._trouble() or cause(error, self._path if self._sqlite else None)
            raise StoreUnavailable(self._name, why) from error
        except Damaged as error:
            raise StoreUnavailable(self._name, self._trouble() or str(error)) from None

    def _trouble(self) -> str:
        """Say what became of the file since it was opened: SQLite would go on writing where nobody will find it."""
        if self._ruined or self._file == (0, 0):
            return self._ruined
        try:
            found = self._path.stat()
        except OSError:
            return "the file is gone: put it back, and start the service again"
        if (found.st_dev, found.st_ino) != self._file:
            return "the file is another one than before: start the service again"
        if not found.st_size:
            self._ruined = _EMPTIED
        return self._ruined

    def _usable(self) -> sa.Engine:
        if self._engine is None:
            raise StoreUnavailable(self._name, "the store is closed")
        if trouble := self._trouble():
            raise StoreUnavailable(self._name, trouble)
        return self._engine


def _begin_epoch(connection: Connection) -> Any:
    """Begin a new epoch and return the feed's row."""
    connection.execute(sa.update(FEED).values(epoch=os.urandom(8).hex()))
    feed = connection.execute(READ_FEED).one()
    connection.execute(sa.insert(LIVES), {"epoch": feed.epoch, "start": feed.sequence})
    return feed


def _entries(connection: Connection, wanted: Sequence[Identity]) -> dict[Identity, Entry]:
    found: dict[Identity, Entry] = {}
    if len(wanted) == 1:
        model, key = wanted[0]
        row = connection.execute(READ_ONE, {"of": model, "called": key}).one_or_none()
        return {} if row is None else {(model, key): entry_of(model, row)}
    for model in dict.fromkeys(model for model, _ in wanted):
        keys = [key for one, key in wanted if one == model]
        for start in range(0, len(keys), _AT_ONCE):
            few = keys[start : start + _AT_ONCE]
            # The last one fills it up to a power of two, so that there are few statements.
            count = 1 << (len(few) - 1).bit_length()
            names = {f"k{number}": few[min(number, len(few) - 1)] for number in range(count)}
            # Read to the end before a row may turn out to be damaged: SQLite is locked by what is half read.
            rows = execute(connection, read_some(count), {"of": model, **names}).all()
            found |= {(model, row[0]): entry_of(model, row) for row in rows}
    return found


def _carry_out(connection: Connection, planned: Plan, existing: dict[Identity, Entry]) -> None:
    new, changed, gone = [], [], []
    for (model, key), entry in planned.entries.items():
        if entry is None:
            if (model, key) in existing:  # not made and unmade in one go
                gone.append({"of": model, "called": key})
        elif (model, key) in existing:
            changed.append({"of": model, "called": key, "v": entry.version, "d": text_of(entry.data)})
        else:
            new.append({"model": model, "key": key, "version": entry.version, "data": text_of(entry.data)})
    for statement, rows in ((INSERT, new), (UPDATE, changed), (DELETE, gone)):
        if rows:
            execute(connection, statement, rows)
    execute(connection, LOG, [row_of(change) for change in planned.changes])


def _page(connection: Connection, after: int, limit: int, *, epoch: str, head: int) -> Page:
    query = sa.select(CHANGES).where(CHANGES.c.sequence > after, CHANGES.c.sequence <= head)
    rows = connection.execute(query.order_by(CHANGES.c.sequence).limit(limit)).all()
    changes = tuple(map(change_of, rows))
    last = changes[-1].sequence if changes else head
    return Page(epoch=epoch, head=head, changes=changes, more=last < head)


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
