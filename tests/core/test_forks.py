"""What a forked child may do with what belongs to its parent: nothing, and it ends when its part is done."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from treaty import ForkedError, Incoming, Service

from .conftest import SECRET, Room
from .forks import fork, in_child
from .services import LIMIT, Slow


class Forking(Service):
    name = "slow"

    def on_fork(self, message: Incoming) -> int:
        return fork()

    async def on_fork_later(self, message: Incoming) -> int:
        return fork()

    def on_leave(self, message: Incoming, how: str) -> int:
        child = fork()
        if child == 0:
            leave(how)
        return child

    async def on_leave_later(self, message: Incoming, how: str) -> int:
        child = fork()
        if child == 0:
            leave(how)
        return child

    def on_echo(self, message: Incoming) -> int:
        return os.getpid()


def leave(how: str) -> None:
    if how == "raise":
        raise ValueError("no tea")
    sys.exit(int(how) if how.isdigit() else how)


@pytest.mark.parametrize("method", ["fork", "fork_later"])
def test_a_handler_that_forks_leaves_a_child_that_ends(room: Room, method: str) -> None:
    room.serve(Forking)
    client = room.client()
    child = client.call(f"slow.{method}")
    assert child > 0
    _, status = os.waitpid(child, 0)  # it ends, or this does not
    assert os.waitstatus_to_exitcode(status) == 0
    assert client.call("slow.echo") == os.getpid()


@pytest.mark.parametrize("method", ["leave", "leave_later"])
@pytest.mark.parametrize(("how", "code"), [("7", 7), ("0", 0), ("no tea", 1), ("raise", 1)])
def test_a_child_of_a_handler_ends_with_the_code_that_python_gives(
    either_room: Room, method: str, how: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    either_room.serve(Forking)
    client = either_room.client()
    _, status = os.waitpid(client.call(f"slow.{method}", [how]), 0)
    assert os.waitstatus_to_exitcode(status) == code
    assert ("no tea" in capfd.readouterr().err) == (code == 1)
    assert client.call("slow.echo") == os.getpid()


def test_a_service_cannot_be_used_in_a_child_and_is_stopped_there_at_once(room: Room) -> None:
    service = room.serve(Slow)

    def use_and_stop() -> None:
        with pytest.raises(ForkedError, match="make a new one in this process"):
            service.start()
        service.stop()

    assert in_child(use_and_stop) == 0
    assert room.client().call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}


def test_a_child_leaves_the_service_of_its_parent_by_the_with_statement(room: Room) -> None:
    service = Slow(room.transport, secret=SECRET)

    def leave() -> None:
        service.__exit__(None, None, None)

    with service:
        assert in_child(leave) == 0
        assert room.client().call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}


def test_a_child_cannot_wait_for_a_call_of_its_parent(room: Room) -> None:
    service = room.serve(Slow)
    pending = room.client().send("slow.wait")
    service.gate.await_arrival()

    async def wait() -> None:
        await pending

    def wait_in_all_ways() -> None:
        with pytest.raises(ForkedError, match="made by the parent"):
            pending.result()
        with pytest.raises(ForkedError, match="made by the parent"):
            list(pending.statuses())
        with pytest.raises(ForkedError, match="made by the parent"):
            asyncio.run(wait())

    assert in_child(wait_in_all_ways) == 0
    service.gate.open()
    assert pending.result() == "waited"


def test_a_child_cannot_end_a_call_of_its_parent_nor_tell_whether_it_is_over(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()
    over = client.send("slow.echo", ["hi"])
    answer = over.result()
    pending = client.send("slow.wait")
    service.gate.await_arrival()

    def try_to_end() -> None:
        for _ in range(2):
            with pytest.raises(ForkedError, match="made by the parent"):
                pending.cancel()
            with pytest.raises(ForkedError, match="made by the parent"):
                _ = pending.done
            with pytest.raises(ForkedError, match="made by the parent"):
                list(pending.statuses())
            with pytest.raises(ForkedError, match="made by the parent"):
                pending.on_done(print)
        assert repr(pending) == "<Pending slow.wait of another process>"
        # What was over before is known here as well.
        assert (over.done, over.cancel(), list(over.statuses()), over.result()) == (True, False, [], answer)

    assert in_child(try_to_end) == 0
    assert not pending.done
    service.gate.open()
    assert pending.result() == "waited"


def test_to_a_child_nothing_comes_that_its_parent_subscribed_to(room: Room) -> None:
    client = room.client()
    shop = room.serve(Slow)
    subscription = client.subscribe("slow.*")
    begun = iter(subscription)
    shop.publish("news", 1)
    assert next(begun).data == 1

    async def iterate() -> None:
        async for _ in subscription:
            return

    def iterate_in_all_ways() -> None:
        for iterator in (begun, iter(subscription), iter(subscription)):
            with pytest.raises(ForkedError, match="make a new one in this process"):
                next(iterator)
        for _ in range(2):
            with pytest.raises(ForkedError, match="make a new one in this process"):
                asyncio.run(iterate())
        subscription.close()

    assert in_child(iterate_in_all_ways) == 0
    shop.publish("news", 2)
    assert next(begun).data == 2


def test_a_child_registers_no_response_handler_on_the_client_of_its_parent(room: Room) -> None:
    room.serve(Slow)
    client = room.client()

    def register() -> None:
        with pytest.raises(ForkedError, match="make a new one in this process"):
            client.on_response("slow.*", print)

    assert in_child(register) == 0
    assert client.request("slow.echo", ["hi"]).handled is None


def test_what_a_signals_handler_raises_in_a_child_during_a_call_is_what_arrives_there(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()
    children: list[int] = []
    forked = threading.Event()

    class LeavingError(Exception):
        pass

    def fork_and_leave(*_: object) -> None:
        children.append(fork())
        if children[-1] == 0:
            raise LeavingError
        forked.set()

    def interrupt() -> None:
        service.gate.await_arrival()
        os.kill(os.getpid(), signal.SIGUSR1)
        forked.wait(LIMIT)
        service.gate.open()

    before = signal.signal(signal.SIGUSR1, fork_and_leave)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        result = client.call("slow.wait")
    except BaseException as error:
        if children and children[-1] == 0:
            os._exit(0 if isinstance(error, LeavingError) else 1)
        raise
    finally:
        signal.signal(signal.SIGUSR1, before)
        thread.join()
    assert result == "waited"
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


PROGRAM = """
import multiprocessing, os, signal, sys, time
from threading import Thread
from treaty import Client, Service
from treaty_contracts.expect import until
from treaty_memory import MemoryTransport

SECRET = "an example of a secret, long enough"
transport = MemoryTransport("signals")
fork = multiprocessing.get_context("fork")

class Slow(Service):
    name = "slow"

    def on_terminate(self, message):
        child = fork.Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        child.join(10)
        return child.exitcode

    def on_hang(self, message):
        with fork.Pool(2) as pool:
            os.kill(os.getpid(), signal.SIGTERM)
            pool.map(time.sleep, [60, 60])

def call():
    assert until(lambda: service.serving, 10)
    with Client(transport, secret=SECRET, timeout=60) as client:
        print(client.call("slow.terminate"), flush=True)
        try:
            client.call("slow.hang")
        except Exception as error:
            print(type(error).__name__, flush=True)

service = Slow(transport, secret=SECRET, drain=0.1)
Thread(target=call).start()
service.run()
"""


def test_children_of_a_handler_are_ended_by_signals_and_hold_up_no_end() -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join(str(root / part) for part in ("core", "transports"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=3 * LIMIT,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout.split()) == (0, [str(-signal.SIGTERM), "ConnectionLost"]), done.stderr
