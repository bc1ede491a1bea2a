"""Redis: pops that lose nothing, and who is there."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import psutil
import pytest

from treaty import (
    Client,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    Delivery,
    Inbox,
    Line,
    Transport,
    TransportError,
    Unavailable,
)
from treaty_contracts.holdings import held
from treaty_contracts.relay import Relay
from treaty_kombu import over_redis
from treaty_kombu.redis_sent import ASK_EVERY
from treaty_kombu.redis_wire import Broker, Overdue, Wire
from treaty_kombu.settings import read_url

from .load import TIMEOUT, Echo, under_load
from .outside import Redis, connected, echo, eventually, seconds, sever, through
from .servers import OwnRedis, free_ports


def test_a_pop_under_way_loses_nothing(redis_broker: Redis, make: Callable[..., Transport]) -> None:
    """An inbox that stopped waiting leaves no pop behind that would swallow the next request."""
    transport = make(redis_broker.url)
    with transport.dial() as line, transport.serve("echo") as idle, transport.serve("echo") as other:
        for number in range(20):
            assert idle.receive(0.005) is None
            line.send("echo", b"%d" % number, 5)
            delivery = other.receive(2)
            assert delivery is not None
            assert delivery.frame == b"%d" % number
            delivery.settle()


def test_an_attempt_that_fails_leaves_nothing_to_the_collector() -> None:
    (port,) = free_ports(1)
    settings = read_url(f"kombu+redis://127.0.0.1:{port}/0")

    def attempt() -> Unavailable:
        with pytest.raises(Unavailable) as refused:
            Broker(settings, 1.0)
        return refused.value

    before, kept = held(), []  # with all that their tracebacks refer to
    gc.disable()
    try:
        kept += [attempt() for _ in range(5)]
        assert held() - before == {}
    finally:
        gc.enable()


@contextmanager
def asked_over_a_relay(broker: Redis, make: Callable[..., Transport]) -> Iterator[tuple[Relay, Line, Inbox, Delivery]]:
    """A request that a service has taken; between the service and its server there is a relay."""
    settings = read_url(broker.url)
    relay = Relay((settings.host, settings.port))
    try:
        far, near = make(through(relay, broker.url)), make(broker.url)
        with connected(near.dial()) as line, far.serve("echo") as inbox:
            line.send("echo", b"x", 5)
            delivery = inbox.receive(5)
            assert delivery is not None
            yield relay, line, inbox, delivery
    finally:
        relay.close()


def test_a_reply_that_is_made_while_the_server_is_away_is_sent_when_it_is_back(
    redis_broker: Redis, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, connect = threading.Semaphore(0), Wire.connect

    def connecting(self: Wire, timeout: float) -> None:
        try:
            connect(self, timeout)
        except Unavailable:
            if threading.current_thread() is answering:
                refused.release()
            raise

    with asked_over_a_relay(redis_broker, make) as (relay, line, _, delivery):
        answering = threading.Thread(target=delivery.reply, args=(b"made meanwhile",))
        monkeypatch.setattr(Wire, "connect", connecting)
        monkeypatch.setattr(over_redis, "_AWAY", 30.0)  # a busy machine may need more than a second to mend it
        relay.cut()
        answering.start()
        for _ in range(2):
            assert refused.acquire(timeout=5)
        relay.mend()
        assert line.receive(5) == b"made meanwhile"
        answering.join()
        delivery.settle()


def test_a_reply_that_waits_for_a_server_ends_with_its_inbox(
    redis_broker: Redis, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_redis, "_AWAY", 30.0)
    with asked_over_a_relay(redis_broker, make) as (relay, _, inbox, delivery):
        relay.cut()
        closing = threading.Timer(0.2, inbox.close)
        closing.start()
        began = time.monotonic()
        with pytest.raises((ClosedError, ConnectionLost)):
            delivery.reply(b"made meanwhile")
        assert time.monotonic() - began < 15
        closing.join()


@pytest.mark.parametrize("timeout", [0.0004, 0.0011, 0.0])
def test_no_pop_waits_for_ever(redis_broker: Redis, make: Callable[..., Transport], timeout: float) -> None:
    """A timeout that rounds to nothing means that to a Redis: its answer would be overdue in six seconds."""
    transport = make(redis_broker.url)
    with connected(transport.dial()) as line:
        taking: Any = line.link._pops.wire  # type: ignore[attr-defined]
        assert line.receive(0.05) is None
        for _ in range(20):
            assert line.receive(timeout) is None
            if line.link._pops.under_way:  # type: ignore[attr-defined]
                assert taking.ready(2)  # the server has come to an end with it


def test_who_was_in_a_hurry_leaves_no_hurry_behind(redis_broker: Redis, prefix: str) -> None:
    """A receiver that connects has less time than a sender who waits beside it."""
    settings = read_url(redis_broker.url, prefix=prefix)
    relay = Relay((settings.host, settings.port))
    broker = Broker(replace(settings, port=int(relay.address[1])), 5)
    try:
        assert broker.wire(5).ask(5, ("PING",)) == [b"PONG"]
        relay.stall()
        with pytest.raises(Unavailable):
            broker.wire(0.05)
        resuming = threading.Timer(0.3, relay.resume)
        resuming.start()
        assert broker.wire(5).ask(5, ("PING",)) == [b"PONG"]
        resuming.join()
    finally:
        broker.close()
        relay.close()


@pytest.fixture
def relay(redis_broker: Redis) -> Iterator[Relay]:
    settings = read_url(redis_broker.url)
    with closing(Relay((settings.host, settings.port))) as made:
        yield made


def test_a_server_that_stands_still_holds_up_no_send_and_costs_no_connection(
    redis_broker: Redis, relay: Relay, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treaty_kombu.redis_wire._OVERDUE", 30.0)
    with (
        make(redis_broker.url).serve("echo") as inbox,
        connected(make(through(relay, redis_broker.url)).dial()) as line,
    ):
        line.send("echo", b"before", 5)
        asking: Any = line.link._asking  # type: ignore[attr-defined]
        connection = asking._connection._sock
        relay.stall()
        assert seconds(lambda: line.send("echo", b"on its way", 0)) < 1  # at least for all that anybody knows
        assert seconds(lambda: line.send("echo", b"not sent", 0), Unavailable) < 0.2
        with pytest.raises(Unavailable, match="yet to answer"):
            line.send("echo", b"not sent either", 0.1)
        relay.resume()
        line.send("echo", b"after", 5)
        for frame in (b"before", b"on its way", b"after"):
            delivery = inbox.receive(5)
            assert delivery is not None
            assert delivery.frame == frame
            delivery.settle()
        assert asking._connection._sock is connection


def test_a_large_request_to_a_server_that_stands_still_keeps_its_timeout(
    redis_broker: Redis, relay: Relay, make: Callable[..., Transport]
) -> None:
    large = bytes(8_000_000)  # more than all buffers on the way hold
    with (
        make(redis_broker.url).serve("echo") as inbox,
        connected(make(through(relay, redis_broker.url)).dial()) as line,
    ):
        with pytest.raises(Unavailable, match="no time"):
            line.send("echo", large, 0)
        relay.stall()
        assert seconds(lambda: line.send("echo", large, 0.5), ConnectionLost) < 2
        relay.resume()
        assert inbox.receive(0.3) is None  # half a request is none
        line.send("echo", large, 10)
        delivery = inbox.receive(10)
        assert delivery is not None and delivery.frame == large
        delivery.settle()


def test_what_went_where_nobody_serves_comes_back_from_a_server_that_stood_still(
    redis_broker: Redis, relay: Relay, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treaty_kombu.redis_wire._OVERDUE", 30.0)
    with connected(make(through(relay, redis_broker.url)).dial()) as line:
        relay.stall()
        line.send("nobody", b"on its way", 0)
        relay.resume()
        with pytest.raises(Unavailable) as caught:
            line.receive(3 * ASK_EVERY)
        assert caught.value.frame == b"on its way"


def test_late_answers_are_to_no_other_question(
    redis_broker: Redis, relay: Relay, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_url(redis_broker.url, prefix=prefix)
    with closing(Broker(replace(settings, port=int(relay.address[1])), 5)) as broker:
        wire = broker.wire(5)
        monkeypatch.setattr("treaty_kombu.redis_wire._OVERDUE", 30.0)
        relay.stall()
        with pytest.raises(Overdue, match="has not answered"):
            wire.ask(0, ("ECHO", "a"), ("ECHO", "b"))
        with pytest.raises(Unavailable):
            wire.ask(0.05, ("ECHO", "c"))
        with pytest.raises(Unavailable):
            wire.stands(time.monotonic())
        relay.resume()
        assert wire.ask(5, ("ECHO", "d")) == [b"d"]
        relay.stall()
        with pytest.raises(Overdue):
            wire.ask(0, ("ECHO", "e"))
        relay.cut()
        relay.resume()
        relay.mend()
        assert wire.ask(5, ("ECHO", "f")) == [b"f"]
        monkeypatch.setattr("treaty_kombu.redis_wire._OVERDUE", 0.3)
        relay.stall()
        with pytest.raises(Overdue):
            wire.ask(0, ("ECHO", "g"))
        resuming = threading.Timer(0.5, relay.resume)
        resuming.start()
        # The old connection is given up meanwhile; the new one has its first answer when the server goes on.
        assert wire.ask(10, ("ECHO", "h")) == [b"h"]
        resuming.join()


def test_an_event_loop_goes_on_while_the_server_stands_still(redis_broker: Redis, relay: Relay, prefix: str) -> None:
    secret = "a secret of these tests, long enough"
    near, far = (f"{url}?prefix={prefix}" for url in (redis_broker.url, through(relay, redis_broker.url)))

    async def use(client: Client) -> tuple[float, list[object]]:
        await client.send("echo.echo", {"text": "hi"}, timeout=10)
        relay.stall()
        started = time.monotonic()
        calls = [client.send("echo.echo", {"text": "hi"}, timeout=1.0) for _ in range(20)]
        took = time.monotonic() - started
        ends = await asyncio.gather(*calls, return_exceptions=True)
        relay.resume()
        return took, ends

    with (
        Echo(near, secret=secret) as service,
        Client(far, secret=secret) as client,
    ):
        assert service.serving
        took, ends = asyncio.run(use(client))
        assert took < 0.8, took  # once, the time that an answer is given
        assert {type(end) for end in ends} <= {DeadlineExceeded, Unavailable}


def test_an_end_holds_two_connections(redis_broker: Redis, make: Callable[..., Transport]) -> None:
    """One for commands and one that waits: a broker counts them."""
    port = read_url(redis_broker.url).port

    def held() -> int:
        return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.Process().net_connections("tcp"))

    before = held()
    with make(redis_broker.url) as transport, connected(transport.dial()):
        assert held() - before == 2
    assert held() == before


def test_closing_under_load_gives_requests_back(redis_broker: Redis, make: Callable[..., Transport]) -> None:
    transport = make(redis_broker.url)
    sent, taken = 60, []
    with transport.dial() as line, transport.serve("echo", capacity=100) as last:
        for round_ in range(6):
            inbox = transport.serve("echo", capacity=100)

            def take(inbox: Any = inbox) -> None:
                try:
                    while True:
                        delivery = inbox.receive(1)
                        if delivery is not None:
                            taken.append(delivery.frame)
                            delivery.settle()
                except ClosedError:
                    return

            thread = threading.Thread(target=take)
            thread.start()
            for number in range(10):
                line.send("echo", b"%d" % (round_ * 10 + number), 5)
                if number == 5:
                    closer = threading.Thread(target=inbox.close)
                    closer.start()
            closer.join()
            thread.join()
        while (delivery := last.receive(0.2)) is not None:
            taken.append(delivery.frame)
            delivery.settle()
    assert sorted(map(int, taken)) == list(range(sent))


def test_who_sends_and_who_comes_to_receive_do_not_hold_each_other_up(
    redis_broker: Redis, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one has just found the connection broken, and is about to say so; the other one waits for a new one."""
    transport = make(redis_broker.url)
    with connected(transport.dial()) as line, transport.serve("echo"):
        line.send("echo", b"one", 5)
        sever(redis_broker, line)
        link: Any = line.link  # type: ignore[attr-defined]
        lost = link._hearing.lost

        def late(loss: ConnectionLost) -> None:
            eventually(lambda: link._receiving.locked() and link._redial.trying)
            lost(loss)

        monkeypatch.setattr(link._hearing, "lost", late)
        sender = threading.Thread(target=line.send, args=("echo", b"two", 5))
        sender.start()
        eventually(lambda: not link._pops.wire.live)
        started = time.monotonic()
        with pytest.raises(ConnectionLost):
            line.receive(5)
        sender.join()
        assert time.monotonic() - started < 2


