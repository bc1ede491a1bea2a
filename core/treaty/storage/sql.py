"""A store in SQL, through SQLAlchemy Core: SQLite in a file, or PostgreSQL. Its tables and engines have
rooms of their own; nobody else knows SQLAlchemy. The feed's one row is locked by whoever writes, so that sequences have
no holes and are committed in their order. This room must not know models or services.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from treaty.storage.engines import LOCK, WRITES, make_engine, read_url
from treaty.storage.errors import IncompatibleSchema, StoreUnavailable
from treaty.storage.lineage import Life, lost
from treaty.storage.memory import RETAIN
from treaty.storage.planning import Outcome, Plan, identities, plan
from treaty.storage.records import PAGE, Batch, Change, Document, Entry, Event, Identity, Page, Position, Standing
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
    READ_SOME,
    SCHEMA,
    UPDATE,
)

#: How many keys one SELECT looks for.
_AT_ONCE: Final = 500


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
        self._name = str(self._path) if self._sqlite else self._url.render_as_string(hide_password=True)
        self._engine: sa.Engine | None = None
        #: Held by whoever writes; the connection for it is kept, as taking one costs as much as a statement or two.
        self._writes = threading.Lock()
        self._kept: Connection | None = None
        self._file = (0, 0)
        #: Whether a connection was lost: what the other end did in the meantime is not known, so a new epoch begins.
        self._lost_sight = False

    def __repr__(self) -> str:
        return f"<SqlStore {self._name} {'closed' if self._engine is None else 'open'}>"

    def open(self) -> None:
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
            epoch, sequence, published, _ = connection.execute(READ_FEED).one()
        return Standing(epoch=epoch, sequence=sequence, published=published)

    def get(self, model: str, keys: Sequence[str]) -> dict[str, Entry]:
        with self._reading() as connection:
            return {key: entry for (_, key), entry in _entries(connection, [(model, key) for key in keys]).items()}

    def list(self, model: str, *, after: str = "", limit: int = PAGE) -> Sequence[Entry]:
        query = READ.where(OBJECTS.c.model == model, OBJECTS.c.key > after).order_by(OBJECTS.c.key).limit(limit)
        with self._reading() as connection:
            return [_entry(model, row) for row in connection.execute(query)]

    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        try:
            return self._write(batches, reached)
        except StoreUnavailable as error:
            cause = error.__cause__
            if len(batches) == 1 or not isinstance(cause, sa.exc.DataError):
                raise
        # One of them is more than the database can take; the others shall not suffer for it.
        outcomes: list[Outcome] = []
        for batch in batches:
            try:
                outcomes += self._write([batch], reached)
            except StoreUnavailable as error:
                outcomes.append(error)
        return outcomes

    def note_published(self, reached: Callable[[int], int]) -> Standing:
        with self._writing() as connection:
            epoch, sequence, before, floor = connection.execute(LOCK_FEED).one()
            published = reached(before)
            if published != before:
                connection.execute(ADVANCE, {"at_sequence": sequence, "up_to": published, "at_floor": floor})
            return Standing(epoch=epoch, sequence=sequence, published=published)

    def changes_since(self, position: Position, *, limit: int = PAGE) -> Page:
        with self._reading() as connection:
            epoch, head, _, floor = connection.execute(READ_FEED).one()
            rows = connection.execute(sa.select(LIVES.c.epoch, LIVES.c.start).order_by(LIVES.c.number))
            lives = [Life(epoch=row.epoch, start=row.start) for row in rows]
            why = lost(position, lives, floor=floor, head=head)
            if why is not None:
                return Page(epoch=epoch, head=head, lost=why)
            return _page(connection, position.sequence, limit, epoch=epoch, head=head)

    def changes_after(self, sequence: int, *, limit: int = PAGE) -> Page:
        with self._reading() as connection:
            epoch, head, _, floor = connection.execute(READ_FEED).one()
            return _page(connection, max(sequence, floor), limit, epoch=epoch, head=head)

    # Inside

    def _write(self, batches: Sequence[Batch], reached: Callable[[int], int]) -> Sequence[Outcome]:
        with self._writing() as connection:
            epoch, head, before, floor = connection.execute(LOCK_FEED).one()
            existing = _entries(connection, identities(batches))
            at = time.time_ns() // 1_000_000
            planned = plan(batches, existing, epoch=epoch, head=head, at=at)
            published = reached(before)
            if planned.changes or published != before:
                head += len(planned.changes)
                floor = self._pruned(connection, head, floor)
                connection.execute(ADVANCE, {"at_sequence": head, "up_to": published, "at_floor": floor})
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
        if sa.inspect(connection).has_table(FEED.name):
            self._check_schema(connection.scalar(sa.select(FEED.c.schema)))
        METADATA.create_all(connection)
        if connection.scalar(sa.select(FEED.c.id)) is None:
            first = {"id": 1, "schema": SCHEMA, "epoch": "", "sequence": 0, "published": 0, "floor": 0}
            connection.execute(sa.insert(FEED), first)
        _begin_epoch(connection)

    def _look_at_file(self) -> None:
        """Look at the schema before anything is written: the journal mode alone would alter the file."""
        if not self._path.exists():
            return
        try:
            connection = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, timeout=LOCK)
            try:
                query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'treaty_feed'"
                if connection.execute(query).fetchone():
                    found = connection.execute("SELECT schema FROM treaty_feed").fetchone()
                    self._check_schema(found and found[0])
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StoreUnavailable(self._name, str(error)) from error

    def _check_schema(self, found: int | None) -> None:
        if found is not None and found > SCHEMA:
            raise IncompatibleSchema(
                f"{self._name} has schema {found}, made by a newer version of Treaty; this one knows {SCHEMA}. "
                "It was not touched: update Treaty, or use another database"
            )

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._translated(), self._usable().connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._translated(), self._writes:
            engine = self._usable()
            if self._kept is None:
                self._kept = engine.connect().execution_options(**{WRITES: True})
            try:
                if self._lost_sight:
                    self._kept.execute(LOCK_FEED).one()
                    _begin_epoch(self._kept)
                yield self._kept
                self._kept.commit()
            except BaseException:
                self._let_go()  # nobody knows what state it is in
                raise
            self._lost_sight = False

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
            raise StoreUnavailable(self._name, _first_line(error)) from error

    def _usable(self) -> sa.Engine:
        if self._engine is None:
            raise StoreUnavailable(self._name, "the store is closed")
        # SQLite would go on writing into a file that has no name any more.
        if self._sqlite and _identity(self._path) != self._file:
            raise StoreUnavailable(self._name, "the file is gone, or is another one: start the service again")
        return self._engine


def _begin_epoch(connection: Connection) -> None:
    epoch = os.urandom(8).hex()
    connection.execute(sa.update(FEED).values(epoch=epoch))
    head = connection.scalar(sa.select(FEED.c.sequence))
    connection.execute(sa.insert(LIVES), {"epoch": epoch, "start": head})


def _entries(connection: Connection, wanted: Sequence[Identity]) -> dict[Identity, Entry]:
    found: dict[Identity, Entry] = {}
    if len(wanted) == 1:
        model, key = wanted[0]
        row = connection.execute(READ_ONE, {"of": model, "called": key}).one_or_none()
        return {} if row is None else {(model, key): _entry(model, row)}
    for model in dict.fromkeys(model for model, _ in wanted):
        keys = [key for one, key in wanted if one == model]
        for start in range(0, len(keys), _AT_ONCE):
            rows = connection.execute(READ_SOME, {"of": model, "keys": keys[start : start + _AT_ONCE]})
            found |= {(model, row.key): _entry(model, row) for row in rows}
    return found


def _entry(model: str, row: Any) -> Entry:
    key, version, data = row
    return Entry(model=model, key=key, version=version, data=_DOCUMENT.decode(data))


def _carry_out(connection: Connection, planned: Plan, existing: dict[Identity, Entry]) -> None:
    new, changed, gone = [], [], []
    for (model, key), entry in planned.entries.items():
        if entry is None:
            if (model, key) in existing:  # not made and unmade in one go
                gone.append({"of": model, "called": key})
        elif (model, key) in existing:
            changed.append({"of": model, "called": key, "v": entry.version, "d": _text(entry.data)})
        else:
            new.append({"model": model, "key": key, "version": entry.version, "data": _text(entry.data)})
    for statement, rows in ((INSERT, new), (UPDATE, changed), (DELETE, gone)):
        if rows:
            connection.execute(statement, rows)
    connection.execute(LOG, [_row(change) for change in planned.changes])


def _row(change: Change) -> dict[str, Any]:
    return {
        "sequence": change.sequence,
        "epoch": change.epoch,
        "event": change.event.value,
        "model": change.model,
        "key": change.key,
        "data": _text(change.data),
        "at": change.at,
    }


def _page(connection: Connection, after: int, limit: int, *, epoch: str, head: int) -> Page:
    query = sa.select(CHANGES).where(CHANGES.c.sequence > after, CHANGES.c.sequence <= head)
    changes = tuple(
        Change(
            epoch=row.epoch,
            sequence=row.sequence,
            event=Event(row.event),
            model=row.model,
            key=row.key,
            data=_DOCUMENT.decode(row.data),
            at=row.at,
        )
        for row in connection.execute(query.order_by(CHANGES.c.sequence).limit(limit))
    )
    last = changes[-1].sequence if changes else head
    return Page(epoch=epoch, head=head, changes=changes, more=last < head)


def _text(document: Document | None) -> str:
    return _ENCODER.encode(document).decode()


def _first_line(error: SQLAlchemyError) -> str:
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(origin).partition("\n")[0] or type(origin).__name__


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


_ENCODER: Final = msgspec.json.Encoder()
_DOCUMENT: Final[msgspec.json.Decoder[Document]] = msgspec.json.Decoder(Document)
