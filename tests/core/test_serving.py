"""How requests are received and run: as many at once as was said, and no handler can end the service."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from treaty import (
    Client,
    ConnectionLost,
    Incoming,
    InvalidResult,
    RemoteError,
    ResourceExhausted,
    Service,
    TransportError,
    TreatyError,
    Unavailable,
    UnknownMethod,
)
from treaty.serving import Serving
from treaty_memory import MemoryTransport
from treaty_memory.transport import MemoryDelivery

from .conftest import SECRET, Room
from .services import LIMIT, Slow


@pytest.mark.parametrize("method", ["slow.wait", "slow.wait_later"])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_handlers_run_at_once_as_was_said(either_room: Room, method: str, concurrency: int) -> None:
    service = either_room.serve(Slow, concurrency=concurrency)
    client = either_room.client()
    pending = [client.send(method) for _ in range(3 * concurrency + 1)]
    service.gate.await_arrival(concurrency)
    assert service.gate.inside == concurrency
    service.gate.open()
    assert [one.result() for one in pending] == ["waited"] * len(pending)
    assert service.gate.most == concurrency


def test_blocking_handlers_and_coroutines_share_the_places(either_room: Room) -> None:
    service = either_room.serve(Slow, concurrency=2)
    client = either_room.client()
    pending = [client.send(f"slow.{method}") for method in ("wait", "wait_later", "echo", "later") * 5]
    service.gate.await_arrival(2)
    service.gate.open()
    assert len([one.result() for one in pending]) == 20
    assert service.gate.most == 2


def test_two_services_share_the_requests(room: Room) -> None:
    first, second = room.serve(Slow), room.serve(Slow)
    client = room.client()
    pending = [client.send("slow.wait"), client.send("slow.wait")]
    first.gate.await_arrival()
    second.gate.await_arrival()
    first.gate.open()
    second.gate.open()
    assert {one.reply().sender for one in pending} == {first.instance, second.instance}


def test_no_more_threads_than_handlers_may_run(either_room: Room) -> None:
    before = set(threading.enumerate())
    service = either_room.serve(Slow, concurrency=3)
    client = either_room.client()
    for _ in range(100):
        client.call("slow.echo")
    serving = [thread.name for thread in set(threading.enumerate()) - before if "treaty-service" in thread.name]
    assert len(serving) <= 4, serving
    assert service.counters["requests"] == 100


def test_a_service_that_is_alone_answers_pings_only_when_it_has_a_place_but_refuses_at_once(room_alone: Room) -> None:
    service = room_alone.serve(Slow)
    client = room_alone.client()
    running = client.send("slow.wait")
    service.gate.await_arrival()
    with pytest.raises(RemoteError):
        client.call("slow.nothing")
    service.gate.open()
    assert running.result() == "waited"


@pytest.mark.parametrize("method", ["slow.exit", "slow.exit_later"])
def test_an_exit_in_a_handler_is_an_error_and_not_the_end(either_room: Room, method: str) -> None:
    either_room.serve(Slow)
    client = either_room.client()
    for _ in range(5):
        with pytest.raises(RemoteError, match="SystemExit"):
            client.call(method)
    assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}


def test_a_coroutine_is_stopped_at_the_deadline(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()
    pending = client.send("slow.until_cancelled_later", timeout=0.05)
    assert service.heard.wait(LIMIT)
    with pytest.raises(TimeoutError):
        pending.result()
    assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}


def test_a_request_whose_time_ran_out_while_it_waited_never_runs(room_alone: Room) -> None:
    service = room_alone.serve(Slow)
    client = room_alone.client()
    running = client.send("slow.wait")
    service.gate.await_arrival()
    for method in ("slow.echo", "slow.later"):  # the second lets the time of the first run out at the service too
        with pytest.raises(TimeoutError):
            room_alone.client().call(method, timeout=0.05)
    service.gate.open()
    assert running.result() == "waited"
    client.call("slow.later")
    assert service.seen == []


def test_noise_on_the_line_does_not_end_the_service(either_room: Room) -> None:
    service = either_room.serve(Slow)
    line = either_room.transport.dial()
    for noise in (b"", b"noise", b"TY" + bytes(100), b"\xff" * 1000):
        line.send("slow", noise, 1)
    assert line.receive(LIMIT) == b"TY\x01x" + bytes(40)
    assert either_room.client().call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    assert service.counters["requests"] == 1


def test_an_answer_that_cannot_be_sent_does_not_end_the_service(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room.serve(Slow)
    client = room.client()

    def fail(self: MemoryDelivery, frame: bytes) -> None:
        raise ConnectionLost("cut")

    with monkeypatch.context() as broken:
        broken.setattr(MemoryDelivery, "reply", fail)
        with pytest.raises(TimeoutError):
            client.call("slow.echo", timeout=0.1)
    assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    assert "could not be sent" in caplog.text


def test_a_connection_that_comes_back_is_served_on(caplog: pytest.LogCaptureFixture) -> None:
    failures = [TransportError("cut")]

    class Cut(MemoryTransport):
        def serve(self, service: str, capacity: int = 1):  # type: ignore[no-untyped-def]
            inbox = super().serve(service, capacity)
            receive = inbox.receive

            def fail_first(timeout: float):  # type: ignore[no-untyped-def]
                if failures:
                    raise failures.pop()
                return receive(timeout)

            inbox.receive = fail_first  # type: ignore[method-assign]
            return inbox

    with Cut("cut") as transport, Slow(transport, secret=SECRET), Client(transport, secret=SECRET) as client:
        assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    assert "lost" in caplog.text and "is back" in caplog.text


def test_an_answer_on_its_way_when_the_service_stops_still_arrives(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    service = room.serve(Slow)
    client = room.client(timeout=2)
    sending, let = threading.Event(), threading.Event()
    reply = MemoryDelivery.reply

    def linger(self: MemoryDelivery, frame: bytes) -> None:
        sending.set()
        assert let.wait(LIMIT)
        reply(self, frame)

    monkeypatch.setattr(MemoryDelivery, "reply", linger)
    pending = client.send("slow.echo", ["hi"])
    assert sending.wait(LIMIT)
    stopper = threading.Thread(target=service.stop)
    stopper.start()
    stopper.join(0.1)  # time enough for a stop that does not wait
    let.set()
    stopper.join(LIMIT)
    assert pending.result(LIMIT) == {"RETURN_DATA": "hi"}


class Mixed(Slow):
    name = "mixed"

    async def on_crowd(self, message: Incoming) -> str:
        self.gate.enter()
        if self.gate.inside == 50:
            self.gate.open()
        await self.gate.wait_opened()
        return "together"


def test_coroutines_run_side_by_side(either_room: Room) -> None:
    either_room.serve(Mixed, concurrency=50)
    client = either_room.client()
    pending = [client.send("mixed.crowd") for _ in range(50)]
    assert [one.result() for one in pending] == ["together"] * 50


class Careless(Service):
    """Does to its threads what it should not."""

    name = "careless"

    async def on_exit_in_a_task(self, message: Incoming) -> None:
        async def leave() -> None:
            sys.exit(3)

        await asyncio.gather(leave())

    def on_odd_time(self, message: Incoming) -> datetime:
        class Odd(tzinfo):
            def utcoffset(self, when: datetime | None) -> timedelta:
                raise RuntimeError("no offset today")

            def dst(self, when: datetime | None) -> timedelta | None:
                return None

            def tzname(self, when: datetime | None) -> str | None:
                return None

        return datetime(2020, 1, 1, tzinfo=Odd())

    def on_echo(self, message: Incoming, text: str) -> str:
        return text

    async def on_later(self, message: Incoming, text: str) -> str:
        return text


def test_a_task_that_exits_ends_neither_the_loop_nor_the_service(room: Room) -> None:
    room.serve(Careless)
    client = room.client()

    for _ in range(3):
        with pytest.raises(RemoteError, match="SystemExit"):
            client.call("careless.exit_in_a_task")

    assert client.call("careless.later", ["on"]) == "on"
    assert client.call("careless.echo", ["on"]) == "on"


def test_a_result_whose_own_methods_raise_is_a_typed_error_and_costs_no_thread(room: Room) -> None:
    room.serve(Careless)
    client = room.client()

    for _ in range(3):
        with pytest.raises(InvalidResult, match="no offset today"):
            client.call("careless.odd_time")

    assert client.call("careless.echo", ["on"]) == "on"


@pytest.mark.parametrize("raised", [MemoryError(), OSError("no buffer"), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("method", ["slow.echo", "slow.later", "slow.nothing"])
def test_whatever_a_transport_raises_for_an_answer_ends_no_thread(
    either_room: Room,
    raised: BaseException,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = either_room.serve(Slow)
    client = either_room.client()

    def fail(self: MemoryDelivery, frame: bytes) -> None:
        raise raised

    with monkeypatch.context() as broken:
        broken.setattr(MemoryDelivery, "reply", fail)
        with pytest.raises(TimeoutError):
            client.call(method, timeout=0.1)
    assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    assert client.call("slow.later", ["hi"]) == {"RETURN_DATA": "hi"}
    assert service.serving
    assert "by a fault of the transport" in caplog.text


def test_a_request_that_cannot_be_settled_ends_no_thread(
    room_alone: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = room_alone.serve(Slow)
    client = room_alone.client()

    def fail(self: MemoryDelivery, accepted: bool = True) -> None:
        raise MemoryError

    monkeypatch.setattr(MemoryDelivery, "settle", fail)
    for _ in range(3):
        assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
        with pytest.raises(UnknownMethod):
            client.call("slow.nothing")
    service.stop()
    assert "could not be settled" in caplog.text


def test_a_service_that_can_start_no_more_threads_goes_on_with_those_it_has(
    either_room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    either_room.serve(Slow, concurrency=3)
    client = either_room.client()

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    client.send("slow.echo").result()  # its own thread is there
    with monkeypatch.context() as exhausted:
        exhausted.setattr("treaty.serving._Thread.start", fail)
        exhausted.setattr("treaty.coroutines.threading.Thread", type("Thread", (threading.Thread,), {"start": fail}))
        for _ in range(4):
            assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
            with pytest.raises(ResourceExhausted, match="not executed"):
                client.call("slow.later")
    assert client.call("slow.later", ["hi"]) == {"RETURN_DATA": "hi"}
    assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    assert "no thread could be started" in caplog.text


def test_a_service_whose_thread_ends_stops_and_says_why(
    either_room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = either_room.serve(Slow)

    def fail(self: Serving, timeout: float) -> None:
        raise MemoryError

    monkeypatch.setattr(Serving, "_work_once", fail)
    with pytest.raises(TreatyError, match="a thread of the service ended") as ended:
        service.run()
    assert isinstance(ended.value.__cause__, MemoryError)
    assert not service.serving
    assert "which stops" in caplog.text
    with pytest.raises(Unavailable):
        either_room.client().call("slow.echo")


def test_a_coroutine_that_blocks_its_loop_does_not_hold_up_a_stop(room: Room) -> None:
    class Blocking(Slow):
        async def on_block(self, message: Incoming) -> None:
            self.on_wait(message)

    service = room.serve(Blocking)
    pending = room.client().send("slow.block")
    service.gate.await_arrival()
    stopper = threading.Thread(target=service.stop, args=(0.01,))
    stopper.start()
    stopper.join(LIMIT / 2)
    assert not stopper.is_alive()
    service.gate.open()
    with pytest.raises(ConnectionLost):
        pending.result()


USER: ContextVar[str] = ContextVar("user", default="nobody")


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Around(Service):
    """What handlers leave behind, and what is wrapped around them."""

    name = "around"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.answered = threading.Event()
        self.later: asyncio.Task[Any] | None = None
        self.outside: Client | None = None

    def on_log_in(self, message: Incoming, who: str) -> None:
        USER.set(who)

    def on_who(self, message: Incoming) -> str:
        return USER.get()

    async def on_who_later(self, message: Incoming) -> str:
        return USER.get()

    @logged
    async def on_wrapped(self, message: Incoming, number: int) -> int:
        return await asyncio.to_thread(lambda: number)

    @logged
    async def on_wrapped_failure(self, message: Incoming) -> None:
        raise LookupError("nothing there")

    def on_handed_on(self, message: Incoming) -> Any:
        return message.client.send("around.wrapped", [1])

    def on_remaining(self, message: Incoming) -> float:
        return message.remaining

    def on_elsewhere(self, message: Incoming) -> Any:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(message.client.call, "around.remaining").result()

    def on_closes(self, message: Incoming) -> Any:
        with message.client as client:
            client.call("around.who")
        return message.client.call("around.who")

    async def on_leaves(self, message: Incoming) -> None:
        async def later() -> Any:
            assert await asyncio.to_thread(message.wait_cancelled, LIMIT)
            return [await client.send("around.who") for client in (message.client, self.outside) if client is not None]

        self.later = asyncio.get_running_loop().create_task(later())
        self.later.add_done_callback(lambda _: self.answered.set())


def test_no_request_finds_what_another_one_set(room: Room) -> None:
    room.serve(Around, concurrency=2)
    client = room.client()
    for _ in range(4):
        client.call("around.log_in", ["alice"])
    assert {client.call(f"around.{method}") for method in ("who", "who_later") for _ in range(4)} == {"nobody"}


def test_handlers_find_what_was_set_where_the_service_was_started(room: Room) -> None:
    def start() -> None:
        USER.set("the service")
        room.serve(Around)

    copy_context().run(start)
    assert [room.client().call(f"around.{method}") for method in ("who", "who_later")] == ["the service"] * 2


def test_a_coroutine_under_a_decorator_is_awaited(either_room: Room) -> None:
    either_room.serve(Around, concurrency=2)
    client = either_room.client()
    pendings = [client.send("around.wrapped", [number]) for number in range(20)]
    assert [pending.result() for pending in pendings] == list(range(20))
    assert client.call("around.handed_on") == 1
    with pytest.raises(RemoteError, match="LookupError: nothing there"):
        client.call("around.wrapped_failure")


def test_the_time_of_a_request_bounds_its_client_in_any_thread(room: Room) -> None:
    room.serve(Around, concurrency=2)
    assert 0 < room.client().call("around.elsewhere", timeout=1) <= 1


def test_a_handler_that_closes_its_client_ends_no_call(room: Room) -> None:
    room.serve(Around, concurrency=8)  # each of four calls two more, one after the other
    client = room.client()
    for _ in range(5):
        pendings = [client.send("around.closes") for _ in range(4)]
        assert [pending.result() for pending in pendings] == ["nobody"] * 4


def test_what_a_handler_leaves_behind_is_bound_no_longer(room: Room) -> None:
    service = room.serve(Around)
    service.outside = room.client()
    room.client().call("around.leaves", timeout=0.1)
    assert service.answered.wait(LIMIT) and service.later is not None
    assert service.later.result() == ["nobody", "nobody"]
