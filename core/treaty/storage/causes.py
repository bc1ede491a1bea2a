"""What a database complains of, in words that lead to the fix.

This room must not know what was asked of the database, nor repeat what is stored.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

#: SQLite enlarges the files that it works with by up to so many bytes at once.
_STEP: Final = 32_768
_NO_TABLE: Final = "42P01"
_READ_ONLY: Final = "25006"


def cause(error: SQLAlchemyError, path: Path | None) -> str:
    """Return in a line what is the matter.

    Args:
        error: what was raised.
        path: the file of the database; ``None`` if it is none in a file.
    """
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = str(origin).partition("\n")[0] or type(origin).__name__
    state = getattr(origin, "sqlstate", None)  # PostgreSQL's
    if state == _NO_TABLE or text.startswith("no such table"):
        return f"a table is gone, put back a backup, and start the service again ({text})"
    if state == _READ_ONLY:
        return f"the database is read-only ({text})"
    if isinstance(error, IntegrityError):
        return f"its tables do not fit together any more, put back a backup, and start the service again ({text})"
    if path is None or not isinstance(origin, sqlite3.Error):
        return text
    name = getattr(origin, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return f"{text}: {_room(_free(path))}"
    if name.startswith("SQLITE_CANTOPEN"):
        there = path.parent.exists()
        return f"{text}: {'it, or its folder, may not be read or written' if there else 'its folder is not there'}"
    if name.startswith("SQLITE_IOERR"):
        free = _free(path)
        # That there is no space left, SQLite says only of some of its files.
        full = free is not None and free < _STEP
        why = "the disk is full" if full else "the disk fails, or a quota or a limit is used up"
        return f"{why}: {_room(free)} ({text}, {name})"
    return text


def _room(free: int | None) -> str:
    return "its folder cannot be looked at" if free is None else f"{free:,} bytes are free on its disk"


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None  # the folder is gone, or not to be looked at
