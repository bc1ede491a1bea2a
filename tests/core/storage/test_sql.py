"""What only the stores in SQL do: files that are newer, broken, full, gone; databases that go away; secrets."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from treaty import ConfigurationError
from treaty.storage import Batch, IncompatibleSchema, Position, StoreUnavailable, Unreadable
from treaty.storage.engines import readers
from treaty.storage.sql import SqlStore

from .things import batch, drop, put, spell

_REFUSE = "CREATE TRIGGER t BEFORE INSERT ON treaty_objects BEGIN SELECT RAISE(ABORT, 'not today'); END"
#: PostgreSQL loses the connection when it commits a new object.
_ENDS_AT_COMMIT = (
    """CREATE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'""",
    """CREATE CONSTRAINT TRIGGER ends_at_commit AFTER INSERT ON treaty_objects DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION end_it()""",
)
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


@pytest.mark.parametrize("state", ["closed", "in use", "crashed", "another journal"])
def test_a_newer_schema_is_refused_and_not_altered(path: Path, tmp_path: Path, state: str) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as user:
        if state == "another journal":
            user.execute("PRAGMA journal_mode=DELETE")
        user.execute("UPDATE treaty_feed SET schema = 2")
        user.commit()
        if state == "crashed":  # what the process had in its files
            path = shutil.copytree(path.parent, tmp_path / "crashed") / path.name
        if state in ("closed", "another journal"):
            user.close()
        before = prints(path.parent)
        store = SqlStore(f"sqlite:///{path}")
        for _ in range(2):
            with pytest.raises(IncompatibleSchema, match=r"store\.db has schema 2.*this one knows 1"):
                store.open()
        after = prints(path.parent)
    if state in ("in use", "crashed"):  # the index of the log, in which whoever reads says so
        del before["store.db-shm"], after["store.db-shm"]
    assert after == before


def test_a_file_that_somebody_begins_to_use_while_it_is_looked_at_is_looked_at_again(path: Path) -> None:
    """What it was before may be half of the truth."""
    opened(path).close()
    with closing(sqlite3.connect(path)) as user:
        user.execute("PRAGMA wal_autocheckpoint=0")
        looks = []
        for engine in readers(path):
            with engine.connect() as connection:
                looks.append(connection.scalar(sa.text("SELECT schema FROM treaty_feed")))
            user.execute("UPDATE treaty_feed SET schema = 2")
            user.commit()
    assert looks == [1, 2]


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
    said = "the file is another one than before: start" if replaced else "the file is gone: put it back"
    with pytest.raises(StoreUnavailable, match=said):
        store.write([batch(put("b"))])
    with pytest.raises(StoreUnavailable, match=said):
        store.get("Host", ["a"])
    assert path.exists() == replaced
    store.close()


@pytest.mark.parametrize("written", [0, 1])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_file_that_is_emptied_is_a_typed_error_and_is_not_filled_anew(
    path: Path, written: int, checkpoint: bool
) -> None:
    """SQLite says that it is locked when it reads, and goes on writing into the log beside it."""
    store = opened(path)
    for number in range(written):
        store.write([batch(put(f"{number}"))])
    if checkpoint:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    saved = path.read_bytes()
    os.truncate(path, 0)
    attempts = (lambda: store.list("Host"), lambda: store.write([batch(put("b"))]), store.standing)
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match="the file was emptied: put back a backup, and start the service"):
            attempt()
    assert path.stat().st_size == 0
    path.write_bytes(saved)  # nobody knows what our connections hold of it: only a new start makes it sound
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match="the file was emptied"):
            attempt()
    store.close()


def test_a_file_that_is_emptied_is_told_of_when_a_new_store_is_made_in_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(path)
    store.write([batch(put("a"))])
    before = store.standing().position
    store.close()
    assert "empty" not in caplog.text
    os.truncate(path, 0)
    store.open()
    assert "store.db is there, and empty: a new store is made in it" in caplog.text
    assert store.changes_since(before).lost == "history"
    store.close()


def copied(source: Path, target: Path) -> None:
    """Write a database over another one, in the same file."""
    target.write_bytes(source.read_bytes())


@pytest.mark.parametrize("further", [0, 3], ids=["shorter", "longer"])
def test_a_file_that_is_written_over_by_another_history_takes_no_writes(path: Path, further: int) -> None:
    """Neither its name nor its number tells: the log does."""
    other = path.with_name("other.db")
    strange = opened(other)
    strange.write([batch(*(put(f"other {number}") for number in range(1 + further)))])
    strange.close()
    store = opened(path)
    store.write([batch(put("a"), put("b"))])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    copied(other, path)
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT key FROM treaty_objects").fetchall()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="the file holds another history than before, it was written over"):
            store.write([batch(put("c"))])
    with pytest.raises(StoreUnavailable, match="another history"):
        store.get("Host", ["a"])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT key FROM treaty_objects").fetchall() == before
    store.close()


