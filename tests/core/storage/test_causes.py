"""What is said of a database that fails: with real errors of SQLite, and disks that are full."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.exc import InvalidRequestError, OperationalError

from treaty.storage.causes import cause


class Usage(NamedTuple):
    free: int


#: A file that may not grow any more, as under a quota: what SQLite says is the same. Then it may again.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from typing import NamedTuple
from treaty.storage import StoreUnavailable, Write
from treaty.storage.sql import SqlStore

path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
store = SqlStore(f"sqlite:///{path}")
store.open()
store.write([(Write(model="Host", key="a", data={}),)])
resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name(path.name + "-wal").stat().st_size, most))
try:
    store.write([(Write(model="Host", key="b", data={"x": "x" * 200_000}),)])
except StoreUnavailable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print([entry.key for entry in store.list("Host")], store.standing().sequence)
store.write([(Write(model="Host", key="c", data={}),)])
print([entry.key for entry in store.list("Host")], store.standing().sequence)
store.close()
"""


def failed(name: str, text: str) -> OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = name
    return OperationalError("SELECT", {}, error)


@pytest.mark.parametrize(
    ("name", "text", "free", "said"),
    [
        ("SQLITE_FULL", "database or disk is full", 512, "database or disk is full: 512 bytes are free on its disk"),
        (
            "SQLITE_IOERR_SHMSIZE",
            "disk I/O error",
            28_672,
            "the disk is full: 28,672 bytes are free on its disk (disk I/O error, SQLITE_IOERR_SHMSIZE)",
        ),
        (
            "SQLITE_IOERR_WRITE",
            "disk I/O error",
            65_536,
            "the disk fails, or a quota or a limit is used up: 65,536 bytes are free on its disk (disk I/O error, {})",
        ),
        (
            "SQLITE_CANTOPEN",
            "unable to open database file",
            0,
            "unable to open database file: it, or its folder, may not be read or written",
        ),
        ("SQLITE_READONLY", "attempt to write a readonly database", 0, "attempt to write a readonly database"),
    ],
)
def test_what_is_said_leads_to_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, free: int, said: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: {tmp_path: Usage(free)}[folder])
    assert cause(failed(name, text), tmp_path / "store.db") == said.format(name)


def test_a_folder_that_is_gone_is_no_further_error(tmp_path: Path) -> None:
    found = cause(failed("SQLITE_IOERR", "disk I/O error"), tmp_path / "gone" / "store.db")
    assert found == (
        "the disk fails, or a quota or a limit is used up: its folder cannot be looked at (disk I/O error, SQLITE_IOERR)"
    )


def test_of_other_databases_the_first_line_is_said() -> None:
    assert cause(OperationalError("SELECT", {}, Exception("no\nmore of it")), None) == "no"
    assert cause(InvalidRequestError("so many rows"), None) == "so many rows"


def test_a_file_that_cannot_grow_is_named_with_the_reason_and_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], check=True, timeout=60, capture_output=True, text=True
    )
    refusal, after, later = ran.stdout.splitlines()
    assert refusal.startswith(f"{path}: the disk fails, or a quota or a limit is used up: ")
    assert refusal.endswith("(disk I/O error, SQLITE_IOERR_WRITE)")
    assert (after, later) == ("['a'] 1", "['a', 'c'] 2")
