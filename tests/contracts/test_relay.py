"""The relay: what it carries, what it refuses, and what it leaves behind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from treaty_contracts import Context
from treaty_contracts.forking import Child
from treaty_contracts.relay import Address, Relay
from treaty_contracts.relays import Relays

LIMIT = 10.0


class Ends:
    """A listener, the relay before it, and connections through it."""

    def __init__(self, stack: ExitStack, upstream: Address, listen: Address) -> None:
        self._stack = stack
        self.family = socket.AF_UNIX if isinstance(upstream, str) else socket.AF_INET
        self.listener = stack.enter_context(socket.socket(self.family))
        self.listener.settimeout(LIMIT)
        self.listener.bind(upstream)
        self.listener.listen()
        self.upstream: Address = self.listener.getsockname()
        self.relay = Relay(self.upstream, listen)
        stack.callback(self.relay.close)

    def dial(self) -> socket.socket:
        near = self._stack.enter_context(socket.socket(self.family))
        near.settimeout(LIMIT)
        near.connect(self.relay.address)
        return near

    def accept(self) -> socket.socket:
        far, _ = self.listener.accept()
        far.settimeout(LIMIT)
        return self._stack.enter_context(far)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        return self.dial(), self.accept()


@pytest.fixture(params=["tcp", "unix"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ends]:
    tcp = request.param == "tcp"
    before = threading.active_count()
    with ExitStack() as stack:
        yield (
            Ends(stack, ("127.0.0.1", 0), ("127.0.0.1", 0))
            if tcp
            else Ends(stack, str(tmp_path / "up"), str(tmp_path / "at"))
        )
    assert threading.active_count() == before
    assert not (tmp_path / "at").exists()


def exactly(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (chunk := connection.recv(65_536)):
        got += chunk
    return got


def is_broken(connection: socket.socket) -> bool:
    """Whether a connection ends, within the limit: with a reset or without."""
    with suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


def test_it_carries_both_ways(ends: Ends) -> None:
    near, far = ends.pair()
    near.sendall(b"there")
    assert exactly(far, 5) == b"there"
    far.sendall(b"and back")
    assert exactly(near, 8) == b"and back"


def test_it_connects_when_somebody_comes(ends: Ends) -> None:
    ends.listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        ends.listener.accept()
    ends.listener.settimeout(LIMIT)
    ends.pair()


def test_much_is_carried_to_one_who_reads_late(ends: Ends) -> None:
    near, far = ends.pair()
    data = os.urandom(8 * 1024 * 1024)
    sender = threading.Thread(target=near.sendall, args=(data,))
    sender.start()
    assert exactly(far, len(data)) == data
    sender.join()


def test_an_end_is_carried_as_well_and_the_other_way_stays_open(ends: Ends) -> None:
    near, far = ends.pair()
    near.sendall(b"last words")
    near.shutdown(socket.SHUT_WR)
    assert exactly(far, 100) == b"last words"
    far.sendall(b"answer")
    far.close()
    assert exactly(near, 100) == b"answer"


def test_nobody_upstream(ends: Ends) -> None:
    ends.listener.close()
    if isinstance(ends.upstream, str):
        Path(ends.upstream).unlink()
    broken = True
    with suppress(ConnectionResetError):  # the reset may come before connect() has returned
        broken = is_broken(ends.dial())
    assert broken


def test_a_cut_breaks_and_refuses(ends: Ends) -> None:
    near, far = ends.pair()
    ends.relay.cut()
    assert is_broken(near)
    assert is_broken(far)
    with pytest.raises(OSError, match=r"refused|No such file"):
        ends.dial()
    ends.relay.cut()


def test_a_cut_resets_where_there_is_such_a_thing(ends: Ends) -> None:
    near, far = ends.pair()
    ends.relay.cut()
    if ends.family == socket.AF_INET:
        for end in (near, far):
            with pytest.raises(ConnectionResetError):
                end.recv(1)


def test_after_mending_it_carries_again_at_the_same_address(ends: Ends) -> None:
    ends.pair()
    address = ends.relay.address
    ends.relay.cut()
    ends.relay.mend()
    ends.relay.mend()
    assert ends.relay.address == address
    near, far = ends.pair()
    near.sendall(b"again")
    assert exactly(far, 5) == b"again"


def test_a_restart_breaks_and_takes_new_ones(ends: Ends) -> None:
    near, far = ends.pair()
    ends.relay.restart()
    assert is_broken(near)
    assert is_broken(far)
    near, far = ends.pair()
    near.sendall(b"again")
    assert exactly(far, 5) == b"again"


def test_upstream_may_move(ends: Ends) -> None:
    with socket.socket() as other:
        other.settimeout(LIMIT)
        other.bind(("127.0.0.1", 0))
        other.listen()
        ends.relay.upstream = other.getsockname()
        near = ends.dial()
        with other.accept()[0] as far:
            near.sendall(b"moved")
            assert far.recv(5) == b"moved"


def test_stalled_it_carries_nothing_and_tells_nobody(ends: Ends) -> None:
    near, far = ends.pair()
    ends.relay.stall()
    ends.relay.stall()
    near.sendall(b"kept")
    late = ends.dial()  # the system takes it
    late.sendall(b"late")
    # Whatever the relay's thread was going to do, it has done by the time that it obeys.
    assert ends.relay.recorded() == b""
    far.settimeout(0)
    with pytest.raises(BlockingIOError):
        far.recv(4)
    far.settimeout(LIMIT)
    ends.relay.resume()
    assert exactly(far, 4) == b"kept"
    assert exactly(ends.accept(), 4) == b"late"


def test_a_stalled_one_can_be_cut_and_mended(ends: Ends) -> None:
    near, _ = ends.pair()
    ends.relay.stall()
    ends.relay.cut()
    assert is_broken(near)
    ends.relay.mend()
    ends.relay.resume()
    near, far = ends.pair()
    near.sendall(b"again")
    assert exactly(far, 5) == b"again"


def test_it_records_streams_one_after_the_other(ends: Ends) -> None:
    silent, heard = ends.pair()
    silent.sendall(b"not recorded")
    exactly(heard, 12)
    ends.relay.record()
    one, other = ends.pair(), ends.pair()
    for piece in (b"a", b"b", b"c"):
        for near, far in (one, other):
            near.sendall(piece)
            assert exactly(far, 1) == piece
            far.sendall(piece.upper())
            assert exactly(near, 1) == piece.upper()
    assert sorted(ends.relay.recorded().split(b"\n")) == [b"ABC", b"ABC", b"abc", b"abc"]


def test_close_is_idempotent_and_what_comes_after_does_nothing(ends: Ends) -> None:
    near, far = ends.pair()
    ends.relay.close()
    ends.relay.close()
    assert is_broken(near)
    assert is_broken(far)
    for use in (ends.relay.cut, ends.relay.mend, ends.relay.restart, ends.relay.stall, ends.relay.resume):
        use()
    assert ends.relay.recorded() == b""


def test_a_forked_child_keeps_nothing_open(ends: Ends) -> None:
    near, far = ends.pair()
    reading, writing = os.pipe()
    child = Child(lambda: len(os.read(reading, 1)), LIMIT)  # lives until it is told to end
    ends.relay.cut()
    assert is_broken(near)
    assert is_broken(far)
    with pytest.raises(OSError, match=r"refused|No such file"):
        ends.dial()
    os.write(writing, b"!")
    assert child.report() == 1
    os.close(reading)
    os.close(writing)


def test_a_forked_child_may_close_but_not_cut(ends: Ends) -> None:
    def work() -> str:
        ends.relay.close()
        try:
            ends.relay.cut()
        except RuntimeError as error:
            return str(error)
        return "cut"

    assert "belongs to the process" in Child(work, LIMIT).report()
    near, far = ends.pair()
    near.sendall(b"still here")
    assert exactly(far, 10) == b"still here"


def test_an_address_that_cannot_be_had(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match=r"No such file"):
        Relay(("127.0.0.1", 1), str(tmp_path / "nowhere" / "at"))
    assert threading.active_count() == before


def context(namespace: str, *hooks: str) -> Context:
    return Context(namespace=namespace, role="client", secret="", time_scale=1.0, hooks=hooks)


def test_relays_stand_between_only_where_a_hook_needs_them(ends: Ends) -> None:
    relays = Relays(lambda _: ends.upstream)
    try:
        assert relays.address(context("a")) == ends.upstream
        assert relays.address(context("a", "inject")) == ends.upstream
        through = relays.address(context("a", "tap"))
        assert through != ends.upstream
        assert relays.address(context("a", "cut_link")) == through
        assert relays.address(context("b", "tap")) != through
    finally:
        relays.close()


def test_the_hooks_of_relays(ends: Ends) -> None:
    relays = Relays(lambda _: ends.upstream)
    here = context("a", "tap", "cut_link", "restart_peer")
    try:
        seen = relays.tap(here)
        breaks: list[Callable[[], None]] = [lambda: relays.restart_peer(here), lambda: relays.cut_link(here)()]
        for broken in breaks:
            with socket.socket(ends.family) as near:
                near.settimeout(LIMIT)
                near.connect(relays.address(here))
                far = ends.accept()
                near.sendall(b"seen")
                assert exactly(far, 4) == b"seen"
                broken()
                assert is_broken(near)
        assert seen().count(b"seen") == 2
    finally:
        relays.close()


def test_relays_of_rules_that_are_over_are_closed(ends: Ends) -> None:
    relays = Relays(lambda _: ends.upstream, lambda there: listen(ends, there))
    before = threading.active_count()
    try:
        for number in range(20):
            relays.address(context(f"n{number}", "tap"))
        assert threading.active_count() - before <= 8
    finally:
        relays.close()
    assert threading.active_count() == before


def listen(ends: Ends, there: Context) -> Address:
    return f"{ends.upstream}.{there.namespace}" if isinstance(ends.upstream, str) else ("127.0.0.1", 0)
