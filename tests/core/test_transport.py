"""Names, guarantees, the common behaviour of resources, and how a URL finds its transport."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treaty import (
    ClosedError,
    ConfigurationError,
    ForkedError,
    Guarantees,
    InvalidTarget,
    InvalidURL,
    MissingExtra,
    Resource,
    TreatyError,
    UnknownScheme,
    check_name,
    connect,
    transport,
)
from treaty_contracts.alphabet import CHARACTERS
from treaty_memory import MemoryTransport

from .strategies import tokens


@settings(deadline=None)
@given(tokens)
def test_a_plain_token_is_a_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "_a", "A", "a.b", "a b", "a\n", "ä", "a/b", "x" * 65, "\N{KELVIN SIGN}", "a*", None, 7, b"a"]
)
def test_anything_else_is_no_name(name: Any) -> None:
    with pytest.raises(InvalidTarget):
        check_name(name)


@settings(deadline=None)
@given(st.text(CHARACTERS, max_size=70))
def test_a_name_is_safe_wherever_a_broker_puts_it(name: str) -> None:
    try:
        check_name(name)
    except InvalidTarget:
        return
    assert name.isascii() and len(name) <= 64 and not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_guarantees_have_no_defaults() -> None:
    with pytest.raises(TypeError):
        Guarantees()  # type: ignore[call-arg]


class Thing(Resource):
    def close(self) -> None:
        self._closed = True


def test_a_resource_is_not_used_after_close() -> None:
    with Thing() as thing:
        thing.check()
    assert thing.closed
    with pytest.raises(ClosedError, match="Thing is closed"):
        thing.check()


def test_a_resource_belongs_to_the_process_that_made_it() -> None:
    thing = Thing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fork with threads around
        child = os.fork()
    if child == 0:
        told = thing.foreign and _refused(ForkedError, thing)
        thing.close()
        os._exit(told and _refused(ClosedError, thing))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    thing.check()


def _refused(error: type[TreatyError], thing: Thing) -> bool:
    try:
        thing.check()
    except error:
        return True
    return False


@pytest.mark.parametrize("url", ["", "memory", "memory:x", "://x", "127.0.0.1:5555", "/a/path", "http//x", None, 7])
def test_what_is_no_url_is_refused_with_an_example(url: Any) -> None:
    with pytest.raises(InvalidURL, match="write something like"):
        connect(url)


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownScheme, match="memory"):
        connect("carrier-pigeon://roof")


def register(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    entry = EntryPoint(name=name, value=value, group="treaty.transports")
    monkeypatch.setattr(transport, "entry_points", lambda **_: [entry])


def test_a_strangers_transport_is_reached_by_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "pigeon", f"{__name__}:fly")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    found = connect("pigeon://roof", speed=3)
    assert isinstance(found, Pigeon)
    assert (found.name, found.speed) == ("pigeon://roof", 3)


class Pigeon(MemoryTransport):
    speed = 0


def fly(url: str, speed: int) -> Pigeon:
    pigeon = Pigeon(url)
    pigeon.speed = speed
    return pigeon


NOT_A_FACTORY = 42


@pytest.mark.parametrize("what", ["no_such_name", "NOT_A_FACTORY"])
def test_a_broken_entry_point_is_named(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    register(monkeypatch, "pigeon", f"{__name__}:{what}")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])

    with pytest.raises(ConfigurationError, match="entry point 'pigeon'"):
        connect("pigeon://roof")


def test_what_is_installed_and_cannot_be_read_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(**_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files", "entry_points.txt")

    monkeypatch.setattr(transport, "entry_points", unreadable)
    with pytest.raises(ConfigurationError, match=r"cannot be listed: .*Too many open files"):
        connect("memory://room")


def test_a_url_that_cannot_be_split_is_no_surprise() -> None:
    with pytest.raises(UnknownScheme):
        connect("http://[x")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "pigeon", "no_such_pigeon:connect")
    with pytest.raises(MissingExtra, match="no_such_pigeon"):
        connect("pigeon://roof")


def test_a_missing_extra_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "treaty_zmq", None)
    with pytest.raises(MissingExtra, match=r"pip install 'treaty\[zmq\]'"):
        connect("zmq+tcp://127.0.0.1:1")


@pytest.mark.parametrize("url", ["redis//:hunter2@host", "ann:hunter2@host", "//ann:hunter2@host:1/x"])
def test_a_malformed_url_is_named_without_its_password(url: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        connect(url)

    assert "hunter2" not in str(caught.value)
    assert "host" in str(caught.value)