def test_several_stores_on_one_file_do_not_take_each_other_for_another_history(path: Path) -> None:
    first, second = opened(path), SqlStore(f"sqlite:///{path}", retain=2)
    first.write([batch(put("a"))])
    second.open()
    for number in range(20):  # the life of the first one is pruned meanwhile
        second.write([batch(put(f"{number}"))])
    assert spell(first.write([batch(put("b"))])[0]) == [(22, "created", "b")]
    assert spell(second.write([batch(put("c"))])[0]) == [(23, "created", "c")]
    first.close()
    second.close()


def test_a_backup_that_is_restored_under_a_running_service_begins_a_new_epoch(postgres: str) -> None:
    """The connections live through it, so that nothing but the log tells."""
    store = SqlStore(postgres)
    store.open()
    store.write([batch(put("a"), put("b"))])
    before = store.standing()
    engine = sa.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM treaty_objects WHERE version > 1"))
        connection.execute(sa.text("DELETE FROM treaty_changes WHERE sequence > 1"))
        connection.execute(sa.text("UPDATE treaty_feed SET sequence = 1"))
    engine.dispose()
    assert spell(store.write([batch(put("c"), put("d"))])[0]) == [(2, "created", "c"), (3, "created", "d")]
    assert store.standing().epoch != before.epoch
    assert store.changes_since(before.position).lost == "history"
    store.close()


FOREIGN = {
    "other columns": "CREATE TABLE treaty_objects (name TEXT, price INTEGER)",
    "other types": "CREATE TABLE treaty_lives (number INTEGER PRIMARY KEY, epoch INTEGER, start BIGINT)",
    "no key": "CREATE TABLE treaty_lives (number INTEGER, epoch TEXT, start BIGINT)",
    "a feed of theirs": "CREATE TABLE treaty_feed (title TEXT, url TEXT)",
    "a view": "CREATE VIEW treaty_changes AS SELECT 1 AS sequence",
}