def test_presence_is_a_key_that_expires(redis_broker: Redis, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(redis_broker.url)
    key = f"{prefix}.alive.echo"
    first, second = transport.serve("echo"), transport.serve("echo")
    assert redis_broker.client.scard(key) == 2
    assert 0 < redis_broker.client.pttl(key) <= 3000
    with transport.dial() as line:
        first.close()
        line.send("echo", b"x", 5)  # the other is still there
        second.close()
        assert not redis_broker.client.exists(key)

        with pytest.raises(Unavailable, match="nobody serves 'echo'"):
            line.send("echo", b"y", 0)  # and that was the last of them
        with pytest.raises(Unavailable, match="nobody serves 'misspelt'"):
            line.send("misspelt", b"x", 5)
        assert f"{prefix}.service.misspelt" not in redis_broker.left(prefix)
        with transport.serve("misspelt"):
            line.send("misspelt", b"x", 5)  # a refusal is not remembered


def test_presence_is_kept_up(redis_broker: Redis, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(redis_broker.url)
    with transport.serve("echo"):
        redis_broker.client.delete(f"{prefix}.alive.echo")  # as a restart of the server would
        eventually(lambda: redis_broker.client.exists(f"{prefix}.alive.echo"), within=2)


def test_what_was_sent_to_nobody_is_taken_back_at_once(redis_broker: Redis, make: Callable[..., Transport]) -> None:
    transport = make(redis_broker.url)
    with transport.dial() as line:
        assert echo(transport, line) == b"re:hello"
        for number in range(3):
            with pytest.raises(Unavailable):
                line.send("echo", b"old %d" % number, 0)
        with transport.serve("echo") as inbox:
            assert inbox.receive(0.1) is None


def test_what_cannot_be_taken_back_may_have_been_delivered(
    redis_broker: Redis, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(make(redis_broker.url).dial()) as line:
        asking: Any = line.link._asking  # type: ignore[attr-defined]
        ask = asking.ask

        def fail(timeout: float, *commands: tuple[Any, ...], **more: float) -> Any:
            if commands[0][0] == "LREM":
                raise Unavailable("not connected")
            return ask(timeout, *commands, **more)

        monkeypatch.setattr(asking, "ask", fail)
        with pytest.raises(ConnectionLost):
            line.send("echo", b"x", 0)
        monkeypatch.undo()
        with pytest.raises(Unavailable) as caught:
            line.receive(2.5)
        assert caught.value.frame == b"x"


@pytest.mark.parametrize("what", ["line", "serve"])
def test_close_ends_a_blocked_receive_though_the_server_does_not_listen(
    redis_broker: Redis, make: Callable[..., Transport], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is waited for, or else the connection would be closed under its hands."""
    transport = make(redis_broker.url)
    end: Any = connected(transport.dial()) if what == "line" else transport.serve("name")

    def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("the server does not listen")

    monkeypatch.setattr(end.link._asking, "ask", fail)
    found: list[BaseException] = []

    def wait() -> None:
        try:
            end.receive(20)
        except (TransportError, ClosedError) as error:
            found.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: end.link._pops.under_way)
    end.close()
    thread.join(2)
    assert [type(error) for error in found] == [ClosedError]


# ---- a server of our own, which is hurt --------------------------------------------------------------------------


def test_calls_are_answered_again_after_a_server_was_killed(own_redis: OwnRedis) -> None:
    with under_load(own_redis.url) as load:
        own_redis.kill()
        eventually(lambda: load.outcomes["Unavailable"])
        own_redis.start()


def test_calls_are_answered_again_after_an_operator_has_cut_all_connections(own_redis: OwnRedis) -> None:
    with under_load(own_redis.url) as load:

        def lost() -> object:
            own_redis.tell("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            return load.outcomes["ConnectionLost"]

        eventually(lost)  # between two pops nothing is lost


def test_calls_end_in_time_without_memory_and_are_answered_after_it(own_redis: OwnRedis) -> None:
    with under_load(own_redis.url) as load:
        own_redis.tell("CONFIG", "SET", "maxmemory", "1")
        eventually(lambda: load.outcomes["Unavailable"])
        own_redis.tell("CONFIG", "SET", "maxmemory", "0")


def test_no_call_waits_longer_for_a_server_that_stands_still(own_redis: OwnRedis) -> None:
    with under_load(own_redis.url) as load:
        own_redis.process.send_signal(signal.SIGSTOP)
        # What waited for the connection was not sent, which is Unavailable.
        in_vain = [load.outcomes[what] for what in ("Unavailable", "ConnectionLost", "DeadlineExceeded")]
        eventually(lambda: sum(map(len, in_vain)) >= 8, within=4 * TIMEOUT)
        own_redis.process.send_signal(signal.SIGCONT)
