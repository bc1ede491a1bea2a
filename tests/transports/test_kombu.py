"""What only the kombu adapter does. What all transports have in common is the contract's to prove."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import amqp
import kombu
import pytest
import redis
from kombu.transport import memory

import treaty_kombu.embedded
from treaty import (
    ClosedError,
    ConnectionLost,
    ForkedError,
    FrameTooLarge,
    InvalidTarget,
    InvalidURL,
    Line,
    MissingExtra,
    Transport,
    TransportError,
    Unavailable,
)
from treaty_contracts.relay import Relay
from treaty_kombu import connect
from treaty_kombu.embedded import embedded_redis
from treaty_kombu.envelope import pack, unpack
from treaty_kombu.redis_wire import Broker
from treaty_kombu.settings import read_url

Connection: Any = kombu.Connection  # type: ignore[attr-defined]  # kombu exports lazily and has no annotations

REDIS = os.environ.get("TREATY_TEST_REDIS", "redis://127.0.0.1:6379/0")
AMQP = os.environ.get("TREATY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//")


def eventually(condition: Callable[[], Any], within: float = 5.0) -> Any:
    """Poll until something is true."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.01)
    return value


def reachable(url: str) -> bool:
    settings = read_url(f"kombu+{url}")
    try:
        socket.create_connection((settings.host, settings.port), 0.5).close()
    except OSError:
        return False
    return True


class Redis:
    """A Redis, seen from outside of the transport."""

    def __init__(self, url: str, *, fake: bool) -> None:
        self.url = url
        self.client = redis.Redis.from_url(url.removeprefix("kombu+"))
        self.fake = fake

    def left(self, prefix: str, *_names: str) -> list[str]:
        keys: Any = self.client.keys(f"{prefix}.*")
        return sorted(key.decode() for key in keys)

    def inject(self, queue: str, body: bytes, content_type: str = "application/x-treaty", reply_to: str = "") -> None:
        self.client.lpush(
            queue, pack(body, "", queue, reply_to).replace(b"application/x-treaty", content_type.encode())
        )

    def sever(self, *sockets: socket.socket) -> None:
        """Cut connections, as an operator does."""
        if self.fake:
            pytest.skip("fakeredis cannot kill its clients")
        for end in sockets:
            host, port = end.getsockname()
            self.client.client_kill(f"{host}:{port}")

    def close(self) -> None:
        self.client.close()


class Rabbit:
    """A RabbitMQ, seen from outside of the transport."""

    fake = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: Any = Connection(url.removeprefix("kombu+"), connect_timeout=2)
        self.channel = self.connection.channel()

    def left(self, _prefix: str, *names: str) -> list[str]:
        """Which of some queues and exchanges there are: the protocol cannot list them."""
        found = []
        for name in names:
            if ".service." in name:  # asking the broker itself would count as a use, and put off its end
                command = ["rabbitmqctl", "-q", "list_queues", "name"]
                listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                found += [name] * (name in listed)
                continue
            with self.connection.channel() as channel:
                try:
                    if ".channel." in name:
                        channel.exchange_declare(name, "fanout", passive=True)
                    else:
                        channel.queue_declare(name, passive=True)
                except self.connection.channel_errors as error:
                    if error.reply_code == 404:
                        continue
                found.append(name)
        return sorted(found)

    def inject(self, queue: str, body: bytes, content_type: str = "application/x-treaty", reply_to: str = "") -> None:
        message = self.channel.prepare_message(
            body, content_type=content_type, content_encoding="binary", properties={"reply_to": reply_to}
        )
        self.channel.basic_publish(message, exchange="", routing_key=queue)

    def close(self) -> None:
        self.connection.release()


@pytest.fixture(scope="module")
def fakeredis_url() -> Iterator[str]:
    with embedded_redis() as url:
        yield url


def find_broker(request: pytest.FixtureRequest) -> Any:
    if request.param == "fakeredis":
        made: Any = Redis(request.getfixturevalue("fakeredis_url"), fake=True)
    elif not reachable(url := REDIS if request.param == "redis" else AMQP):
        pytest.skip(f"there is no {request.param} here")
    else:
        made = Redis(f"kombu+{url}", fake=False) if request.param == "redis" else Rabbit(f"kombu+{url}")
    request.addfinalizer(made.close)
    return made


