"""What records hold, and what their reprs do not."""

from __future__ import annotations

from treaty.storage import Entry, Gap, Position, Write
from treaty.storage.records import Standing


def test_what_may_hold_secrets_is_not_shown() -> None:
    for one in (
        Entry(model="Host", key="a", version=1, data={"password": "s3cret"}),
        Write(model="Host", key="a", data={"password": "s3cret"}),
    ):
        assert "s3cret" not in repr(one) and "'a'" in repr(one)
    assert "deleted" in repr(Write(model="Host", key="a", data=None))


def test_how_much_was_missed() -> None:
    here, there = Position(epoch="e", sequence=3), Position(epoch="e", sequence=8)
    assert Gap(feed="main", since=here, until=there, resync=False, reason="missed").missed == 5
    assert Gap(feed="main", since=here, until=there, resync=True, reason="history").missed == 0


def test_where_a_store_stands() -> None:
    assert Standing(epoch="e", sequence=4).position == Position(epoch="e", sequence=4)
