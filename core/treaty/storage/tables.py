"""The tables of a store in SQL, how to tell them from others of their names, and the statements, each made once.

This room must not know connections, nor what the statements are for.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import sqlalchemy as sa

#: The version of the tables below. A database with a higher one is left alone.
SCHEMA: Final = 1
METADATA: Final = sa.MetaData()
#: Keys are compared by their code points, whatever the language of the database.
_KEY: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
FEED: Final = sa.Table(
    "treaty_feed",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("schema", sa.Integer, nullable=False),
    sa.Column("epoch", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("published", sa.BigInteger, nullable=False),
    sa.Column("floor", sa.BigInteger, nullable=False),
)
LIVES: Final = sa.Table(
    "treaty_lives",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.Text, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
)
OBJECTS: Final = sa.Table(
    "treaty_objects",
    METADATA,
    sa.Column("model", _KEY, primary_key=True),
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
CHANGES: Final = sa.Table(
    "treaty_changes",
    METADATA,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
#: Statements are made once: SQLAlchemy caches what it compiles, but not the tree.
READ_FEED: Final = sa.select(FEED.c.epoch, FEED.c.sequence, FEED.c.published, FEED.c.floor, FEED.c.schema)
LOCK_FEED: Final = READ_FEED.with_for_update()
_NAMED: Final = (OBJECTS.c.model == sa.bindparam("of")) & (OBJECTS.c.key == sa.bindparam("called"))
READ: Final = sa.select(OBJECTS.c.key, OBJECTS.c.version, OBJECTS.c.data)
READ_ONE: Final = READ.where(_NAMED)
UPDATE: Final = sa.update(OBJECTS).where(_NAMED).values(version=sa.bindparam("v"), data=sa.bindparam("d"))
DELETE: Final = sa.delete(OBJECTS).where(_NAMED)
INSERT: Final = sa.insert(OBJECTS)
LOG: Final = sa.insert(CHANGES)
ADVANCE: Final = sa.update(FEED).values(
    sequence=sa.bindparam("at_sequence"), published=sa.bindparam("up_to"), floor=sa.bindparam("at_floor")
)
PRUNE: Final = sa.delete(CHANGES).where(CHANGES.c.sequence <= sa.bindparam("up_to"))


@cache
def read_some(count: int) -> sa.Select[Any]:
    """Return the statement that reads so many objects of one model: ``of``, ``k0``, ``k1`` and so on."""
    keys = [sa.bindparam(f"k{number}", type_=OBJECTS.c.key.type) for number in range(count)]
    return READ.where(OBJECTS.c.model == sa.bindparam("of"), OBJECTS.c.key.in_(keys))


def stranger(inspector: sa.Inspector) -> str:
    """Say what has the name of one of our tables, and is none of ours; ``""`` if there is nothing of the kind."""
    for table in METADATA.sorted_tables:
        if not inspector.has_table(table.name):  # or a view
            continue
        ours = {column.name: _kind(column.type) for column in table.columns}
        theirs = {column["name"]: _kind(column["type"]) for column in inspector.get_columns(table.name)}
        keys = inspector.get_pk_constraint(table.name)["constrained_columns"]
        if theirs != ours:
            columns = ", ".join(f"{name} ({kind})" for name, kind in theirs.items())
            return f"{table.name!r} with the columns {columns}"
        if set(keys) != {column.name for column in table.primary_key}:
            return f"{table.name!r} with the primary key {', '.join(keys) or 'missing'}"
    return ""


def _kind(kind: sa.types.TypeEngine[object]) -> str:
    if isinstance(kind, sa.Integer):
        return "number"
    return "text" if isinstance(kind, sa.String) else "other"