broker = pytest.fixture(params=["fakeredis", "redis", "rabbitmq"], name="broker")(find_broker)
redis_broker = pytest.fixture(params=["fakeredis", "redis"], name="redis_broker")(find_broker)
rabbit = pytest.fixture(params=["rabbitmq"], name="rabbit")(find_broker)


@pytest.fixture
def prefix() -> str:
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def make(prefix: str) -> Iterator[Callable[..., Transport]]:
    """Make transports that share nothing with any other test, and see that they leave nothing behind."""
    made: list[Transport] = []

    def make(url: str, **options: Any) -> Transport:
        made.append(connect(url, prefix=prefix, **options))
        return made[-1]

    threads = threading.active_count()
    yield make
    for transport in made:
        transport.close()
    assert threading.active_count() == threads


def echo(transport: Transport, line: Line, frame: bytes = b"hello") -> bytes | None:
    """One request and its reply, served by the very thread that asks."""
    with transport.serve("echo") as inbox:
        line.send("echo", frame, 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        delivery.reply(b"re:" + delivery.frame)
        delivery.settle()
        return line.receive(5)


def connected(line: Line) -> Line:
    """A line that has been used, which is when it connects."""
    with pytest.raises(Unavailable):
        line.send("nobody-serves-this", b"x", 5)
        line.receive(5)  # RabbitMQ says so a little later
    return line


# ---- URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "kombu+redis://",
        "kombu+redis://host/name",
        "kombu+redis://host:port/0",
        "kombu+amqp://user:pass#word@host/",
        "kombu+memory://",
        "kombu+memory://a/b",
        "kombu+memory://Not-A-Token!",
        "kombu+sqs://queue",
        "kombu+redis://host/0?colour=blue",
        "kombu+redis://host/0?expires=soon",
        "kombu+redis://host/0?expires=0",
        "kombu+redis://host/0?prefix=a.b",
    ],
)
def test_a_url_that_cannot_be_read_says_what_to_write(url: str) -> None:
    with pytest.raises(InvalidURL, match=r"kombu\+|option|prefix"):
        connect(url)


def test_options_may_stand_in_the_url() -> None:
    settings = read_url("kombu+amqp://u%40x:p%2Fw@h:1/a%2Fb?prefix=shop&expires=2.5&max_queued=7")
    assert (settings.user, settings.password, settings.port, settings.path) == ("u@x", "p/w", 1, "a/b")
    assert (settings.prefix, settings.expires, settings.max_queued) == ("shop", 2.5, 7)


@pytest.mark.parametrize("scheme", ["kombu+rediss", "kombu+amqps"])
def test_tls_without_a_check_of_the_other_end_is_refused(scheme: str) -> None:
    with pytest.raises(InvalidURL, match="insecure=True"):
        connect(f"{scheme}://host/0")
    with pytest.raises(InvalidURL, match="no file"):
        connect(f"{scheme}://host/0", ca="/does/not/exist")
    connect(f"{scheme}://host/0", insecure=True).close()


