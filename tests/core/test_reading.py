"""One line and one reader at a time: whoever waits reads for all, and a thread does where nobody waits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from treaty import Client, ConnectionLost, DeadlineExceeded, Unavailable
from treaty.driving import Turn, WakeUp, Worker
from treaty.engine import Progressed
from treaty.messages import Status
from treaty.pending import report
from treaty_memory.transport import MemoryLine

from .conftest import SECRET, Room
from .services import LIMIT, Broken, Slow, echoed


def test_deferred_calls_are_answered_though_nobody_waits(either_room: Room) -> None:
    either_room.serve(Slow)
    client = either_room.client()
    over = threading.Semaphore(0)
    for _ in range(20):
        client.send("slow.echo").on_done(lambda _: over.release())
    for _ in range(20):
        assert over.acquire(timeout=LIMIT)


def test_a_deferred_call_expires_though_nobody_waits(room: Room) -> None:
    service = room.serve(Slow)
    over = threading.Event()
    pending = room.client().send("slow.wait", timeout=0.05)
    pending.on_done(lambda _: over.set())
    assert over.wait(LIMIT)
    service.gate.open()
    with pytest.raises(DeadlineExceeded):
        pending.result()


def test_what_came_back_without_its_frame_may_be_any_call(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits for its deadline for want of a frame that the transport left out."""
    service, client = room.serve(Slow), room.client(timeout=LIMIT)
    client.call("slow.echo")

    def receive(self: MemoryLine, timeout: float) -> bytes | None:
        raise Unavailable("nobody took it")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryLine, "receive", receive)
        pending = client.send("slow.wait")
        with pytest.raises(ConnectionLost, match="it is not known which: nobody took it"):
            pending.result()
    service.gate.open()


class Other(Slow):
    name = "other"


@pytest.mark.parametrize("style", ["blocking", "deferred"])
def test_a_call_ends_at_its_own_deadline_while_somebody_reads_for_a_longer_one(
    room: Room, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    service, other = room.serve(Slow, concurrency=4), room.serve(Other)
    client = room.client(timeout=2)
    client.call("slow.echo")
    armed, reading, receive = threading.Event(), threading.Event(), MemoryLine.receive

    def receive_and_tell(self: MemoryLine, timeout: float) -> bytes | None:
        if armed.is_set():
            reading.set()
        return receive(self, timeout)

    monkeypatch.setattr(MemoryLine, "receive", receive_and_tell)
    patient = client.send("slow.wait")
    client.send("other.wait").on_done(lambda _: armed.set())
    other.gate.open()
    assert reading.wait(LIMIT)
    over, started = threading.Event(), time.monotonic()
    if style == "blocking":
        with pytest.raises(DeadlineExceeded):
            client.call("slow.wait", timeout=0.05)
    else:
        client.send("slow.wait", timeout=0.05).on_done(lambda _: over.set())
        assert over.wait(LIMIT)
    assert time.monotonic() - started < 5  # the patient call has ten
    service.gate.open()
    assert patient.result() == "waited"


def test_a_blocked_caller_reads_for_those_that_defer(room: Room) -> None:
    service = room.serve(Slow, concurrency=2)
    client = room.client()
    client.call("slow.echo")
    blocked = threading.Thread(target=client.call, args=("slow.wait",))
    blocked.start()
    service.gate.await_arrival()
    assert client.send("slow.echo", ["hi"]).result() == echoed("hi")
    service.gate.open()
    blocked.join(LIMIT)
    assert not blocked.is_alive()


class Watched(WakeUp):
    """Knows who slept on it."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: set[str] = set()

    def sleep(self, seconds: float) -> None:
        self.sleepers.add(threading.current_thread().name)
        super().sleep(seconds)


def test_nobody_takes_the_wake_up_of_the_reader() -> None:
    """It wakes one thread: with a second sleeper, the end of the client or a deferred call might never be seen."""
    with Broken() as transport, Slow(transport, secret=SECRET):
        client = Client(transport, secret=SECRET)
        assert client._switchboard is not None
        client._switchboard._reading._wake = watched = Watched()
        assert client.send("slow.echo", ["hi"]).result() == echoed("hi")
        transport.errors.append(ConnectionLost("cut, and nobody waits for anything"))
        client._switchboard._reading._read(0)  # as a caller whose call ended just now may still do
        client.close()
    assert watched.sleepers <= {"treaty-client-reader"}


def test_an_awaited_call_is_read_for_at_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is going to block for it, so nobody has to be given the time to."""
    monkeypatch.setattr("treaty.reading._PATIENCE", 3600.0)
    room.serve(Slow)
    client = room.client()
    client.call("slow.echo")

    async def one_after_the_other() -> list[object]:
        done = [await client.send("slow.echo", [str(number)]) for number in range(20)]
        pending = client.send("slow.report", [3])
        return [*done, len([status async for status in pending.statuses()])]

    assert asyncio.run(asyncio.wait_for(one_after_the_other(), LIMIT)) == [*(echoed(number) for number in range(20)), 3]


def test_a_status_that_comes_as_its_call_ends_harms_nobody(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()
    pending = client.send("slow.wait")
    service.gate.await_arrival()
    call = pending.call
    assert call is not None
    status = Status(id=call.id, to=call.key, seq=1, code=102, sender="a service", created=0)
    assert pending.cancel()
    report(Progressed(call, status))  # read by one thread before another one cancelled
    assert list(pending.statuses()) == []
    service.gate.open()


def test_deferred_calls_are_answered_soon_after_others_have_stopped_reading(room: Room) -> None:
    service = room.serve(Slow, concurrency=2)
    client = room.client()
    over = threading.Event()
    client.send("slow.wait").on_done(lambda _: over.set())
    service.gate.await_arrival()
    for _ in range(200):
        client.call("slow.echo")
    service.gate.open()
    assert over.wait(LIMIT)


def test_who_is_interrupted_with_the_turn_to_read_leaves_it(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.serve(Slow)
    client = room.client(timeout=5)
    client.call("slow.echo")
    take = Turn.take

    def interrupted(self: Turn, holder: object) -> bool:
        # As a signal's handler may: between the step that took it and the one that would know of it.
        if take(self, holder):
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patch:
        patch.setattr(Turn, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.call("slow.echo")
    assert client.call("slow.echo", ["hi"]) == echoed("hi")
    assert client.open_calls == 0


@pytest.mark.parametrize("at_once", [60.0, 0.0], ids=["there", "fetched"])
def test_what_is_there_for_others_is_read_in_a_row(room: Room, monkeypatch: pytest.MonkeyPatch, at_once: float) -> None:
    """Unless each frame has to be fetched: then a look in vain would cost as much as one that finds something."""
    monkeypatch.setattr("treaty.reading._AT_ONCE", at_once)
    monkeypatch.setattr(Worker, "start", lambda _: None)  # the reader thread would read them all
    room.serve(Slow)
    client = room.client()
    client.call("slow.echo")
    pending = [client.send("slow.echo", [str(number)]) for number in range(10)]
    room.client().call("slow.echo")  # answered after those
    assert pending[0].result() == echoed(0)
    assert [one.done for one in pending] == [True, *[at_once > 0] * 9]
    assert [one.result() for one in pending] == [echoed(number) for number in range(10)]
