from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from treaty.storage.engines import execute, make_engine, read_url

_TABLE = sa.Table("things", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True), sa.Column("size", sa.Integer))
_MADE = sa.insert(_TABLE)
_GROWN = sa.update(_TABLE).where(_TABLE.c.name == sa.bindparam("of")).values(size=sa.bindparam("to"))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    engine = make_engine(read_url(f"sqlite:///{tmp_path / 'things.db'}"))
    with engine.connect() as found:
        _TABLE.create(found)
        yield found
    engine.dispose()


def test_parameters_are_taken_by_name_for_one_row_and_for_several(connection: sa.Connection) -> None:
    execute(connection, _MADE, {"size": 1, "name": "a"})
    execute(connection, _MADE, [{"size": 2, "name": "b"}, {"name": "c", "size": 3}])
    execute(connection, _GROWN, {"to": 5, "of": "b"})
    found = connection.execute(sa.select(_TABLE).order_by(_TABLE.c.name)).all()
    assert [tuple(row) for row in found] == [("a", 1), ("b", 5), ("c", 3)]


def test_an_error_is_the_one_of_sqlalchemy_and_holds_no_parameters(connection: sa.Connection) -> None:
    execute(connection, _MADE, {"name": "secret-a", "size": 1})
    with pytest.raises(IntegrityError) as caught:
        execute(connection, _MADE, [{"name": "secret-a", "size": 2}])
    assert "secret-a" not in str(caught.value)
