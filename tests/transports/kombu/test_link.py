"""Connections that break, brokers that say nothing, and ends that close meanwhile."""

from __future__ import annotations

import gc
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import count
from typing import Any

import pytest
from tests.interruptions import strike

from treaty import (
    Client,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    Incoming,
    Service,
    Transport,
    TransportError,
    Unavailable,
)
from treaty_contracts.relay import Relay
from treaty_kombu import amqp_wire, connect, redis_wire
from treaty_kombu.link import Held
from treaty_kombu.settings import read_url

from .far import Far
from .outside import Redis, connected, eventually, losses, open_files, seconds, sever, through

SECRET = "0123456789abcdef" * 2


@pytest.fixture
def relay(broker: Any) -> Iterator[Relay]:
    settings = read_url(broker.url)
    made = Relay((settings.host, settings.port))
    yield made
    made.close()


@pytest.mark.parametrize("scheme", ["kombu+redis", "kombu+amqp"])
def test_a_broker_that_does_not_answer_is_unavailable_in_time(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/0"
        with connect(url, connect_timeout=1, io_timeout=1) as transport, transport.dial() as line:
            assert seconds(lambda: line.send("echo", b"x", 0), Unavailable) < 0.8
            with pytest.raises(Unavailable):
                line.send("echo", b"x", 0.3)
            assert line.receive(0.05) is None
            with pytest.raises(Unavailable):
                transport.serve("echo")
            with pytest.raises(Unavailable):
                transport.subscribe("news")


def at_rest(end: Any) -> bool:
    """Receive nothing, and say whether nothing is under way to this end."""
    assert end.receive(0) is None
    pops = getattr(end.link, "_pops", None)
    return pops is None or not pops.under_way


def test_a_lost_connection_is_reported_once_and_made_again(broker: Any, make: Callable[..., Transport]) -> None:
    """Where something may be lost with it: Redis keeps what waits for an inbox that is not receiving just now."""
    told = [] if isinstance(broker, Redis) else [ConnectionLost]
    transport = make(broker.url)
    with connected(transport.dial()) as line, transport.serve("echo") as inbox:
        for end in (line, inbox):
            # On a busy machine a pop may be under way still when its receive is over, and then something may be lost.
            eventually(partial(at_rest, end))
        sever(broker, line, inbox)
        assert losses(line.receive) == [ConnectionLost]
        assert losses(inbox.receive) == told
        line.send("echo", b"x", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        delivery.reply(b"back again")
        delivery.settle()
        assert line.receive(5) == b"back again"


def test_who_comes_next_is_told_of_a_loss_while_an_answer_is_to_come(
    broker: Any, make: Callable[..., Transport]
) -> None:
    """The end of a connection shows while nobody waits on it, and nothing is under way but at the service. What it has
    said of a request need not be all.
    """
    transport = make(broker.url)
    with connected(transport.dial()) as line, transport.serve("echo") as inbox:
        for number in range(3):
            line.send("echo", b"%d" % number, 5)
            delivery = inbox.receive(5)
            assert delivery is not None
            delivery.reply(b"working on it")
            assert line.receive(5) == b"working on it"
            sever(broker, line)
            assert losses(line.receive) == [ConnectionLost]
            delivery.settle()


class Echo(Service):
    name = "echo"

    def on_echo(self, message: Incoming, text: str) -> str:
        return text

    def on_hold(self, message: Incoming) -> None:
        message.wait_cancelled(5)


def line_of(client: Client) -> Any:
    assert client._switchboard is not None
    return client._switchboard._line


def test_a_loss_while_nothing_is_under_way_costs_no_call(broker: Any, make: Callable[..., Transport]) -> None:
    with Echo(make(broker.url), secret=SECRET), Client(make(broker.url), secret=SECRET, timeout=5) as client:
        client.notify("echo.echo", ["one way"])
        for number in range(4):
            assert client.call("echo.echo", [str(number)]) == str(number)
            sever(broker, line_of(client))


def _nobody_is_expected(link: Any) -> bool:
    return time.monotonic() > float(link._hearing._expected_until) and not link._receiving.locked()


def test_a_call_that_has_expired_leaves_no_loss_to_a_later_one(broker: Any, make: Callable[..., Transport]) -> None:
    """Nobody was there for what came of its last wait, nor for the end of the connection."""
    with (
        Echo(make(broker.url), secret=SECRET, concurrency=2),
        Client(make(broker.url), secret=SECRET, timeout=5) as client,
    ):
        for number in range(3):
            client.notify("echo.echo", ["one way"])
            with pytest.raises(DeadlineExceeded):
                client.call("echo.hold", timeout=0.1)
            if number:
                client.send("echo.hold", timeout=2).cancel()
            eventually(partial(_nobody_is_expected, line_of(client).link), within=2)
            sever(broker, line_of(client))
            assert client.call("echo.echo", [str(number)], timeout=0.4) == str(number)


def test_a_reply_is_sent_though_the_connection_broke_while_it_was_made(
    broker: Any, make: Callable[..., Transport]
) -> None:
    transport = make(broker.url)
    with connected(transport.dial()) as line, transport.serve("echo") as inbox:
        line.send("echo", b"x", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        sever(broker, inbox)
        delivery.reply(b"made meanwhile")
        delivery.settle()
        assert line.receive(5) == b"made meanwhile"


@pytest.mark.parametrize("step", ["write", "read"])
def test_who_is_interrupted_in_the_middle_of_a_message_harms_no_later_call(
    broker: Any, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    redis = isinstance(broker, Redis)
    wire: Any = redis_wire.Wire if redis else amqp_wire.Wire
    name = step if redis else {"write": "request", "read": "drain"}[step]
    plain = getattr(wire, name)
    me = threading.current_thread()

    def interrupted(self: Any, *given: Any, **more: Any) -> Any:
        made = plain(self, *given, **more)
        if threading.current_thread() is me:
            monkeypatch.setattr(wire, name, plain)
            raise KeyboardInterrupt  # as the handler of a signal may, before what was read is handed on
        return made

    with Echo(make(broker.url), secret=SECRET), Client(make(broker.url), secret=SECRET, timeout=5) as client:
        assert client.call("echo.echo", ["before"]) == "before"
        for number in range(3):
            monkeypatch.setattr(wire, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.call("echo.echo", ["interrupted"])
            assert client.call("echo.echo", [str(number)]) == str(number)


def test_without_descriptors_nothing_can_be_reached(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        for use in (
            lambda: transport.dial().send("a", b"x", 1),
            lambda: transport.serve("a"),
            lambda: transport.subscribe("b"),
        ):
            with pytest.raises(Unavailable, match="Too many open files"):
                use()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class Interrupting:
    """A lock that is taken, and then the handler of a signal raises."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.release = self.lock.release
        self._is_owned = self.lock._is_owned  # type: ignore[attr-defined]
        self.__exit__ = self.lock.__exit__

    def acquire(self, timeout: float) -> bool:
        self.lock.acquire(timeout=timeout)
        raise KeyboardInterrupt


def test_no_interruption_leaves_a_lock_behind() -> None:
    lock = Interrupting()
    with pytest.raises(KeyboardInterrupt), Held(lock, 1, "it", list):
        pass
    assert not lock._is_owned()
    with Held(lock.lock, 1, "it", lambda: "given") as given:
        assert given == "given"
        with pytest.raises(Unavailable, match="in the middle"), Held(lock.lock, 1, "it", list):
            pass
        assert lock._is_owned()
    assert not lock._is_owned()
    with pytest.raises(ZeroDivisionError), Held(lock.lock, 1, "it", lambda: 1 / 0):
        pass
    assert not lock._is_owned()


def test_no_function_of_python_stands_between_a_block_and_the_release_of_its_lock() -> None:
    """A handler can raise wherever one begins."""
    lock, begun = threading.RLock(), []

    def begins(frame: Any, event: str, _: object) -> None:
        if event == "call":
            begun.append(frame.f_code.co_qualname)

    with Held(lock, 1, "it", list):
        before = sys.getprofile()
        sys.setprofile(begins)
    sys.setprofile(before)
    assert begun == []
    assert not lock._is_owned()  # type: ignore[attr-defined]


def test_who_receives_in_slices_connects_to_a_far_broker_again(broker: Any, make: Callable[..., Transport]) -> None:
    settings = read_url(broker.url)
    with ExitStack() as stack:
        far = stack.enter_context(closing(Far((settings.host, settings.port), 0.03)))
        transport = stack.enter_context(make(broker.url.replace(f":{settings.port}", f":{far.port}")))
        line = connected(stack.enter_context(transport.dial()))
        inbox = stack.enter_context(transport.serve("echo"))
        feed = stack.enter_context(transport.subscribe("news"))
        far.cut()

        def heard(receive: Callable[[float], object], speak: Callable[[], None]) -> bool:
            with suppress(TransportError):
                speak()
            for _ in range(25):  # as those do who have more to look after than this one end
                with suppress(TransportError):
                    if receive(0.01) is not None:
                        return True
            return False

        eventually(partial(heard, inbox.receive, lambda: line.send("echo", b"x", 2)), 10)
        eventually(partial(heard, feed.receive, lambda: transport.publish("news", b"x")), 10)


def test_a_far_broker_holds_up_no_send_beyond_its_timeout_and_is_reached(
    broker: Any, make: Callable[..., Transport]
) -> None:
    """Connecting takes more answers than a short timeout has room for, each of which comes in time."""
    settings = read_url(broker.url)
    with (
        make(broker.url).serve("echo") as inbox,
        closing(Far((settings.host, settings.port), 0.15)) as far,
        make(broker.url.replace(f":{settings.port}", f":{far.port}")) as transport,
        transport.dial() as line,
    ):
        for _ in range(3):  # all of them wait for the same attempt
            assert seconds(lambda: line.send("echo", b"early", 0.2), Unavailable) < 1.0

        def reached() -> bool:
            with suppress(Unavailable):
                line.send("echo", b"x", 0.5)
                return True
            return False

        eventually(reached, within=10)
        eventually(lambda: (delivery := inbox.receive(0.1)) is not None and delivery.frame == b"x", within=5)


@pytest.mark.parametrize("what", ["line", "inbox", "feed"])
def test_a_close_that_is_interrupted_anywhere_is_done_by_the_next_one(
    broker: Any, make: Callable[..., Transport], what: str
) -> None:
    transport = make(broker.url)
    begin: dict[str, Callable[[], Any]] = {
        "line": lambda: connected(transport.dial()),
        "inbox": lambda: transport.serve("echo"),
        "feed": lambda: transport.subscribe("news"),
    }
    threads = threading.active_count()
    for number in count(1, 3):
        end = begin[what]()
        where = strike(number, ("treaty_kombu",), end.close)
        again = threading.Thread(target=end.close)
        again.start()
        again.join(10)
        assert not again.is_alive(), where
        assert threading.active_count() == threads, where
        if not where:
            break
    assert number > 6


def test_a_reader_inside_notices_at_once(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with connected(transport.dial()) as line:
        found: list[BaseException] = []

        def wait() -> None:
            try:
                line.receive(10)
            except TransportError as error:
                found.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        link: Any = line.link  # type: ignore[attr-defined]
        eventually(lambda: link._receiving.locked() and (not hasattr(link, "_pops") or link._pops.under_way))
        sever(broker, line)
        thread.join(2)
        assert [type(error) for error in found] == [ConnectionLost]
        assert found[0].__cause__ is not None


def test_a_silent_broker_holds_up_nobody_beyond_their_timeout(
    broker: Any, relay: Relay, make: Callable[..., Transport]
) -> None:
    transport = make(through(relay, broker.url))
    with connected(transport.dial()) as used, transport.serve("echo"):
        used.send("echo", b"under way", 5)
        relay.stall()
        assert seconds(transport.dial) < 2
        fresh = transport.dial()
        for _ in range(2):
            assert seconds(lambda: fresh.send("echo", b"x", 0.3), Unavailable) < 2.5
            assert seconds(lambda: fresh.receive(0.3), ConnectionLost) < 2.5
        for _ in range(3):  # past the times at which a line looks after what it has sent
            assert seconds(lambda: used.receive(0.6), ConnectionLost) < 2.5
        relay.resume()


def test_a_silent_broker_holds_up_no_close(broker: Any, relay: Relay, make: Callable[..., Transport]) -> None:
    transport = make(through(relay, broker.url))
    ends: list[Any] = [connected(transport.dial()), transport.serve("echo"), transport.subscribe("news")]
    threads = [
        threading.Thread(target=seconds, args=(partial(end.receive, 20), TransportError, ClosedError)) for end in ends
    ]
    for end, thread in zip(ends, threads, strict=True):
        thread.start()
        eventually(end.link._receiving.locked)
    relay.stall()
    for end, thread in zip(ends, threads, strict=True):
        assert seconds(end.close) < 5
        thread.join(5)
        assert not thread.is_alive()


def test_nothing_is_lost_for_good_by_a_silence(broker: Any, relay: Relay, make: Callable[..., Transport]) -> None:
    transport = make(through(relay, broker.url))
    with connected(transport.dial()) as line, transport.serve("echo") as inbox:
        relay.stall()
        seconds(lambda: line.send("echo", b"meanwhile", 0.2), TransportError)
        for receive in (line.receive, inbox.receive):
            seconds(partial(receive, 0.2), TransportError)
        relay.resume()

        def answered() -> bool:
            frames = set()
            with suppress(TransportError):
                line.send("echo", b"again", 1)
                while (delivery := inbox.receive(0.2)) is not None:
                    delivery.reply(delivery.frame)
                    delivery.settle()
                while (frame := line.receive(0.2)) is not None:
                    frames.add(frame)
            return b"again" in frames

        eventually(answered, within=10)


@pytest.mark.parametrize("what", ["line", "serve", "subscribe"])
def test_close_ends_a_blocked_receive(broker: Any, make: Callable[..., Transport], what: str) -> None:
    transport = make(broker.url)
    gc.collect()  # what earlier tests left closes before the count, not within it
    files = open_files()
    end: Any = transport.dial() if what == "line" else getattr(transport, what)("name")
    found: list[BaseException] = []

    def wait() -> None:
        try:
            end.receive(20)
        except ClosedError as error:
            found.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(end.link._receiving.locked)
    end.close()
    end.close()
    thread.join(10)  # half of what it would wait
    assert [type(error) for error in found] == [ClosedError]
    with pytest.raises(ClosedError):
        end.receive(0)
    assert open_files() <= files
