"""The contract on every store of ours, and on one that lives in no database at all."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from treaty.cli.app import app
from treaty.storage import MemoryStore, Store
from treaty_contracts import Promises, SetupError, StoreContext, StoreTarget, contract, rules
from treaty_contracts.matrix import declared, matrix
from treaty_contracts.registry import STORE
from treaty_contracts.report import read
from treaty_contracts.shelf import Shelf, ShelfStore

_SHELVES: defaultdict[str, Shelf] = defaultdict(Shelf)


def on_shelf(context: StoreContext) -> Store:
    return ShelfStore(_SHELVES[context.namespace], retain=context.retain)


def in_sqlite(context: StoreContext) -> Store:
    from treaty.storage.sql import SqlStore

    return SqlStore(f"sqlite:///{context.folder}/store.db", retain=context.retain)


def in_postgres(context: StoreContext) -> Store:
    import sqlalchemy

    from treaty.storage.sql import SqlStore

    url, schema = postgres()[0], f"treaty_{context.namespace}"
    engine = sqlalchemy.create_engine(driven(url))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    engine.dispose()
    options = f"{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"
    return SqlStore(f"{url}{options}", retain=context.retain)


def drop_schema(context: StoreContext) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(driven(postgres()[0]))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP SCHEMA IF EXISTS treaty_{context.namespace} CASCADE"))
    engine.dispose()


def driven(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@cache
def postgres() -> tuple[str, str]:
    """Where PostgreSQL answers, or why it does not: it is an external server."""
    given = os.environ.get("TREATY_TEST_POSTGRES")
    users = ("postgres:postgres", "postgres", "root")
    tried = [given] if given else [f"postgresql://{who}@127.0.0.1:5432/test" for who in users]
    try:
        import psycopg
        import sqlalchemy
    except ImportError as error:
        return "", f"{error.name} is not installed"
    reasons = []
    for url in tried:
        engine = sqlalchemy.create_engine(driven(url), connect_args={"connect_timeout": 2})
        try:
            with engine.connect():
                return url, ""
        except (sqlalchemy.exc.OperationalError, psycopg.Error) as error:
            reasons.append(str(error).partition("\n")[0])
        finally:
            engine.dispose()
    return "", f"no PostgreSQL at 127.0.0.1:5432 or TREATY_TEST_POSTGRES: {reasons[-1]}"


memory = StoreTarget(name="store/memory", open=lambda context: MemoryStore(retain=context.retain))
shelf = StoreTarget(name="store/shelf", open=on_shelf)
sqlite = StoreTarget(name="store/sqlite", open=in_sqlite)
postgresql = StoreTarget(name="store/postgresql", open=in_postgres, drop=drop_schema)


def if_it_is_there(target: StoreTarget) -> Callable[..., None]:
    """The contract on a server, or one test that says why it could not be run."""
    if postgres()[0]:
        return contract(target)

    def not_run() -> None:
        pytest.skip(f"not run: {postgres()[1]}")

    not_run.contract_target = target.name  # type: ignore[attr-defined]  # the summary groups by it
    return not_run


test_memory = contract(memory)
test_shelf = contract(shelf)
test_sqlite = contract(sqlite)
test_postgresql = if_it_is_there(postgresql)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": " "}, "has a name for reports"),
        ({"open": MemoryStore()}, "open is a store; each rule needs its own"),
        ({"open": 5}, "open is a function, not int"),
        ({"drop": 5}, "drop is a function, not int"),
        ({"time_scale": 0}, "time_scale is a number above 0"),
        ({"time_scale": float("nan")}, "time_scale is a number above 0"),
        ({"name": "\ud800"}, "printable text of at most 100 characters"),
        ({"name": "a\nb"}, "on one line"),
        ({"name": "x" * 101}, "at most 100 characters"),
    ],
)
def test_what_is_no_target(wrong: dict[str, object], text: str) -> None:
    with pytest.raises(SetupError, match=text):
        StoreTarget(**{"name": "mine", "open": on_shelf, **wrong})  # type: ignore[arg-type]


MODULE = """\
from treaty.storage import MemoryStore
from treaty_contracts import StoreTarget

store_target = StoreTarget(name="mine", open=lambda context: MemoryStore(retain=context.retain))


class Forgetful(MemoryStore):
    def list(self, model, *, after="", limit=500):
        return []


forgetful = StoreTarget(name="forgetful", open=lambda context: Forgetful(retain=context.retain))
nothing = StoreTarget(name="nothing", open=lambda context: None)
"""


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], prog_name="treaty")


def test_a_store_of_somebody_else_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mystore.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "report.json"
    good = check("mystore:store_target", "--json", str(report))
    assert good.exit_code == 0, good.stdout
    assert "27 rules of store/1.0" in good.stdout and "CONFORMANT" in good.stdout
    (made,) = read(report)
    assert made.header.promises == Promises(durable=False, shared=False) and made.header.guarantees is None
    assert (made.footer.summary.must.passed, made.footer.summary.must.required) == (27, 27)
    assert [row.id for row in matrix([made]).rows] == [rule.id for rule in rules(STORE)]
    assert dict(declared(made)) == {"durable": "no", "shared": "no"}
    bad = check("mystore:forgetful", "--rule", "STORE-005")
    assert bad.exit_code == 1 and "calls:" in bad.stdout and "store-1.list('Thing'" in bad.stdout, bad.stdout
    none = check("mystore:nothing", "--rule", "STORE-001")
    assert none.exit_code == 1 and "it must return a treaty.storage.Store" in none.stdout
    other = check("mystore:store_target", "--rule", "CALL-001")
    assert other.exit_code == 5 and "none of CALL-001 is about a store" in other.stdout + other.stderr
