"""What nobody closes ends when it is collected, and says so; what somebody still waits for goes on."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from queue import SimpleQueue
from typing import Any

import pytest

from treaty import Client, Notification, Reply, Transport
from treaty_memory import MemoryTransport

from .conftest import SECRET, Room
from .forks import in_child
from .services import LIMIT, Slow
from .storage.things import eventually

ANSWER = {"RETURN_DATA": "hi"}
_NUMBERS = count()


@pytest.fixture
def url() -> Iterator[str]:
    """Where a service is, for clients that make their own transport."""
    url = f"memory://unclosed-{next(_NUMBERS)}"
    room = Room(MemoryTransport(url.partition("://")[2]))
    try:
        room.serve(Slow)
        yield url
    finally:
        room.end()


@contextmanager
def warned(what: str) -> Iterator[None]:
    """There is a warning of what nobody closed."""
    with pytest.warns(ResourceWarning, match=f"unclosed {what}.*: close it"):
        yield


def collected(what: weakref.ref[Any]) -> bool:
    gc.collect()
    return what() is None


def call(client: Client) -> object:
    return client.call("slow.echo", ["hi"])


def send(client: Client) -> object:
    return client.send("slow.echo", ["hi"]).result()


def send_and_forget(client: Client) -> object:
    return client.send("slow.echo", ["hi"])


def handle_answers(client: Client) -> object:
    heard = SimpleQueue[Reply]()
    client.on_response("slow.*", heard.put)
    client.send("slow.echo", ["hi"])
    return heard.get(timeout=LIMIT)


def handle_answers_with_the_client(client: Client) -> object:
    client.on_response("slow.*", lambda _: client.closed)
    return client.send("slow.echo", ["hi"]).result()


def subscribe(client: Client) -> object:
    return client.subscribe("slow.#", print)


def subscribe_with_the_client(client: Client) -> object:
    return client.subscribe("slow.#", lambda _: client.closed)


def iterate(client: Client) -> object:
    return client.subscribe("slow.#")


@pytest.mark.parametrize(
    "use",
    [
        call,
        send,
        send_and_forget,
        handle_answers,
        handle_answers_with_the_client,
        subscribe,
        subscribe_with_the_client,
        iterate,
    ],
)
def test_what_a_client_holds_ends_when_it_is_collected(url: str, use: Callable[[Client], object]) -> None:
    before = set(threading.enumerate())
    client = Client(url, secret=SECRET, timeout=LIMIT)
    transport: Transport = client._transport
    lost = weakref.ref(client)
    use(client)
    with warned("(client|subscription to slow.#)"):
        del client
        assert eventually(lambda: collected(lost))
        assert eventually(lambda: not set(threading.enumerate()) - before)
    if use not in (subscribe, subscribe_with_the_client, iterate):
        assert transport.closed


def test_a_transport_that_was_given_to_a_client_is_left_open(room: Room) -> None:
    room.serve(Slow)
    before = set(threading.enumerate())
    with warned("client"):
        send(Client(room.transport, secret=SECRET))
        assert eventually(lambda: not set(threading.enumerate()) - before)
    assert not room.transport.closed


def test_who_closes_is_not_warned_nor_is_who_used_nothing(url: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for use in (call, send, subscribe, iterate):
            with Client(url, secret=SECRET, timeout=LIMIT) as client:
                use(client)
            del client
        with Client(url, secret=SECRET).subscribe("slow.#"):
            pass
        Client(url, secret=SECRET)
        Client(url)
        gc.collect()
    assert [str(one.message) for one in caught] == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_call_that_somebody_waits_for_keeps_its_client(url: str) -> None:
    def start() -> Any:
        pending = Client(url, secret=SECRET, timeout=LIMIT).send("slow.echo", ["hi"])
        gc.collect()
        return pending

    async def wait() -> object:
        return await start()

    before = set(threading.enumerate())
    assert start().result() == ANSWER
    assert list(start().statuses()) == []
    assert asyncio.run(wait()) == ANSWER
    assert eventually(lambda: not set(threading.enumerate()) - before)


def test_a_call_that_is_over_does_not_keep_its_client(url: str) -> None:
    before = set(threading.enumerate())
    client = Client(url, secret=SECRET, timeout=LIMIT)
    lost, pending = weakref.ref(client), client.send("slow.echo", ["hi"])
    with warned("client"):
        del client
        assert pending.result() == ANSWER
        assert eventually(lambda: collected(lost))
        assert eventually(lambda: not set(threading.enumerate()) - before)
    assert pending.result() == ANSWER


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_subscription_that_somebody_reads_keeps_its_client(room: Room) -> None:
    service = room.serve(Slow)
    before = set(threading.enumerate())
    news = iter(Client(room.transport, secret=SECRET).subscribe("slow.#"))
    gc.collect()
    service.publish("x", 1)
    assert next(news).data == 1
    del news
    gc.collect()
    assert eventually(lambda: not set(threading.enumerate()) - before)


def test_a_subscription_with_a_callback_lasts_as_long_as_its_client(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    service, heard = room.serve(Slow), SimpleQueue[Notification]()
    client = Client(room.transport, secret=SECRET)
    client.subscribe("slow.#", heard.put)
    gc.collect()
    service.publish("x", 1)
    assert heard.get(timeout=LIMIT).data == 1
    with warned("subscription"):
        del client
        gc.collect()
    assert eventually(lambda: "nobody refers to the subscription" in caplog.text)


def test_a_child_that_collects_the_client_of_its_parent_ends_nothing(room: Room) -> None:
    service, heard = room.serve(Slow), SimpleQueue[Notification]()
    holder = [room.client()]
    holder[0].subscribe("slow.#", heard.put)
    assert send(holder[0]) == ANSWER
    room._ends = [end for end in room._ends if getattr(end, "__self__", None) is not holder[0]]

    def collect() -> None:
        before = threading.active_count()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            lost = weakref.ref(holder.pop())
            assert collected(lost)
        assert (caught, threading.active_count()) == ([], before)

    assert in_child(collect) == 0
    with holder[0] as client:
        assert send(client) == ANSWER
        service.publish("x", 1)
        assert heard.get(timeout=LIMIT).data == 1


#: Where a program makes a client that nobody closes. Python 3.12 alone starts no thread in what is registered for its end.
PLACES = ["client = ", "", *([] if sys.version_info[:2] == (3, 12) else ["import atexit; atexit.register("])]


@pytest.mark.parametrize("where", PLACES)
def test_the_end_of_a_program_with_an_unclosed_client_is_silent(where: str) -> None:
    program = f"""
from treaty import Client, Service
from treaty_memory import MemoryTransport
class Slow(Service):
    name = "slow"
    def on_echo(self, message):
        return 1
transport = MemoryTransport("room")
service = Slow(transport, secret=bytes(32))
service.start()
def use():
    client = Client(transport, secret=bytes(32))
    client.subscribe("slow.#", lambda _: client)
    client.cycle = client.send("slow.echo").result()
    return client
{where}use{")" if "atexit" in where else "()"}
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=os.environ, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
