"""Whether the tables of a store in SQL are whole: whoever has access to the database may have altered them.

This room must not know how one connects, nor objects: what is in those is looked at in ``rows``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from treaty.storage.errors import IncompatibleSchema
from treaty.storage.lineage import Life
from treaty.storage.tables import FEED, LIVES, METADATA, READ_FEED, SCHEMA, stranger

_PUT_BACK: Final = "put back a backup, and start the service again"
_NUMBERS: Final = ("schema", "sequence", "published", "floor")


class Damaged(Exception):
    """The tables are ours, and not whole. The text names the table, and never repeats what is stored."""


def check_tables(connection: Connection, name: str) -> bool:
    """Return whether the tables are there, all of them; ``False`` if there is none. Nothing is altered.

    Args:
        connection: to a database that may hold anything.
        name: what the database is called in errors.

    Raises:
        IncompatibleSchema: they are newer, or have our names and are none of ours.
        Damaged: some of them are gone, or the feed's row.
    """
    inspector = sa.inspect(connection)
    there = {table.name for table in METADATA.sorted_tables if inspector.has_table(table.name)}  # or a view
    if FEED.name in there and "schema" in {one["name"] for one in inspector.get_columns(FEED.name)}:
        newest = max((one for one in connection.scalars(sa.select(FEED.c.schema)) if isinstance(one, int)), default=0)
        if newest > SCHEMA:
            raise IncompatibleSchema(
                f"{name} has schema {newest}, made by a newer version of Treaty; this one knows {SCHEMA}. "
                "It was not touched: update Treaty, or use another database"
            )
    if strange := stranger(inspector):
        raise IncompatibleSchema(
            f"{name} has a table {strange}, which is none of Treaty's. It was not touched: use another "
            "database, or another schema of it"
        )
    if not there:
        return False
    if gone := sorted(METADATA.tables.keys() - there):
        raise Damaged(
            f"{', '.join(gone)} is gone, though {', '.join(sorted(there))} is there: put back a backup; or drop "
            "those as well, to begin with an empty store"
        )
    feed_of(connection.execute(READ_FEED).all())
    return True


def feed_of(rows: Sequence[Any]) -> Any:
    """Return the feed's one row.

    Raises:
        Damaged: there is another number of rows, or something in it makes no sense, or it is of a newer schema by now.
    """
    if len(rows) != 1:
        raise Damaged(f"{FEED.name} has {'several rows' if rows else 'lost its row'}: {_PUT_BACK}")
    feed = rows[0]
    for column in _NUMBERS:
        value = getattr(feed, column)
        if not isinstance(value, int) or value < 0:
            raise Damaged(f"{FEED.name} is damaged, its {column} is no number of that kind: {_PUT_BACK}")
    if not isinstance(feed.epoch, str):
        raise Damaged(f"{FEED.name} is damaged, its epoch is no text: {_PUT_BACK}")
    if feed.floor > feed.sequence:
        raise Damaged(f"{FEED.name} is damaged, its floor is above its sequence: {_PUT_BACK}")
    if feed.schema > SCHEMA:
        raise Damaged(f"it has schema {feed.schema} by now, this version of Treaty knows {SCHEMA}: update Treaty")
    return feed


def lives_of(connection: Connection) -> list[Life]:
    """Return the epochs of the store, oldest first.

    Raises:
        Damaged: something in them makes no sense.
    """
    lives = []
    for epoch, start in connection.execute(sa.select(LIVES.c.epoch, LIVES.c.start).order_by(LIVES.c.number)):
        if not isinstance(epoch, str) or not isinstance(start, int):
            raise Damaged(f"{LIVES.name} is damaged, an epoch or its start makes no sense: {_PUT_BACK}")
        lives.append(Life(epoch=epoch, start=start))
    return lives
