"""A client that is used again in the midst of its own work, as a signal's handler or a ``__del__`` does: nothing hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from tests.interruptions import visited

from treaty import Client, ClosedError, Incoming, Service, Unavailable, connect
from treaty.driving import in_the_middle
from treaty.pending import Pending
from treaty_contracts.expect import until

from .conftest import SECRET
from .services import LIMIT

_NUMBERS = count()


class Echo(Service):
    """Answers what it is asked, and counts what nobody waits for."""

    name = "echo"
    told = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gate = threading.Event()

    def on_same(self, message: Incoming, value: int) -> int:
        return value

    def on_told(self, message: Incoming) -> None:
        self.told += 1

    def on_late(self, message: Incoming) -> str:
        return "late" if self.gate.wait(LIMIT) else "too late"


@pytest.fixture(params=["memory://reentry-{}", "zmq+inproc://reentry-{}"], ids=["memory", "inproc"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Echo, Client]]:
    transport = connect(request.param.format(next(_NUMBERS)))
    with (
        transport,
        Echo(transport, secret=SECRET) as service,
        Client(transport, secret=SECRET, timeout=LIMIT) as client,
    ):
        client.call("echo.same", [0])
        yield service, client


def every_step(use: Callable[[], object], visit: Callable[[], object]) -> Iterator[str]:
    """Visit a use at each of its lines, one after the other."""
    for number in count(1):
        where = visited(number, use, visit, LIMIT * 2)
        if not where:
            return
        yield where


@pytest.mark.parametrize("deferred", [False, True], ids=["call", "send"])
def test_what_is_sent_from_within_a_call_is_answered(ends: tuple[Echo, Client], deferred: bool) -> None:
    _, client = ends
    begun: list[Pending] = []

    def use() -> None:
        result = client.send("echo.same", [1]).result() if deferred else client.call("echo.same", [1])
        assert result == 1

    places = list(every_step(use, lambda: begun.append(client.send("echo.same", [2]))))
    assert len(places) > 100
    assert [one.result() for one in begun] == [2] * len(places)
    assert client.open_calls == 0


def test_what_is_told_from_within_a_call_arrives(ends: tuple[Echo, Client]) -> None:
    service, client = ends
    refused: list[str] = []

    def tell() -> None:
        try:
            client.notify("echo.told")
        except Unavailable as error:  # the transport is in the middle of something
            refused.append(str(error))

    places = list(every_step(lambda: client.call("echo.same", [1]), tell))
    assert until(lambda: service.told == len(places) - len(refused), LIMIT)
    assert len(refused) < len(places) / 2
    assert all("interrupted" in text for text in refused)


def test_a_call_from_within_a_call_is_answered_or_not_sent(ends: tuple[Echo, Client]) -> None:
    _, client = ends
    outcomes: list[object] = []

    def ask() -> None:
        try:
            outcomes.append(client.call("echo.same", [2]))
        except Unavailable as error:
            outcomes.append(type(error))

    places = list(every_step(lambda: client.call("echo.same", [1]), ask))
    assert len(outcomes) == len(places)
    assert set(map(str, outcomes)) == {"2", str(Unavailable)}


def test_a_call_from_a_callback_that_would_have_to_read_its_own_answer_is_not_sent(ends: tuple[Echo, Client]) -> None:
    service, client = ends
    outcomes: list[object] = []

    def ask(_: Pending) -> None:
        try:
            outcomes.append(client.call("echo.told"))
        except Unavailable as error:
            outcomes.append(str(error))

    pending = client.send("echo.late")
    pending.on_done(ask)  # by the thread that reads, as it is not over yet
    service.gate.set()
    assert pending.result() == "late"
    assert until(lambda: outcomes, LIMIT)
    assert "interrupts" in str(outcomes[0])
    assert service.told == 0


def test_what_is_given_up_from_within_a_call_is_over(ends: tuple[Echo, Client]) -> None:
    _, client = ends
    begun: list[Pending] = []

    def give_up() -> None:
        begun.append(client.send("echo.same", [2]))
        begun[-1].cancel()

    for _ in every_step(lambda: client.call("echo.same", [1]), give_up):
        assert begun[-1].done or until(lambda: begun[-1].done, LIMIT)
    assert client.open_calls == 0


@pytest.mark.parametrize("url", ["memory://closing", "zmq+inproc://closing"])
def test_closing_from_within_a_call_does_not_hang(url: str) -> None:
    with connect(url) as transport, Echo(transport, secret=SECRET):
        for number in count(1):
            client = Client(transport, secret=SECRET, timeout=LIMIT)
            client.call("echo.same", [0])

            def use(client: Client = client) -> None:
                with suppress(ClosedError):
                    assert client.call("echo.same", [1]) == 1

            where = visited(number, use, client.close, LIMIT / 2)
            client.close()  # and waits for what was begun
            assert client.closed and client.open_calls == 0, where
            if not where:
                break
    assert number > 100


def test_a_method_further_up_is_found_and_no_other() -> None:
    class Owner:
        def run(self, what: Callable[[], bool]) -> bool:
            return what()

        def asks(self, *owners: object) -> bool:
            return in_the_middle(*owners)

    one, other = Owner(), Owner()
    assert not one.asks(one)
    assert one.run(lambda: one.asks(one))
    assert one.run(lambda: other.asks(other, one))
    assert not one.run(lambda: other.asks(other))
