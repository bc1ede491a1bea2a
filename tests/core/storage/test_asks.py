"""What a client asks, and what is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from treaty import ConfigurationError, DecodingError
from treaty.storage import Position, Unreadable, ValidationFailed, asks

from .things import Cluster, Colour, Host, Paper


def test_what_is_asked() -> None:
    assert asks.get(Paper, 5).params == {"model": "Ticket", "key": "5"}
    assert asks.save(Host(address="a", revision=4), None).params == {
        "model": "Host",
        "data": {"address": "a", "port": 22},
        "version": 4,
    }
    assert asks.save(Cluster("a"), 7).params["version"] == 7
    assert asks.save(Cluster("a"), None).params["version"] is None
    assert asks.delete(Cluster, "a", None).params == {"model": "Cluster", "key": "a", "version": None}
    assert asks.delete(Host(address="a", revision=4), None, None).params["version"] == 4
    many = asks.delete_many([Host(address="a", revision=4), Host(address="b")], None)
    assert many is not None and many.params == {"model": "Host", "keys": ["a", "b"], "versions": [4, 0]}
    named = asks.delete_many(Paper, [1, 2])
    assert named is not None and named.params == {"model": "Ticket", "keys": ["1", "2"], "versions": [None, None]}
    since = asks.changes_since("main", Position(epoch="e", sequence=3)).params
    assert since == {"feed": "main", "epoch": "e", "sequence": 3, "limit": 500}


def test_nothing_is_asked_for_nothing() -> None:
    assert asks.save_many([]) is None and asks.delete_many([], None) is None and asks.delete_many(Host, []) is None


def test_what_is_saved_comes_back_with_its_version_and_otherwise_as_it_was() -> None:
    host, cluster = Host(address="a", password="s3cret"), Cluster("a")
    saved = asks.save(host, None).read({"key": "a", "version": 8, "event": "created"})
    assert saved == Host(address="a", password="s3cret", revision=8) and host.revision == 0
    assert asks.save(cluster, None).read({"key": "a", "version": 8}) == cluster


class Bigger(Cluster):
    """A subclass that was not declared."""


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda: asks.get(int, "a"), ConfigurationError, "int is no model"),
        (lambda: asks.save(5, None), ConfigurationError, "int is no model"),
        (
            lambda: asks.save_many([Cluster("a"), Host(address="b")]),
            ValidationFailed,
            r"Cluster\[1\]: this is a Host",
        ),
        (lambda: asks.save_many([Cluster("a"), 5]), ValidationFailed, r"Cluster\[1\]: this is a int"),
        (lambda: asks.save(Cluster("a", "b"), None), ValidationFailed, r"Cluster\.size"),  # type: ignore[arg-type]
        (lambda: asks.save(Cluster(""), None), ValidationFailed, r"Cluster\.name: a key has 1 to 255"),
        (lambda: asks.delete_many([Cluster("a"), Host(address="b")], None), ValidationFailed, r"Cluster\[1\]"),
        (lambda: asks.delete_many(5, None), ValidationFailed, "int is no list of instances"),
        (
            lambda: asks.delete_many(Host, None),
            ValidationFailed,
            r"the class Host is no list of instances: write delete_many\(hosts\), or delete_many\(Host, keys\)",
        ),
        (lambda: asks.delete_many([Cluster("a")], ["a"]), ValidationFailed, r"write delete_many\(hosts\)"),
        (lambda: asks.delete_many(Cluster("a"), ["a"]), ValidationFailed, "an instance, where the class belongs"),
        (
            lambda: asks.delete(Host(address="a"), "b", None),
            ValidationFailed,
            r"Host: an instance and a key as well: write delete\(host\), or delete\(Host, key\)",
        ),
        (lambda: asks.save_many("abc"), ValidationFailed, r"str is no list of instances: write save_many\(hosts\)"),
        (lambda: asks.save_many({"a": Cluster("a")}), ValidationFailed, "dict is no list of instances"),
        (lambda: asks.get(Cluster("a"), "a"), ValidationFailed, "Cluster: this is an instance, where the class"),  # type: ignore[arg-type]
        (lambda: asks.get("Host", "a"), ConfigurationError, "'Host' is no model: give a class"),  # type: ignore[arg-type]
        (lambda: asks.save(Cluster("a"), "x"), ValidationFailed, r"version: a version is a whole number, not str \("),  # type: ignore[arg-type]
        (lambda: asks.save(Cluster("a"), version=True), ValidationFailed, "a whole number, not bool"),
        (lambda: asks.delete(Cluster, "a", "x"), ValidationFailed, r"a whole number, not str \(key 'a'\)"),  # type: ignore[arg-type]
        (lambda: asks.delete(Cluster("a"), None, -1), ValidationFailed, r"a version is 0 or more, not -1 \(key 'a'\)"),
        (
            lambda: asks.save_many([Cluster("a"), Bigger("b")]),
            ValidationFailed,
            r"Cluster\[1\]: this is a Bigger, not a Cluster",
        ),
        (lambda: asks.save_many([Cluster("a"), Cluster("a")]), ValidationFailed, r"Cluster: given twice \(key 'a'\)"),
        (lambda: asks.delete_many(Paper, [1, 2, 1]), ValidationFailed, r"Ticket: given twice \(key '1'\)"),
        (lambda: asks.get(Paper, "1"), ValidationFailed, "Ticket.number: Expected `int`, got `str`"),
        (lambda: asks.get_many(Host, ["a", 5]), ValidationFailed, "Host.address: Expected `str`, got `int`"),
        (lambda: asks.delete(Cluster, 5, None), ValidationFailed, "Cluster.name: Expected `str`, got `int`"),
        (lambda: asks.delete_many(Cluster, [5]), ValidationFailed, "Cluster.name: Expected `str`, got `int`"),
        (lambda: asks.delete_many(Cluster, "ab"), ValidationFailed, "one str where a list of keys belongs"),
        (lambda: asks.delete_many(Cluster, 5), ValidationFailed, "one int where a list of keys belongs"),  # type: ignore[arg-type]
        (lambda: asks.get_many(Cluster, "ab"), ValidationFailed, "one str where a list of keys belongs"),
        (lambda: asks.get_many(Cluster, 5), ValidationFailed, "one int where a list of keys belongs"),  # type: ignore[arg-type]
        (lambda: asks.save_many(Cluster("a")), ValidationFailed, "Cluster is no list of instances"),  # type: ignore[arg-type]
        (lambda: asks.save(Cluster, None), ValidationFailed, "Cluster: this is the class, where an instance belongs"),
        (lambda: asks.delete(Cluster, None, None), ValidationFailed, "this is the class, where an instance belongs"),
        (lambda: asks.get(Cluster, None), ValidationFailed, "a key is text or a whole number, not NoneType"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_is_sent(
    ask: Callable[[], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        ask()


def test_a_list_of_instances_may_be_anything_that_yields_them() -> None:
    asked = asks.save_many(Cluster(name) for name in "ab")
    assert asked is not None and asked.keys == ("a", "b")


def test_what_is_found_and_does_not_fit_is_named() -> None:
    found = {"key": "a", "version": 3, "data": {"name": "a", "size": "many"}}
    for ask, answer in (
        (asks.get(Cluster, "a"), found),
        (asks.get_many(Cluster, ["a"]), [found]),
        (asks.part_of_list(Cluster, ""), {"entries": [found, {**found, "key": "b"}], "more": False}),
    ):
        with pytest.raises(Unreadable, match="does not fit its class here: size: Expected `int`, got `str`") as caught:
            ask.read(answer)
        assert (caught.value.model, caught.value.key) == ("Cluster", "a")


def test_an_answer_that_is_something_else_is_a_typed_error() -> None:
    with pytest.raises(DecodingError, match="answered with something else"):
        asks.get(Host, "a").read({"colour": Colour.RED.value})
