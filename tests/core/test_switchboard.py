"""Many threads and event loops on one client, one line and one reader at a time."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from treaty import (
    Client,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    EncodingError,
    ForkedError,
    Incoming,
    Line,
    Response,
    Service,
    TransportError,
    TreatyError,
    Unavailable,
)
from treaty import pending as pending_room
from treaty.engine import Caller, Happened
from treaty.pending import Pending
from treaty.switchboard import Switchboard
from treaty_memory import MemoryTransport
from treaty_memory.transport import MemoryLine

from .conftest import SECRET, Room
from .services import LIMIT, Broken, Slow, echoed, in_threads

NUMBERS = count()


def test_eight_threads_share_a_client(either_room: Room) -> None:
    either_room.serve(Slow, concurrency=4)
    client = either_room.client()

    def work(index: int) -> bool:
        texts = [f"{index}-{number}" for number in range(50)]
        blocking = [client.call("slow.echo", [text]) for text in texts]
        deferred = [pending.result() for pending in [client.send("slow.later", [text]) for text in texts]]
        return blocking == deferred == [echoed(text) for text in texts]

    assert in_threads(8, work) == [True] * 8
    assert client.open_calls == 0


def test_two_event_loops_share_a_client(either_room: Room) -> None:
    either_room.serve(Slow, concurrency=2)
    client = either_room.client()

    async def one(text: str) -> object:
        return await client.send("slow.echo", [text])

    async def many(index: int) -> bool:
        texts = [f"{index}-{number}" for number in range(100)]
        return await asyncio.gather(*(one(text) for text in texts)) == [echoed(text) for text in texts]

    assert in_threads(2, lambda index: asyncio.run(many(index))) == [True, True]


class Gated(MemoryTransport):
    """Dials when it is let."""

    def __init__(self) -> None:
        super().__init__(f"gated-{next(NUMBERS)}")
        self.let = threading.Event()
        self.fails = False

    def dial(self) -> Line:
        assert self.let.wait(LIMIT)
        if self.fails:
            raise Unavailable("the broker is away")
        return super().dial()


def test_a_call_is_sent_off_before_the_line_is_dialled() -> None:
    with Gated() as transport, Slow(transport, secret=SECRET), Client(transport, secret=SECRET) as client:
        pending = client.send("slow.echo", ["hi"])
        given_up = client.send("slow.echo", ["never"])
        assert given_up.cancel()
        assert not pending.done
        transport.let.set()
        assert pending.result() == echoed("hi")


class Log(Service):
    name = "log"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.noted: list[int] = []

    def on_note(self, message: Incoming, number: int) -> int:
        self.noted.append(number)
        return number


def test_what_is_sent_before_the_line_is_open_is_what_it_was_then(room: Room) -> None:
    room.serve(Log)
    client, params = room.client(), {"number": 0}
    pendings = []
    for number in range(5):
        params["number"] = number
        pendings.append(client.send("log.note", params))
    assert [pending.result() for pending in pendings] == list(range(5))
    with pytest.raises(EncodingError):
        room.client().send("log.note", {"number": object()})


@pytest.mark.parametrize("style", ["call", "notify"])
def test_nothing_overtakes_what_was_sent_before_the_line_was_open(style: str) -> None:
    for _ in range(20):
        with Gated() as transport, Log(transport, secret=SECRET) as service, Client(transport, secret=SECRET) as client:
            first = client.send("log.note", [1])
            opening = threading.Thread(target=transport.let.set)
            opening.start()
            getattr(client, style)("log.note", [2])
            assert (first.result(), client.call("log.note", [3])) == (1, 3)
            assert service.noted == [1, 2, 3]
            opening.join()


def test_who_is_interrupted_while_sending_is_waited_for_by_nobody(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.serve(Log)
    client = room.client()

    def struck(self: Switchboard, job: Callable[[], None]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Switchboard, "do_soon", struck)
        with pytest.raises(KeyboardInterrupt):
            client.send("log.note", [1])
    assert client.call("log.note", [2], timeout=5) == 2


def test_who_waits_behind_them_waits_no_longer_than_it_may() -> None:
    with Gated() as transport, Client(transport, secret=SECRET) as client:
        pending = client.send("log.note", [1])
        with pytest.raises(DeadlineExceeded, match="while the line was opened"):
            client.call("log.note", [2], timeout=0.05)
        transport.let.set()
        with pytest.raises(Unavailable):
            pending.result()


def test_a_line_that_cannot_be_dialled_ends_the_call() -> None:
    with Gated() as transport, Client(transport, secret=SECRET) as client:
        transport.fails = True
        transport.let.set()
        for call in (client.call, client.request, client.notify, lambda target: client.send(target).result()):
            with pytest.raises(Unavailable, match="away"):
                call("slow.echo")
        transport.fails = False
        with Slow(transport, secret=SECRET):
            assert client.call("slow.echo", ["hi"]) == echoed("hi")


@pytest.mark.parametrize("error", [ConnectionLost("cut"), TransportError("odd")], ids=["lost", "other"])
def test_a_lost_connection_ends_what_was_under_way_and_nothing_else(error: TransportError) -> None:
    with Broken() as transport, Slow(transport, secret=SECRET, concurrency=2) as service:
        client = Client(transport, secret=SECRET)
        client.call("slow.echo")
        pending = client.send("slow.wait")
        service.gate.await_arrival()
        transport.errors.append(error)
        with pytest.raises(ConnectionLost):
            pending.result()
        service.gate.open()
        assert client.call("slow.echo", ["hi"]) == echoed("hi")
        client.close()


def test_a_loss_that_is_told_while_a_request_is_sent_does_not_end_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with Broken() as transport, Slow(transport, secret=SECRET), Client(transport, secret=SECRET) as client:
        client.call("slow.echo")
        told, send = threading.Event(), MemoryLine.send

        def send_when_told(self: MemoryLine, service: str, frame: bytes, timeout: float) -> None:
            monkeypatch.undo()
            transport.errors.append(ConnectionLost("of what was sent so far"))
            switchboard = client._switchboard
            assert switchboard is not None
            in_threads(1, lambda _: switchboard._reading._read(0))
            told.set()
            send(self, service, frame, timeout)

        monkeypatch.setattr(MemoryLine, "send", send_when_told)
        assert client.call("slow.echo", ["hi"]) == echoed("hi")
        assert told.is_set()


@pytest.mark.parametrize("style", ["blocking", "deferred"])
def test_a_loss_that_is_told_before_a_thread_could_say_that_it_has_sent_ends_its_call(
    monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    """A process may be so busy that a thread comes back from the line when its handler runs and the loss is told."""
    with Broken() as transport, Slow(transport, secret=SECRET) as service, Client(transport, secret=SECRET) as client:
        client.call("slow.echo")
        send = MemoryLine.send

        def come_back_late(self: MemoryLine, target: str, frame: bytes, timeout: float) -> None:
            monkeypatch.undo()
            send(self, target, frame, timeout)
            service.gate.await_arrival()
            transport.errors.append(ConnectionLost("cut"))
            switchboard = client._switchboard
            assert switchboard is not None
            in_threads(1, lambda _: switchboard._reading._read(0))

        monkeypatch.setattr(MemoryLine, "send", come_back_late)
        with pytest.raises(ConnectionLost, match="cut"):
            if style == "blocking":
                client.call("slow.wait", timeout=LIMIT)
            else:
                client.send("slow.wait", timeout=LIMIT).result()
        service.gate.open()
        assert client.call("slow.echo", ["hi"]) == echoed("hi")


@pytest.mark.parametrize("struck", ["_report", "settle", "receive"])
@pytest.mark.parametrize("style", ["blocking", "deferred", "awaited"])
def test_who_waits_is_told_though_the_thread_that_read_the_answer_was_interrupted(
    room: Room, monkeypatch: pytest.MonkeyPatch, style: str, struck: str
) -> None:
    """The main thread reads for everybody, and Ctrl-C strikes it when it has taken the call of another thread."""
    service = room.serve(Slow, concurrency=2)
    client = room.client()
    client.call("slow.echo")
    main, armed = threading.main_thread(), [True]

    def strike() -> None:
        if armed and threading.current_thread() is main:
            armed.clear()
            raise KeyboardInterrupt

    before: dict[str, Any] = {"_report": pending_room._report, "settle": Pending.settle, "receive": Caller.receive}
    if struck == "_report":  # the answer was taken, and is told to nobody

        def report(happened: Happened | None) -> None:
            strike()
            before["_report"](happened)

        monkeypatch.setattr(pending_room, "_report", report)
    elif struck == "settle":  # the call knows its outcome, and those who wait do not

        def settle(self: Pending, outcome: Response | TreatyError) -> bool:
            if armed and threading.current_thread() is main:
                self._outcome = outcome if isinstance(outcome, Exception) else self._read(outcome)
            strike()
            return bool(before["settle"](self, outcome))

        monkeypatch.setattr(Pending, "settle", settle)
    else:  # the engine had taken it, and its word was lost

        def receive(self: Caller, frame: bytes) -> Happened:
            happened: Happened = before["receive"](self, frame)
            strike()
            return happened

        monkeypatch.setattr(Caller, "receive", receive)

    async def awaited() -> object:
        return await asyncio.wait_for(client.send("slow.echo", ["hi"], timeout=5), LIMIT)

    ask: dict[str, Callable[[], object]] = {
        "blocking": lambda: client.call("slow.echo", ["hi"], timeout=5),
        "deferred": lambda: client.send("slow.echo", ["hi"], timeout=5).result(),
        "awaited": lambda: asyncio.run(awaited()),
    }

    def other() -> object:
        service.gate.await_arrival()
        outcome: object = None
        try:
            while armed:
                outcome = ask[style]()
        except ConnectionLost as error:
            outcome = error
        finally:
            service.gate.open()
        return outcome

    pool = ThreadPoolExecutor(1)
    try:
        ended = pool.submit(other)
        with pytest.raises(KeyboardInterrupt):
            client.call("slow.wait", timeout=LIMIT)
        outcome = ended.result(LIMIT)
    finally:
        pool.shutdown(wait=False)  # who still waits there is ended with the room
    assert outcome == echoed("hi") or "was interrupted" in str(outcome)
    assert client.call("slow.echo", ["hi"]) == echoed("hi")
    assert client.open_calls == 0


@pytest.mark.parametrize("style", ["blocking", "deferred"])
def test_that_nobody_takes_a_request_is_known_before_its_time_is_up(
    room: Room, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    """It was certainly not executed, which says more than that the time is up."""

    def nobody(_: MemoryLine, service: str, frame: bytes, timeout: float) -> None:
        assert not threading.Event().wait(timeout)
        raise Unavailable(f"nobody takes the {len(frame)} bytes for {service}")

    monkeypatch.setattr(MemoryLine, "send", nobody)
    client = room.client()
    with pytest.raises(Unavailable, match="not executed: nobody takes"):
        if style == "blocking":
            client.call("slow.echo", timeout=1.5)
        else:
            client.send("slow.echo", timeout=1.5).result()


def test_a_call_that_is_over_is_not_left_to_the_collector(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    client.call("slow.echo")
    gc.collect()
    gc.disable()
    try:
        pending = client.send("slow.echo", ["hi"])
        assert pending.result() == echoed("hi")
        gone = threading.Event()
        watched = weakref.ref(pending, lambda _: gone.set())
        del pending
        assert gone.wait(LIMIT)  # the thread that read the answer may hold it a moment longer
        assert watched() is None
    finally:
        gc.enable()


def test_a_client_leaves_no_thread_behind(room: Room) -> None:
    room.serve(Slow, concurrency=2)
    before = set(threading.enumerate())
    for _ in range(10):
        client = room.client()
        client.on_response("#", lambda _: None)
        client.call("slow.echo")
        client.send("slow.echo").result()
        asyncio.run(_awaited(client))
        client.close()
        assert not [thread for thread in threading.enumerate() if "client" in thread.name and thread not in before]


async def _awaited(client: Client) -> None:
    await client.send("slow.echo")


def test_blocking_calls_need_no_thread(room: Room) -> None:
    room.serve(Slow)
    before = threading.active_count()
    client = room.client()
    client.call("slow.echo")
    assert threading.active_count() == before


def test_no_more_calls_are_open_than_are_allowed(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client(max_open=2)
    client.call("slow.echo")
    pending = [client.send("slow.wait") for _ in range(2)]
    with pytest.raises(Unavailable, match="not sent"):
        client.send("slow.wait").result()
    service.gate.open()
    assert [one.result() for one in pending] == ["waited"] * 2
    client.call("slow.echo")


def test_close_and_calls_at_once_end_every_call(room: Room) -> None:
    room.serve(Slow, concurrency=2)
    for _ in range(20):
        client = room.client()

        def work(index: int, client: Client = client) -> str:
            try:
                if index == 0:
                    client.close()
                elif index % 2:
                    client.call("slow.echo")
                else:
                    client.send("slow.echo").result()
            except ClosedError:
                return "closed"
            return "done"

        assert set(in_threads(6, work)) <= {"done", "closed"}
        assert client.open_calls == 0


def test_a_forked_child_is_told_to_make_its_own(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    client.call("slow.echo")
    pending = client.send("slow.echo")
    pending.result()
    gc.collect()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork with threads around; that is what is tried here.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        right = 0
        for call in (client.call, client.request, client.send, client.notify, client.subscribe):
            try:
                call("slow.echo")
            except ForkedError:
                right += 1
            except BaseException:
                os._exit(100)
        client.close()
        os._exit(right)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 5
    assert client.call("slow.echo", ["hi"]) == echoed("hi")
