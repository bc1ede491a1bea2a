"""What only the stores in SQL do: files that are newer, broken, full, gone; databases that go away; secrets."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from treaty import ConfigurationError
from treaty.storage import Batch, IncompatibleSchema, Position, StoreUnavailable
from treaty.storage.sql import SqlStore

from .things import batch, put, spell

_REFUSE = "CREATE TRIGGER t BEFORE INSERT ON treaty_objects BEGIN SELECT RAISE(ABORT, 'not today'); END"
_PID = sa.text("SELECT pg_backend_pid()")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def opened(path: Path) -> SqlStore:
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    return store


def prints(folder: Path) -> dict[str, str]:
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir()}


def test_a_newer_schema_is_refused_and_not_altered(path: Path) -> None:
    opened(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("UPDATE treaty_feed SET schema = 2")
    connection.close()
    before = prints(path.parent)
    store = SqlStore(f"sqlite:///{path}")
    with pytest.raises(IncompatibleSchema, match=r"store\.db has schema 2.*this one knows 1"):
        store.open()
    assert prints(path.parent) == before


def test_a_newer_schema_is_refused_by_postgresql_too(postgres: str) -> None:
    store = SqlStore(postgres)
    store.open()
    store.close()
    engine = sa.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE treaty_feed SET schema = 2"))
    with pytest.raises(IncompatibleSchema, match="has schema 2"):
        store.open()
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM treaty_lives")) == 1
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"this is a letter to my aunt" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        SqlStore(f"sqlite:///{path}").open()
    assert path.read_bytes().startswith(b"this is a letter")


def test_tables_of_others_in_the_same_file_are_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute("INSERT INTO theirs VALUES (1)")
    connection.close()
    store = opened(path)
    store.write([batch(put("a"))])
    store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT * FROM theirs").fetchall() == [(1,)]
    connection.close()


def test_a_read_only_database_is_a_typed_error(path: Path) -> None:
    store = opened(path)
    store.write([batch(put("a"))])
    assert store._engine is not None
    sa.event.listen(store._engine, "begin", lambda one: one.exec_driver_sql("PRAGMA query_only = ON"))
    with pytest.raises(StoreUnavailable, match=r"store\.db: attempt to write a readonly database"):
        store.write([batch(put("b"))])
    assert [entry.key for entry in store.list("Host")] == ["a"]
    assert store.standing().sequence == 1
    store.close()


def test_a_full_database_is_a_typed_error_and_everything_is_as_it_was(path: Path) -> None:
    store = opened(path)
    store.write([batch(put("a"))])
    assert store._engine is not None
    store._let_go()
    store._engine.dispose()
    sa.event.listen(store._engine, "connect", lambda one, _: one.execute("PRAGMA max_page_count = 20").close())
    with pytest.raises(StoreUnavailable, match="full"):
        store.write([batch(put("b", "x" * 200_000)), batch(put("c", "x" * 200_000))])
    assert [entry.key for entry in store.list("Host")] == ["a"]
    assert spell(store.write([batch(put("b"))])[0]) == [(2, "created", "b")]
    store.close()


@pytest.mark.parametrize("replaced", [False, True], ids=["gone", "replaced"])
def test_a_file_that_is_gone_is_a_typed_error(path: Path, replaced: bool) -> None:
    store = opened(path)
    store.write([batch(put("a"))])
    path.unlink()
    if replaced:
        path.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="the file is gone, or is another one"):
        store.write([batch(put("b"))])
    with pytest.raises(StoreUnavailable, match="the file is gone"):
        store.get("Host", ["a"])
    assert path.exists() == replaced
    store.close()


def test_a_folder_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        SqlStore(f"sqlite:///{tmp_path}/no/such/store.db").open()


def test_a_database_that_cannot_be_reached_is_a_typed_error_without_the_password() -> None:
    store = SqlStore("postgresql://ada:s3cret@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as caught:
        store.open()
    assert "s3cret" not in str(caught.value) + repr(store)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite://", "a SQLite store is a file"),
        ("sqlite:///:memory:", "a SQLite store is a file"),
        ("mysql://localhost/x", "'mysql' is no database for a store"),
        ("nonsense", "cannot be read"),
    ],
)
def test_a_url_that_makes_no_sense(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        SqlStore(url)


def test_a_backup_that_was_restored_is_another_history(path: Path, tmp_path: Path) -> None:
    """Whoever has read further than the backup reaches cannot go on, not even when the log is as long again."""
    store = opened(path)
    store.write([batch(put("a"))])
    early = store.standing().position
    with sqlite3.connect(path) as source, sqlite3.connect(tmp_path / "backup.db") as target:
        source.backup(target)
    source.close()
    target.close()
    store.write([batch(put("b"), put("c"))])
    late = store.standing().position
    store.close()
    for leftover in path.parent.glob("store.db*"):
        leftover.unlink()
    shutil.copy(tmp_path / "backup.db", path)
    again = opened(path)
    again.write([batch(*(put(f"other {number}") for number in range(5)))])
    assert again.changes_since(late).lost == "history"
    page = again.changes_since(early)
    assert page.lost is None and len(page.changes) == 5
    again.close()


def test_one_batch_that_the_database_cannot_take_does_not_harm_the_others(postgres: str) -> None:
    store = SqlStore(postgres)
    store.open()
    bad: Batch = batch(put("a\0b"))
    good, worse, better = store.write([batch(put("a")), bad, batch(put("b"))])
    assert isinstance(worse, StoreUnavailable)
    assert (spell(good), spell(better)) == ([(1, "created", "a")], [(2, "created", "b")])
    store.close()


def test_a_lost_connection_is_a_typed_error_and_begins_a_new_epoch(postgres: str) -> None:
    store = SqlStore(postgres)
    store.open()
    store.write([batch(put("a"))])
    before = store.standing()
    engine = sa.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name AND pid <> :own"
        names = {"name": sa.make_url(postgres).query["application_name"], "own": connection.scalar(_PID)}
        assert set(connection.execute(sa.text(others), names).all()) == {(True,)}
    engine.dispose()
    with pytest.raises(StoreUnavailable):
        store.write([batch(put("b"))])
    assert spell(store.write([batch(put("c"))])[0]) == [(2, "created", "c")]
    assert store.standing().epoch != before.epoch
    assert store.changes_since(before.position).lost is None
    assert store.changes_since(Position(epoch=before.epoch, sequence=2)).lost == "history"
    store.close()


def test_secrets_stand_in_no_error_of_the_database(path: Path) -> None:
    store = opened(path)
    assert store._engine is not None
    with store._engine.begin() as connection:
        connection.execute(sa.text(_REFUSE))
    with pytest.raises(StoreUnavailable, match="not today") as caught:
        store.write([batch(put("a", secret="s3cret"))])
    assert "s3cret" not in str(caught.value) + str(caught.value.__cause__)
    store.close()


def test_what_a_killed_process_has_committed_is_there(path: Path) -> None:
    program = f"""
import os, signal
from treaty.storage import Write
from treaty.storage.sql import SqlStore
store = SqlStore("sqlite:///{path}")
store.open()
store.write([(Write(model="Host", key="a", data={{}}),)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    store = opened(path)
    assert spell(store.changes_after(0).changes) == [(1, "created", "a")]
    assert store.standing().published == 0
    store.close()


def test_a_write_that_fails_leaves_no_connection_in_its_way(path: Path) -> None:
    """The connection for writing is kept, but not by one that was in the middle of a transaction."""
    store = opened(path)
    store.write([batch(put("a"))])
    kept = store._kept
    assert kept is not None

    def fail(published: int) -> int:
        raise KeyError(published)

    with pytest.raises(KeyError):
        store.write([batch(put("b"))], reached=fail)
    assert kept.closed and store._kept is None
    assert spell(store.write([batch(put("b"))])[0]) == [(2, "created", "b")]
    store.close()
    assert store._kept is None
