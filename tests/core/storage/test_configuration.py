"""Which store keeps what, and what is said when that makes no sense."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from treaty import ConfigurationError
from treaty.storage import MemoryStore, StorageService, StoreConfig, read_config
from treaty.storage.configuration import check
from treaty.storage.engines import shown
from treaty_memory import MemoryTransport

from .things import SECRET, Cluster, Host, Paper


def test_plain_values_are_read() -> None:
    settings: list[dict[str, Any]] = [
        {"url": "memory:", "models": ["Host", "Ticket"], "retain": 5},
        {"name": "other", "url": "sqlite:///x.db", "models": ["Cluster"]},
    ]
    main, other = read_config(settings, [Host, Cluster, Paper])
    assert (main.name, main.models, main.retain) == ("main", (Host, Paper), 5)
    assert (other.name, other.url, other.models) == ("other", "sqlite:///x.db", (Cluster,))
    check([main, other])


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"url": "memory:", "models": ["Ghost"]}, "unknown model 'Ghost'; known: Cluster, Host"),
        ({"models": ["Host"]}, "the setting 'url' is missing"),
        ({"url": "memory:"}, "the setting 'models' is missing"),
        ({"url": "memory:", "models": "Host"}, "'models' is a list of names"),
        ({"url": "memory:", "models": ["Host"], "colour": 1}, "unknown setting 'colour'"),
        (["url"], "settings of a store are a table"),
    ],
)
def test_plain_values_that_make_no_sense(setting: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        read_config([setting], [Host, Cluster])


@pytest.mark.parametrize(
    ("stores", "text"),
    [
        ([], "needs a store"),
        ([{"url": "memory:"}], "is no StoreConfig"),
        ([StoreConfig(models=[Host])], "give either a URL or a function"),
        ([StoreConfig(url="memory:", make=MemoryStore, models=[Host])], "give either a URL or a function"),
        ([StoreConfig(make=5, models=[Host])], "make is a function, not int"),  # type: ignore[arg-type]
        ([StoreConfig(url="memory:", models=[])], "keeps no models"),
        ([StoreConfig(url="memory:", models=[int])], "int is no model"),
        ([StoreConfig(url="memory:", models=[Host, Host])], "the model Host is given to 'main' and to 'main'"),
        (
            [StoreConfig(url="memory:", models=[Host]), StoreConfig(name="b", url="memory:", models=[Cluster, Host])],
            "the model Host is given to 'main' and to 'b'",
        ),
        (
            [StoreConfig(url="memory:", models=[Host]), StoreConfig(url="memory:", models=[Cluster])],
            "two stores are called 'main'",
        ),
        ([StoreConfig(name="A b", url="memory:", models=[Host])], "'A b' is no name for a store"),
        ([StoreConfig(url="memory:", models=[Host], retain=0)], "retain is a whole number from 1 on"),
        ([StoreConfig(make=MemoryStore, models=[Host], retain=5)], "decides how much it retains"),
    ],
)
def test_a_configuration_that_makes_no_sense(stores: list[StoreConfig], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        check(stores)
    with pytest.raises(ConfigurationError, match=text):
        StorageService(MemoryTransport("never"), secret=SECRET, stores=stores)


def test_a_store_of_ones_own() -> None:
    store = MemoryStore()
    assert StoreConfig(make=lambda: store, models=[Host]).open() is store
    with pytest.raises(ConfigurationError, match="gave no store, but int"):
        StoreConfig(make=lambda: 5, models=[Host]).open()  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigurationError, match="nothing is known of 'mongodb'"):
        StoreConfig(url="mongodb://x", models=[Host]).open()


def test_a_password_is_not_shown() -> None:
    shown = repr(StoreConfig(url="postgresql://ada:s3cret@h/d", models=[Host]))
    assert "s3cret" not in shown and "Host" in shown


def test_storage_needs_nothing_but_msgspec_and_says_what_sql_needs() -> None:
    program = """
import sys

class Nobody:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sqlalchemy", "psycopg", "attrs", "attr", "zmq", "kombu"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nobody())
import dataclasses
from treaty import ConfigurationError
from treaty.storage import StoreConfig, model

@model(key="name")
@dataclasses.dataclass
class Thing:
    name: str

StoreConfig(url="memory:", models=[Thing]).open()
try:
    StoreConfig(url="sqlite:///x.db", models=[Thing]).open()
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "store 'main' needs sqlalchemy: pip install 'treaty[sql]'\n", done.stderr


def test_two_stores_do_not_share_a_database() -> None:
    with pytest.raises(ConfigurationError, match="the stores 'main' and 'b' have one database"):
        check(
            [
                StoreConfig(url="sqlite:///same.db", models=[Host]),
                StoreConfig(url="sqlite:///same.db", name="b", models=[Cluster]),
            ]
        )
    check([StoreConfig(url="memory:", models=[Host]), StoreConfig(url="memory:", name="b", models=[Cluster])])


def test_no_password_is_shown() -> None:
    for url in ("postgresql://u:s3cret@h/db", "postgresql://u@h/db?password=s3cret&sslpassword=s3cret"):
        assert "s3cret" not in repr(StoreConfig(url=url, models=[Host]))
        assert "s3cret" not in shown(make_url(url))


def test_a_port_that_is_no_number_is_a_url_that_cannot_be_read() -> None:
    with pytest.raises(ConfigurationError, match="the URL of a store cannot be read"):
        StoreConfig(url="postgresql://u:p@h:abc/db", models=[Host]).open()