@pytest.mark.parametrize("scheme", ["kombu+redis", "kombu+amqp"])
def test_the_password_is_in_no_text(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    transport = connect(f"{scheme}://me:hunter2@127.0.0.1:1/0", connect_timeout=0.5)
    line = transport.dial()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as caught:
        line.send("echo", b"x", 1)
    transport.close()
    shown = f"{transport!r} {transport.settings!r} {caught.value} {caught.value.__cause__} {caplog.text}"
    assert "hunter2" not in shown
    assert "me:***@" in shown
    with pytest.raises(InvalidURL) as invalid:
        connect(f"{scheme}://me:hunter2@host:port/0")
    assert "hunter2" not in f"{invalid.value} {invalid.value.__cause__}"


# ---- reaching the broker -----------------------------------------------------------------------------------------


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


# ---- what lies on the broker -------------------------------------------------------------------------------------


def test_one_reply_queue_per_line_and_nothing_is_left(broker: Any, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(broker.url, expires=0.6)
    with transport.dial() as line, transport.serve("echo") as inbox, transport.subscribe("news") as feed:
        for number in range(5):
            line.send("echo", b"%d" % number, 5)
            delivery = inbox.receive(5)
            assert delivery is not None
            assert delivery.reply_to == line.address
            delivery.reply(b"one")
            delivery.reply(b"two")
            delivery.settle()
        line.send("echo", b"left over", 5)
        transport.publish("news", b"n")
        assert feed.receive(5) is not None
        assert line.address.startswith(f"{prefix}.reply.")
        token = feed.link.token  # type: ignore[attr-defined]
        names = [line.address, f"{prefix}.service.echo", f"{prefix}.feed.{token}", f"{prefix}.channel.news"]
        if isinstance(broker, Rabbit):
            assert broker.left(prefix, *names) == sorted(names)
        else:
            assert [name for name in broker.left(prefix) if ".reply." in name] == [line.address]
        assert [line.receive(1) for _ in range(10)] == [b"one", b"two"] * 5
    transport.close()
    eventually(lambda: not broker.left(prefix, *names), within=8)


def test_replies_to_a_caller_that_is_gone_vanish(broker: Any, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(broker.url, expires=0.5)
    with transport.serve("echo") as inbox:
        with transport.dial() as line:
            line.send("echo", b"x", 5)
            delivery = inbox.receive(5)
            assert delivery is not None
        delivery.reply(b"too late")
        delivery.settle()
        eventually(lambda: delivery.reply_to not in broker.left(prefix, delivery.reply_to))


def test_foreign_messages_are_thrown_away(
    broker: Any, make: Callable[..., Transport], prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport = make(broker.url)
    with transport.serve("echo", capacity=2) as inbox, transport.dial() as line:
        queue = f"{prefix}.service.echo"
        for content_type in ("application/json", "application/x-python-serialize", "text/plain"):
            broker.inject(queue, b"a secret", content_type)
        if isinstance(broker, Redis):
            for garbage in (b"", b"\xff\xfe", b"[]", b"17", b"{}", b"[" * 100_000, b'{"properties": 1}'):
                broker.client.lpush(queue, garbage)
        line.send("echo", b"real", 5)
        deliveries = [inbox.receive(1), inbox.receive(0.1)]
        while deliveries[0] is None:
            deliveries = [inbox.receive(1), *deliveries]
        assert [d.frame for d in deliveries if d is not None] == [b"real"]
        deliveries[0].settle()
    assert "thrown away" in caplog.text
    assert "a secret" not in caplog.text


def test_replies_go_only_to_reply_queues(broker: Any, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(broker.url)
    with transport.serve("echo", capacity=9) as inbox, transport.serve("other") as other:
        targets = [f"{prefix}.service.other", "anything", f"{prefix}.reply.", f"{prefix}.reply.{'0' * 31}\n", ""]
        for target in targets:
            broker.inject(f"{prefix}.service.echo", b"x", reply_to=target)
        for _ in targets:
            delivery = eventually(lambda: inbox.receive(1))
            delivery.reply(b"planted")
            delivery.settle()
        assert other.receive(0.05) is None
        broker.inject(f"{prefix}.service.other", b"fence")
        assert eventually(lambda: other.receive(1)).frame == b"fence"
        assert broker.left("anything", "anything") == []


def test_frames_over_the_limit_are_refused_before_they_are_sent(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url, max_frame=1000)
    with transport.dial() as line:
        with pytest.raises(FrameTooLarge):
            line.send("echo", bytes(1001), 5)
        with pytest.raises(FrameTooLarge):
            transport.publish("news", bytes(1001))
        with pytest.raises(InvalidTarget):  # the law's order, where two conditions hold
            line.send("no token", bytes(1001), 5)
        with pytest.raises(InvalidTarget):
            transport.publish("no token", bytes(1001))
        assert echo(transport, line, bytes(900)) == b"re:" + bytes(900)


def test_the_largest_frame_passes(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.dial() as line:
        frame = os.urandom(1024) * 8192
        assert echo(transport, line, frame) == b"re:" + frame


# ---- capacity ----------------------------------------------------------------------------------------------------


def test_an_inbox_takes_no_more_than_its_capacity(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.serve("echo", capacity=2) as busy, transport.dial() as line:
        for number in range(3):
            line.send("echo", b"%d" % number, 5)
        held = [busy.receive(2), busy.receive(2)]
        assert busy.receive(0.1) is None
        with transport.serve("echo") as idle:
            third = idle.receive(2)
            assert third is not None
            assert third.frame == b"2"
            third.settle()
        line.send("echo", b"3", 5)
        assert busy.receive(0.05) is None
        assert held[0] is not None
        held[0].settle()
        held[0].settle()
        fourth = busy.receive(2)
        assert fourth is not None
        assert fourth.frame == b"3"
        assert busy.receive(0.05) is None


def test_a_request_not_accepted_goes_to_another_inbox_as_new(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.serve("echo") as first, transport.dial() as line:
        line.send("echo", b"x", 5)
        refused = first.receive(2)
        assert refused is not None
        with transport.serve("echo") as second:
            refused.settle(accepted=False)
            taken = second.receive(2)
            assert taken is not None
            assert (taken.frame, taken.reply_to, taken.redelivered) == (b"x", line.address, False)
            taken.reply(b"done")
            taken.settle()
        assert line.receive(2) == b"done"


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


# ---- presence ----------------------------------------------------------------------------------------------------


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


def test_what_a_service_left_in_its_queue_comes_back(
    redis_broker: Redis, make: Callable[..., Transport], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treaty_kombu.redis_sent._SOME", 2)
    transport = make(redis_broker.url)
    queue = f"{prefix}.service.echo"
    with transport.dial() as line, transport.dial() as other:
        with transport.serve("echo"):
            for number in range(5):
                line.send("echo", b"%d" % number, 5)
                redis_broker.inject(queue, b"theirs", reply_to=other.address)
            assert line.receive(1.5) is None  # a service that is only slow keeps what is in its queue
        returned = set()
        for _ in range(5):
            with pytest.raises(Unavailable) as caught:
                line.receive(2.5)
            returned.add(caught.value.frame)
        assert returned == {b"%d" % number for number in range(5)}
        assert line.receive(0) is None
        assert redis_broker.client.llen(queue) == 5  # each line takes back its own
        assert 0 < redis_broker.client.pttl(queue) <= 6000  # and what nobody takes back does not wait for long
        with transport.serve("echo") as inbox:
            delivery = inbox.receive(1)
            assert delivery is not None
            assert delivery.frame == b"theirs"


def test_what_was_sent_to_a_killed_service_comes_back_in_time(
    redis_broker: Redis, make: Callable[..., Transport], prefix: str
) -> None:
    transport = make(redis_broker.url)
    code = (
        "import signal; from treaty_kombu import connect;"
        f"inbox = connect({redis_broker.url!r}, prefix={prefix!r}).serve('echo');"
        "print('serving', flush=True); signal.pause()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"serving\n"
        worker.kill()
    with transport.dial() as line:
        line.send("echo", b"to the dead", 5)
        absence = transport.guarantees.notices_absence
        assert absence is not None
        with pytest.raises(Unavailable) as caught:
            line.receive(absence)
        assert caught.value.frame == b"to the dead"
        with transport.serve("echo") as inbox:
            assert inbox.receive(0.1) is None


# ---- RabbitMQ ----------------------------------------------------------------------------------------------------


def test_a_request_without_a_queue_comes_back(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    with make(rabbit.url).dial() as line:
        line.send("misspelt", b"lost", 5)
        with pytest.raises(Unavailable) as caught:
            line.receive(5)
        assert caught.value.frame == b"lost"


def test_a_full_queue_refuses(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url, max_queued=2)
    with transport.serve("echo") as inbox, transport.dial() as line:
        for number in range(4):  # one is with the inbox, two in the queue
            line.send("echo", b"%d" % number, 5)
        with pytest.raises(Unavailable) as caught:
            line.receive(5)
        assert caught.value.frame == b"3"
        assert inbox.receive(5) is not None


def test_requests_survive_a_restart_of_the_service(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url, expires=5.0)
    with transport.dial() as line:
        transport.serve("echo").close()
        line.send("echo", b"queued", 5)
        with transport.serve("echo") as inbox:
            delivery = inbox.receive(5)
            assert delivery is not None
            assert (delivery.frame, delivery.redelivered) == (b"queued", False)
            delivery.settle()


def test_what_a_dead_worker_held_is_redelivered_with_the_flag(
    rabbit: Rabbit, make: Callable[..., Transport], prefix: str
) -> None:
    transport = make(rabbit.url)
    code = (
        "import sys, time; from treaty_kombu import connect;"
        f"inbox = connect({rabbit.url!r}, prefix={prefix!r}).serve('echo');"
        "print('serving', flush=True); print(inbox.receive(20).frame, flush=True); signal.pause()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"serving\n"
        with transport.dial() as line, transport.serve("echo", capacity=1) as inbox:
            line.send("echo", b"x", 5)
            line.send("echo", b"x", 5)
            assert worker.stdout.readline() == b"b'x'\n"
            first = inbox.receive(5)
            assert first is not None
            assert not first.redelivered
            first.settle()
            worker.send_signal(signal.SIGKILL)
            second = inbox.receive(5)
            assert second is not None
            assert second.redelivered
            second.settle()


def test_heartbeats_go_on_while_nobody_is_inside(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url, heartbeat=1)
    with transport.dial() as line, transport.serve("echo") as inbox:
        line.send("echo", b"x", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        threading.Event().wait(2.6)  # longer than the broker waits for two heartbeats
        delivery.reply(b"done")
        delivery.settle()
        assert line.receive(5) == b"done"


def test_a_deleted_queue_is_a_loss_and_is_made_again(
    rabbit: Rabbit, make: Callable[..., Transport], prefix: str
) -> None:
    transport = make(rabbit.url)
    with transport.serve("echo") as inbox, transport.dial() as line:
        rabbit.channel.queue_delete(f"{prefix}.service.echo")
        with pytest.raises(ConnectionLost):
            inbox.receive(5)
        assert inbox.receive(0.5) is None
        line.send("echo", b"again", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        delivery.settle()


def test_publishing_to_nobody_leaves_nothing(rabbit: Rabbit, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(rabbit.url)
    for _ in range(3):
        transport.publish("news", b"unheard")
    assert rabbit.left(prefix, f"{prefix}.channel.news") == []
    with transport.subscribe("news") as feed:
        transport.publish("news", b"heard")
        notice = feed.receive(5)
        assert notice is not None
        assert notice.frame == b"heard"


# ---- losing the connection ---------------------------------------------------------------------------------------


def sever(broker: Any, *ends: Any) -> None:
    """Cut the connections of some ends."""
    if isinstance(broker, Redis):
        wires = [wire for end in ends for wire in (end.link._asking, end.link._taking)]
        broker.sever(*(wire._connection._sock for wire in wires))
        return
    for end in ends:
        os_socket = socket.socket(fileno=os.dup(end.link._wire.fileno()))
        os_socket.shutdown(socket.SHUT_RDWR)
        os_socket.close()


def losses(receive: Callable[[float], Any], rounds: int = 2) -> list[type[BaseException]]:
    seen: list[type[BaseException]] = []
    for _ in range(rounds):
        try:
            assert receive(0.25) is None
        except TransportError as error:
            seen.append(type(error))
    return seen


def test_a_lost_connection_is_reported_once_and_made_again(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with connected(transport.dial()) as line, transport.serve("echo") as inbox:
        assert line.receive(0.02) is None
        assert inbox.receive(0.02) is None
        sever(broker, line, inbox)
        assert losses(line.receive) == [ConnectionLost]
        assert losses(inbox.receive) == [ConnectionLost]
        line.send("echo", b"x", 5)
        delivery = inbox.receive(5)
        assert delivery is not None
        delivery.reply(b"back again")
        delivery.settle()
        assert line.receive(5) == b"back again"


def test_a_reader_inside_notices_at_once(broker: Any, make: Callable[..., Transport]) -> None:
    if broker.fake:
        pytest.skip("fakeredis cannot kill its clients")
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
        eventually(line.link._receiving.locked)  # type: ignore[attr-defined]
        sever(broker, line)
        thread.join(2)
        assert [type(error) for error in found] == [ConnectionLost]
        assert found[0].__cause__ is not None


def test_a_subscriber_subscribes_again(rabbit: Rabbit, make: Callable[..., Transport]) -> None:
    transport = make(rabbit.url)
    with transport.subscribe("news") as feed:
        sever(rabbit, feed)
        assert losses(feed.receive) == [ConnectionLost]
        transport.publish("news", b"n")
        notice = feed.receive(5)
        assert notice is not None
        assert notice.frame == b"n"


def test_a_redis_subscriber_subscribes_again(redis_broker: Redis, make: Callable[..., Transport]) -> None:
    if redis_broker.fake:
        pytest.skip("fakeredis cannot kill its clients")
    transport = make(redis_broker.url)
    with transport.subscribe("news") as feed:
        redis_broker.sever(feed.link._pubsub.connection._sock)  # type: ignore[attr-defined]
        assert losses(feed.receive) == [ConnectionLost]
        transport.publish("news", b"n")
        notice = feed.receive(5)
        assert notice is not None
        assert notice.frame == b"n"


def test_a_loss_that_a_sender_finds_is_told_to_whoever_waits(
    rabbit: Rabbit, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for answers would wait for its deadline otherwise: the queue for them went with the connection."""
    with connected(make(rabbit.url).dial()) as line:
        found: list[BaseException] = []

        def wait() -> None:
            try:
                line.receive(10)
            except ConnectionLost as error:
                found.append(error)

        def fail(*_: Any) -> None:
            raise ConnectionResetError("reset")

        thread = threading.Thread(target=wait)
        thread.start()
        eventually(line.link._receiving.locked)  # type: ignore[attr-defined]
        monkeypatch.setattr(line.link._wire, "request", fail)  # type: ignore[attr-defined]
        with pytest.raises(ConnectionLost, match="reset") as caught:
            line.send("echo", b"x", 5)
        thread.join(2)
        assert len(found) == 1
        assert found[0] is not caught.value
        assert isinstance(found[0].__cause__, ConnectionResetError)
        assert line.receive(0.1) is None


def test_a_subscriber_comes_while_the_last_one_goes(
    rabbit: Rabbit, make: Callable[..., Transport], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange of a channel goes with its last subscriber, if need be between its declaration and the binding."""
    bind = amqp.Channel.queue_bind
    left = [3]

    def queue_bind(*args: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            rabbit.channel.exchange_delete(f"{prefix}.channel.news")
        return bind(*args, **options)

    monkeypatch.setattr(amqp.Channel, "queue_bind", queue_bind)
    transport = make(rabbit.url)
    with transport.subscribe("news") as feed:
        transport.publish("news", b"heard")
        notice = feed.receive(5)
        assert notice is not None
        assert notice.frame == b"heard"
    assert left == [0]


# ---- a broker that takes connections and says nothing ------------------------------------------------------------


@pytest.fixture
def relay(broker: Any) -> Iterator[Relay]:
    settings = read_url(broker.url)
    made = Relay((settings.host, settings.port))
    yield made
    made.close()


def through(relay: Relay, url: str) -> str:
    settings = read_url(url)
    return url.replace(f":{settings.port}", f":{relay.address[1]}")


def seconds(use: Callable[[], Any], *errors: type[BaseException]) -> float:
    started = time.monotonic()
    with suppress(*errors):
        use()
    return time.monotonic() - started


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


# ---- closing and forking -----------------------------------------------------------------------------------------


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
    eventually(lambda: end.link._popped_at is not None)
    end.close()
    thread.join(2)
    assert [type(error) for error in found] == [ClosedError]


def test_settling_a_notification_does_nothing(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.subscribe("news") as feed:
        for frame in (b"one", b"two", b"three"):
            transport.publish("news", frame)
            notice = feed.receive(5)
            assert notice is not None
            assert notice.frame == frame
            notice.settle(accepted=frame != b"two")
            notice.settle()


def test_a_forked_child_leaves_the_parent_alone(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    with transport.dial() as line, transport.serve("echo") as inbox, transport.subscribe("news") as feed:
        transport.publish("news", b"before")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what this is about
            child = os.fork()
        if not child:
            refused = 0
            for use in (
                lambda: line.send("echo", b"x", 1),
                lambda: inbox.receive(0),
                lambda: feed.receive(0),
                transport.dial,
                lambda: transport.publish("news", b"x"),
            ):
                try:
                    use()
                except ForkedError:
                    refused += 1
            line.close()
            transport.close()
            transport.close()
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        transport.publish("news", b"after")
        assert [feed.receive(2).frame for _ in range(2)] == [b"before", b"after"]  # type: ignore[union-attr]
        for _ in range(20):
            line.send("echo", b"x", 5)
            delivery = inbox.receive(5)
            assert delivery is not None
            delivery.reply(b"y")
            delivery.settle()
            assert line.receive(5) == b"y"


def test_many_threads_share_a_line(broker: Any, make: Callable[..., Transport]) -> None:
    transport = make(broker.url)
    replies: list[bytes] = []
    with transport.serve("echo", capacity=8) as inbox, transport.dial() as line:

        def ask(n: int) -> None:
            for m in range(25):
                line.send("echo", b"%d.%d" % (n, m), 5)

        senders = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in senders:
            thread.start()
        while len(replies) < 100:
            delivery = inbox.receive(0.02)
            if delivery is not None:
                delivery.reply(delivery.frame)
                delivery.settle()
            while (reply := line.receive(0)) is not None:
                replies.append(reply)
        for thread in senders:
            thread.join()
    assert sorted(replies) == sorted(b"%d.%d" % (n, m) for n in range(4) for m in range(25))


# ---- memory ------------------------------------------------------------------------------------------------------


def test_a_broker_in_memory_leaves_nothing_in_kombus_books() -> None:
    def books() -> tuple[Any, ...]:
        state: Any = memory.Transport.global_state
        return set(memory.Channel.queues), set(state.exchanges), dict(state.bindings)

    before = books()
    with connect("kombu+memory://one") as one, connect("kombu+memory://two") as two:
        with (
            one.dial() as line,
            one.serve("echo"),
            one.subscribe("news") as feed,
            connect("kombu+memory://one") as same,
        ):
            same.publish("news", b"n")
            two.publish("news", b"not for you")
            notice = feed.receive(1)
            assert notice is not None
            assert notice.frame == b"n"
            assert feed.receive(0) is None
            line.send("echo", b"x", 0)
            with same.serve("echo") as inbox:
                assert inbox.receive(1) is not None
            with two.dial() as stranger, pytest.raises(Unavailable):
                stranger.send("echo", b"x", 0)
        assert not one.guarantees.crosses_processes
    assert books() == before


# ---- the envelope and the embedded broker ------------------------------------------------------------------------


def test_kombu_can_read_what_lies_in_a_list(redis_broker: Redis, make: Callable[..., Transport], prefix: str) -> None:
    transport = make(redis_broker.url)
    with transport.serve("echo"), transport.dial() as line:
        line.send("echo", b"\x00frame", 5)
        with Connection(redis_broker.url.removeprefix("kombu+")) as connection:
            message = connection.default_channel.basic_get(f"{prefix}.service.echo", no_ack=True)
            assert message.body == b"\x00frame"
            assert message.properties["reply_to"] == line.address


def test_the_envelope_reads_only_what_it_wrote() -> None:
    packed = pack(b"frame", "", "q", "r")
    arrived = unpack(packed, 100)
    assert arrived is not None
    assert (arrived.frame, arrived.reply_to) == (b"frame", "r")
    assert unpack(packed, 4) is None
    message = json.loads(packed)
    for change in (
        {"content-type": "application/json"},
        {"body": "not base64!"},
        {"body": None},
        {"properties": {**message["properties"], "reply_to": 7}},
        {"properties": {**message["properties"], "body_encoding": "utf-8"}},
        {"properties": None},
    ):
        assert unpack(json.dumps({**message, **change}).encode(), 100) is None


def test_the_embedded_broker_dies_with_its_parent() -> None:
    code = (
        "import os, signal; from treaty_kombu.embedded import embedded_redis\n"
        "with embedded_redis() as url:\n    print(url, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, text=True, timeout=30)
    settings = read_url(out.stdout.strip())
    assert settings.host == "127.0.0.1"
    eventually(lambda: not reachable(f"redis://127.0.0.1:{settings.port}/0"))


def test_the_embedded_broker_stays_connected_after_a_refusal() -> None:
    with embedded_redis() as url:
        broker = Broker(read_url(url), 5)
        wire = broker.wire(5)
        for _ in range(2):
            with pytest.raises(Unavailable, match="refused"):
                wire.ask(5, ("NO-SUCH-COMMAND",))
        assert wire.ask(5, ("EXISTS", "key")) == [0]
        broker.close()


def test_the_embedded_broker_stops_with_its_block() -> None:
    with embedded_redis() as url:
        assert reachable(url.removeprefix("kombu+"))
    assert not reachable(url.removeprefix("kombu+"))


def test_without_fakeredis_the_embedded_broker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treaty_kombu.embedded, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"treaty\[fake\]"), embedded_redis():
        pass
