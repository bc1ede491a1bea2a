"""Tables that somebody has dropped or altered, in both kinds of databases: named, and left as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from treaty.storage import Position, StoreUnavailable
from treaty.storage.sql import SqlStore

from .things import batch, put

TABLES = ["treaty_changes", "treaty_feed", "treaty_lives", "treaty_objects"]


def tables(connection: sa.Connection) -> list[str]:
    return sorted(sa.inspect(connection).get_table_names())


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Of a database without tables, of each kind."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def besides(url: str) -> Iterator[sa.Connection]:
    """Somebody else's connection to that database, without transactions."""
    other = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        yield connection
    other.dispose()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_dropped_is_named_and_not_made_anew(url: str, besides: sa.Connection, name: str) -> None:
    store = SqlStore(url)
    store.open()
    store.write([batch(put("a"))])
    before = store.standing().position
    besides.execute(sa.text(f"DROP TABLE {name}"))
    attempts: dict[str, Callable[[], object]] = {
        "treaty_objects": lambda: store.get("Host", ["a"]),
        "treaty_changes": lambda: store.write([batch(put("b"))]),
        "treaty_feed": lambda: store.write([batch(put("b"))]),
        "treaty_lives": lambda: store.changes_since(before),
    }
    with pytest.raises(StoreUnavailable, match=f"a table is gone, put back a backup.*{name}"):
        attempts[name]()
    store.close()
    with pytest.raises(StoreUnavailable, match=f"{name} is gone, though .* is there: put back a backup"):
        store.open()
    assert tables(besides) == [one for one in TABLES if one != name]


def test_a_store_whose_tables_are_all_dropped_begins_anew_and_says_so(url: str, besides: sa.Connection) -> None:
    """As a new database does: whoever followed the old one is told that it is another history."""
    store = SqlStore(url)
    store.open()
    store.write([batch(put("a"))])
    before = store.standing().position
    store.close()
    for name in TABLES:
        besides.execute(sa.text(f"DROP TABLE {name}"))
    store.open()
    assert store.changes_since(before).lost == "history"
    store.close()


FEEDS = {
    "no row": ("DELETE FROM treaty_feed", "has lost its row"),
    "two rows": ("INSERT INTO treaty_feed VALUES (2, 1, 'x', 0, 0, 0)", "has several rows"),
    "a number below 0": ("UPDATE treaty_feed SET sequence = -3", "is damaged, its sequence is no number"),
    "a floor too high": ("UPDATE treaty_feed SET floor = 9", "is damaged, its floor is above its sequence"),
}


@pytest.mark.parametrize(("damage", "said"), FEEDS.values(), ids=FEEDS)
def test_a_feed_that_is_damaged_is_a_typed_error_and_stays_as_it_is(
    url: str, besides: sa.Connection, damage: str, said: str
) -> None:
    store = SqlStore(url)
    store.open()
    store.write([batch(put("a"))])
    besides.execute(sa.text(damage))
    there = [besides.execute(sa.text(f"SELECT * FROM {name}")).all() for name in TABLES]
    attempts = (
        store.standing,
        lambda: store.write([batch(put("b"))]),
        lambda: store.note_published(int),
        lambda: store.changes_after(0),
        lambda: store.changes_since(Position(epoch="x", sequence=0)),
    )
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match=f": treaty_feed {said}.*put back a backup"):
            attempt()
    store.close()
    with pytest.raises(StoreUnavailable, match=f": treaty_feed {said}"):
        store.open()
    assert [besides.execute(sa.text(f"SELECT * FROM {name}")).all() for name in TABLES] == there


def test_a_newer_worker_that_alters_the_schema_ends_the_older_ones(url: str, besides: sa.Connection) -> None:
    store = SqlStore(url)
    store.open()
    besides.execute(sa.text("UPDATE treaty_feed SET schema = 2"))
    for attempt in (store.standing, lambda: store.write([batch(put("a"))])):
        with pytest.raises(StoreUnavailable, match=r"it has schema 2 by now, .* knows 1: update Treaty"):
            attempt()
    assert besides.execute(sa.text("SELECT * FROM treaty_objects")).all() == []
    store.close()


def test_a_sequence_that_is_behind_the_log_is_a_typed_error(url: str, besides: sa.Connection) -> None:
    store = SqlStore(url)
    store.open()
    store.write([batch(put("a"))])
    store.close()
    besides.execute(sa.text("UPDATE treaty_feed SET sequence = 0"))
    store.open()
    with pytest.raises(StoreUnavailable, match=r"do not fit together any more, put back a backup.*treaty_changes"):
        store.write([batch(put("b"))])
    assert [entry.key for entry in store.list("Host")] == ["a"]
    store.close()


@pytest.mark.parametrize(
    ("gone", "told"),
    [("= 1", []), ("= 2", [1]), ("= 4", [1, 2, 3]), ("> 0", [])],
    ids=["first", "middle", "last", "all"],
)
def test_nobody_is_led_across_a_hole_in_the_log(
    url: str, besides: sa.Connection, caplog: pytest.LogCaptureFixture, gone: str, told: list[int]
) -> None:
    store = SqlStore(url)
    store.open()
    store.write([batch(*(put(name) for name in "abcd"))])
    besides.execute(sa.text(f"DELETE FROM treaty_changes WHERE sequence {gone}"))
    position = Position(epoch=store.standing().epoch, sequence=0)
    seen = []
    page = store.changes_since(position)
    while page.lost is None and page.more:
        seen += [change.sequence for change in page.changes]
        page = store.changes_since(page.changes[-1].position)
    assert (seen, page.lost) == (told, "pruned")
    assert f"change {len(told) + 1} is not in treaty_changes any more" in caplog.text
    store.close()