@pytest.mark.parametrize("made", FOREIGN.values(), ids=FOREIGN)
def test_a_table_of_our_name_that_is_none_of_ours_is_refused_and_nothing_altered(path: Path, made: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(made)
    connection.close()
    before = prints(path.parent)
    name = made.split()[2]
    with pytest.raises(IncompatibleSchema, match=rf"store\.db has a table '{name}' with .* none of Treaty's"):
        opened(path)
    assert prints(path.parent) == before


@pytest.mark.parametrize("made", FOREIGN.values(), ids=FOREIGN)
def test_postgresql_refuses_it_too(postgres: str, made: str) -> None:
    engine = sa.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(sa.text(made))
    with pytest.raises(IncompatibleSchema, match="none of Treaty's"):
        SqlStore(postgres).open()
    there = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    with engine.begin() as connection:
        assert connection.execute(sa.text(there)).all() == [(made.split()[2],)]
    engine.dispose()


DAMAGE = {
    "no JSON": ("'{\"value\": '", "Input data was truncated"),
    "no object": ("'[1]'", "Expected `object`, got `array`"),
    "bytes": ("x'ff'", "JSON is malformed"),
    "no Unicode": ("CAST(x'7b22ff' AS TEXT)", "this is no text"),
}


@pytest.mark.parametrize(("data", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_named_and_harms_nobody_else(path: Path, data: str, reason: str) -> None:
    store = opened(path)
    store.write([batch(put("a"), put("b", secret="s3cret"), put("c"))])
    start = Position(epoch=store.standing().epoch, sequence=0)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE treaty_objects SET data = {data} WHERE key IN ('b', 'c')")
        connection.execute(f"UPDATE treaty_changes SET data = {data} WHERE key = 'b'")
    connection.close()
    attempts: dict[str, Callable[[], object]] = {
        "get": lambda: store.get("Host", ["b"]),
        "get many": lambda: store.get("Host", ["a", "b"]),
        "list": lambda: store.list("Host"),
        "write": lambda: store.write([batch(put("a"), put("b"))]),
        "delete": lambda: store.write([batch(drop("b"))]),
        "log": lambda: store.changes_since(start),
    }
    for what, attempt in attempts.items():
        with pytest.raises(Unreadable, match=f"Host 'b' is stored, but cannot be read: .*{reason}") as caught:
            attempt()
        assert (caught.value.model, caught.value.key) == ("Host", "b"), what
    assert store.standing().sequence == 3
    good, bad, better = store.write([batch(put("a")), batch(put("b")), batch(put("d"))])
    assert isinstance(bad, Unreadable) and bad.key == "b"
    assert (spell(good), spell(better)) == ([(4, "updated", "a")], [(5, "created", "d")])
    store.close()


def test_a_version_and_an_event_that_are_damaged_are_named(path: Path) -> None:
    store = opened(path)
    store.write([batch(put("a"))])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE treaty_objects SET version = 'x'")
        connection.execute("UPDATE treaty_changes SET event = 'exploded'")
    connection.close()
    with pytest.raises(Unreadable, match=r"Host 'a'.*its version is no whole number"):
        store.get("Host", ["a"])
    with pytest.raises(Unreadable, match=r"Host 'a'.*change 1 in the log: its event is unknown"):
        store.changes_after(0)
    store.close()


def test_a_read_only_transaction_of_postgresql_is_a_typed_error(postgres: str) -> None:
    store = SqlStore(postgres)
    store.open()
    store.write([batch(put("a"))])
    store.close()
    readonly = SqlStore(postgres.replace("options=", "options=-cdefault_transaction_read_only%3Don%20", 1))
    with pytest.raises(StoreUnavailable, match=r"the database is read-only \("):
        readonly.open()
    store.open()
    assert [entry.key for entry in store.list("Host")] == ["a"]
    store.close()


ODD = {
    "feed": ("UPDATE treaty_feed SET sequence = 'x'", StoreUnavailable, "treaty_feed is damaged, its sequence"),
    "epoch": ("UPDATE treaty_feed SET epoch = x'00'", StoreUnavailable, "treaty_feed is damaged, its epoch"),
    "life": ("UPDATE treaty_lives SET start = 'x'", StoreUnavailable, "treaty_lives is damaged"),
    "key": ("UPDATE treaty_objects SET key = x'7a'", Unreadable, r"Host .*b'z'.* its model or key is no text"),
    "no Unicode": ("UPDATE treaty_objects SET key = CAST(x'ff' AS TEXT)", Unreadable, r"udcff.* key is no text"),
    "version": ("UPDATE treaty_objects SET version = 0", Unreadable, "Host 'a'.* its version is no whole number"),
    "time": ("UPDATE treaty_changes SET at = 'x'", Unreadable, "Host 'a'.*change 1 in the log: its sequence, time"),
    "model": ("UPDATE treaty_changes SET model = x'00'", Unreadable, "change 1 in the log: its model or key"),
}


@pytest.mark.parametrize(("damage", "kind", "said"), ODD.values(), ids=ODD)
def test_what_sqlite_lets_into_any_column_is_a_typed_error(
    path: Path, damage: str, kind: type[Exception], said: str
) -> None:
    store = opened(path)
    store.write([batch(put("a"))])
    start = Position(epoch=store.standing().epoch, sequence=0)
    with closing(sqlite3.connect(path)) as other:
        other.execute(damage)
        other.commit()
    with pytest.raises(kind, match=said) as caught:
        for attempt in (lambda: store.list("Host"), lambda: store.changes_since(start), store.standing):
            attempt()
    str(caught.value).encode()
    store.close()


def test_a_folder_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open database file: its folder is not there"):
        SqlStore(f"sqlite:///{tmp_path}/no/such/store.db").open()


def test_a_folder_in_the_place_of_a_file_is_a_typed_error(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreUnavailable, match=r"store\.db: this is no file"):
        SqlStore(f"sqlite:///{path}").open()
    assert prints(path) == {}


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


def test_who_loses_postgresql_while_it_commits_is_told_that_it_may_be_there(postgres: str) -> None:
    store = SqlStore(postgres)
    store.open()
    engine = sa.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        for statement in _ENDS_AT_COMMIT:
            connection.execute(sa.text(statement))
    with pytest.raises(StoreUnavailable, match="what was to be written may be there"):
        store.write([batch(put("a"))])
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER ends_at_commit ON treaty_objects"))
    engine.dispose()
    assert spell(store.write([batch(put("b"))])[0]) == [(1, "created", "b")]
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


@pytest.mark.parametrize("count", [2, 3, 4, 5, 512, 513, 1_025])
def test_any_number_of_objects_is_read_at_once(path: Path, count: int) -> None:
    store = opened(path)
    keys = [f"k{number}" for number in range(count)]
    store.write([batch(*(put(key) for key in keys))])
    assert list(store.get("Host", keys[:1])) == keys[:1]
    assert sorted(store.get("Host", [*keys, "none"])) == sorted(keys)
    store.close()
