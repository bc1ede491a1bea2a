"""Engines for the stores in SQL: which databases there are, how one is connected to, how its transactions begin.

This room must not know tables, nor what is written.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, CursorResult, Dialect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from treaty import ConfigurationError

#: Seconds to wait for whoever else writes, or for a connection.
LOCK: Final = 5
#: An execution option, set on a connection that is going to write.
WRITES: Final = "treaty_writes"
_CONNECTIONS: Final = 8
_PASSWORD: Final = re.compile(r"(?i)(password=)[^&\s]*")
_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}


def read_url(url: str) -> URL:
    """Read the URL of a database.

    Raises:
        ConfigurationError: it cannot be read, or is that of another kind of database.
    """
    try:
        found = make_url(url)
        backend = found.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):  # the last one for a port that is no number
        # Not chained: the error repeats the URL, and with it the password.
        backend = ""
    if not backend:
        raise ConfigurationError("the URL of a store cannot be read: write something like 'sqlite:///app.db'")
    if backend not in _DRIVERS:
        raise ConfigurationError(f"{backend!r} is no database for a store: use sqlite or postgresql")
    if backend == "sqlite" and found.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "a SQLite store is a file, such as 'sqlite:///app.db'; for one in memory use 'memory:'"
        )
    return found.set(drivername=_DRIVERS[backend]) if "+" not in found.drivername else found


def shown(url: URL) -> str:
    """Return a URL as it may be shown: without passwords, be they where they belong or among the options."""
    return _PASSWORD.sub(r"\1***", url.render_as_string(hide_password=True))


def make_engine(url: URL) -> sa.Engine:
    """Make an engine. Nothing is connected yet.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    try:
        engine = sa.create_engine(
            url,
            hide_parameters=True,  # what is stored stands in no error
            pool_size=_CONNECTIONS,
            max_overflow=2 * _CONNECTIONS,
            pool_timeout=LOCK,
            connect_args={"timeout": LOCK} if is_sqlite else {"connect_timeout": LOCK},
        )
    except ImportError as error:
        raise ConfigurationError(f"{shown(url)} needs {error.name or error}: pip install 'treaty[postgres]'") from error
    sa.event.listen(engine, "connect", _configure_sqlite if is_sqlite else _configure_postgresql)
    if is_sqlite:
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def readers(path: Path) -> Iterator[sa.Engine]:
    """Yield engines that alter nothing in a file, not even the journal mode, and leave nothing beside it. The last one
    has the truth: there is a second one if somebody else began to use the file meanwhile. Nothing is connected yet.
    """
    used = _is_used(path)
    # Only who takes it that nobody writes can read a file in WAL mode without making an index of its log.
    yield _reader(path, "mode=ro" if used else "mode=ro&immutable=1")
    if not used and _is_used(path):
        yield _reader(path, "mode=ro")


def _reader(path: Path, how: str) -> sa.Engine:
    uri = f"file:{quote(str(path))}?{how}"
    return sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(uri, uri=True, timeout=LOCK), poolclass=sa.NullPool
    )


def _is_used(path: Path) -> bool:
    """Whether something of a file's contents is in a log or a journal beside it."""
    return any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal"))


def execute(
    connection: Connection, statement: sa.ClauseElement, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> CursorResult[Any]:
    """Execute one of the statements of a store, with one row of parameters or several.

    It is compiled once for each database: looking that up anew takes SQLAlchemy longer than SQLite takes to execute it.
    Not worth while for what returns one row and has few parameters. No type may need its values processed, and no
    parameter may be expanded.

    Raises:
        SQLAlchemyError: as for ``Connection.execute``.
    """
    text, names = _compiled(statement, connection.dialect)
    if names is None:  # the driver takes parameters by name
        return connection.exec_driver_sql(text, rows)
    if isinstance(rows, Mapping):
        return connection.exec_driver_sql(text, tuple(rows[name] for name in names))
    return connection.exec_driver_sql(text, [tuple(row[name] for name in names) for row in rows])


@lru_cache(maxsize=256)
def _compiled(statement: sa.ClauseElement, dialect: Dialect) -> tuple[str, tuple[str, ...] | None]:
    """Return a statement's text, and the names of its parameters in order where the driver counts them."""
    compiled: Any = statement.compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup) if compiled.positional else None


def _as_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _configure_sqlite(connection: Any, _: object) -> None:
    # Else sqlite3 itself complains of text that is no UTF-8, and repeats it.
    connection.text_factory = _as_text
    connection.isolation_level = None  # transactions begin where we say so
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # Who is going to write says so at once: two readers that both want to write later would block each other.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


def _configure_postgresql(connection: Any, _: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK}s'")
    connection.commit()
