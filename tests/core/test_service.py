"""The life of a service: from start to stop, and what its author may rely on."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.interruptions import strike

from treaty import (
    Client,
    ClosedError,
    ConfigurationError,
    ConnectionLost,
    Inbox,
    Incoming,
    InvalidHandler,
    InvalidSecret,
    InvalidTarget,
    Key,
    Keyring,
    ResourceExhausted,
    Service,
    Transport,
    TransportError,
    TreatyError,
    Unavailable,
    UnknownMethod,
)
from treaty_memory import MemoryTransport

from .conftest import SECRET, Room
from .services import LIMIT, Relay, Slow, await_end


def test_starting_twice_and_stopping_twice_does_nothing(room: Room) -> None:
    service = room.serve(Slow)
    service.start()
    assert service.serving
    assert room.client().call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    service.stop()
    service.stop()
    assert not service.serving
    with pytest.raises(Unavailable):
        room.client().call("slow.echo")


def test_a_stopped_service_can_be_started_again(room: Room) -> None:
    service = room.serve(Slow)
    service.stop()
    service.start()
    assert room.client().call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}


def test_a_service_whose_stop_is_interrupted_anywhere_can_be_started_or_stopped(room: Room) -> None:
    service, client = room.serve(Hooked), room.client(timeout=LIMIT)
    for number in itertools.count(1):
        where = strike(number, ("treaty", "treaty_memory"), service.stop)
        if number % 2:
            service.stop()
            assert not service.serving
        service.start()
        assert service.serving
        assert client.call("hooked.work") is None, where
        if not where:
            break
    assert number > 20
    life = [event for event in service.events if event != "work"]
    assert ("setup", "setup") not in itertools.pairwise(life)  # each was torn down before the next one


def test_a_stop_that_failed_in_the_teardown_is_done_by_the_next_one() -> None:
    class Careless(Slow):
        def teardown(self) -> None:
            raise OSError("no way")

    service = Careless("memory://careless", secret=SECRET)
    service.start()
    with pytest.raises(OSError, match="no way"):
        service.stop()
    assert not service.serving
    service.stop()
    with Careless("memory://careless", secret=SECRET) as other, contextlib.suppress(OSError):
        assert other.serving
        other.stop()


def test_a_service_never_started_can_be_stopped(room: Room) -> None:
    Slow(room.transport, secret=SECRET).stop()


def test_a_service_is_a_context(room: Room) -> None:
    with Slow(room.transport, secret=SECRET) as service:
        assert room.client().call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    assert not service.serving


def test_it_answers_to_ping_and_describe(room: Room) -> None:
    service = room.serve(Slow, concurrency=2)
    client = room.client()
    pong = client.call("slow.$ping")
    assert (pong["service"], pong["instance"], pong["concurrency"]) == ("slow", service.instance, 2)
    assert pong["uptime"] >= 0
    described = {entry["name"]: entry for entry in client.call("slow.$describe")}
    assert described["echo"]["parameters"] == [{"name": "text", "type": "str", "required": False}]
    assert not [name for name in described if name.startswith("$")]


def test_only_the_handlers_are_methods(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    for name in ("start", "stop", "run", "on_echo", "_ping", "__class__", "gate", "$stop", "ping"):
        with pytest.raises(UnknownMethod):
            client.call(f"slow.{name}")


def test_what_happened_is_counted(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()
    client.call("slow.echo")
    with pytest.raises(UnknownMethod):
        client.call("slow.nothing")
    assert service.counters == {"requests": 1, "unknown method": 1}
    assert client.counters["requests"] == 2


# Hooks


class Hooked(Service):
    name = "hooked"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.events: list[str] = []

    def setup(self) -> None:
        self.events.append("setup")

    def teardown(self) -> None:
        self.events.append("teardown")

    def on_work(self, message: Incoming) -> None:
        self.events.append("work")


def test_the_hooks_stand_around_the_handlers(room: Room) -> None:
    service = room.serve(Hooked)
    room.client().call("hooked.work")
    service.stop()
    service.stop()
    assert service.events == ["setup", "work", "teardown"]


def test_a_service_that_cannot_serve_tears_down(room: Room) -> None:
    class Taken(MemoryTransport):
        def serve(self, service: str, capacity: int = 1) -> Any:
            raise TransportError("taken")

    service = Hooked(Taken("taken"), secret=SECRET)
    with pytest.raises(TransportError):
        service.start()
    assert service.events == ["setup", "teardown"]
    assert not service.serving


# What cannot be made


class Nameless(Service):
    pass


class Misnamed(Service):
    name = "No Name"


class Unreadable(Service):
    name = "unreadable"

    def on_open(self, message: Incoming, room: Room) -> None: ...


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        (Nameless, {}, ConfigurationError),
        (Misnamed, {}, InvalidTarget),
        (Slow, {"secret": None}, InvalidSecret),
        (Slow, {"secret": ""}, InvalidSecret),
        (Slow, {"concurrency": 0}, ConfigurationError),
        (Slow, {"concurrency": True}, ConfigurationError),
        (Slow, {"concurrency": 1.5}, ConfigurationError),
    ],
)
def test_a_service_that_cannot_work_is_not_made(
    room: Room, kind: type[Service], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        kind(room.transport, **{"secret": SECRET, **options})


def test_a_handler_that_cannot_be_called_is_found_at_start(room: Room) -> None:
    with pytest.raises(InvalidHandler, match="'room'"):
        room.serve(Unreadable)


def test_a_service_needs_a_secret_by_name(room: Room) -> None:
    with pytest.raises(TypeError):
        Slow(room.transport)


# Secrets


def test_secrets_are_rotated_without_a_stop(room: Room) -> None:
    old, new = Key.generate(os.urandom), Key.generate(os.urandom)
    room.serve(Slow, secret=Keyring(new, accepted=[old]))
    for secret in (old, new, Keyring(old, accepted=[new]), new.text()):
        assert room.client(secret=secret).call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}


def test_a_passphrase_warns_at_both_ends(room: Room) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        room.serve(Slow, secret="short")
        assert room.client(secret="short").call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    assert [warning.category.__name__ for warning in caught] == ["WeakSecretWarning"] * 2


def test_the_memory_of_ids_is_as_large_as_was_said_and_survives_a_restart(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = room.serve(Slow, replay_capacity=2)
    client = room.client()
    with monkeypatch.context() as ahead:
        later = {"time_ns": lambda: time.time_ns() + 20_000_000_000}
        ahead.setattr("treaty.driving.time", SimpleNamespace(**{**vars(time), **later}))
        client.call("slow.echo")
        client.call("slow.echo")
    service.stop()
    service.start()
    # One of the two makes room, and was made later than this one is.
    with pytest.raises(ResourceExhausted, match="older than what the service remembers"):
        client.call("slow.echo")


def test_a_service_goes_on_when_its_memory_of_ids_is_full(room: Room) -> None:
    room.serve(Slow, replay_capacity=256)
    client = room.client(timeout=3600)
    for number in range(1000):
        assert client.call("slow.echo", [str(number)]) == {"RETURN_DATA": str(number)}


# Stopping


def test_a_running_handler_finishes_and_its_answer_arrives(either_room: Room) -> None:
    service = either_room.serve(Slow, concurrency=2)
    client = either_room.client()
    pending = [client.send("slow.wait"), client.send("slow.wait_later")]
    service.gate.await_arrival(2)
    stopper = threading.Thread(target=service.stop)
    stopper.start()
    service.gate.open()
    stopper.join(LIMIT)
    assert not stopper.is_alive()
    assert [one.result() for one in pending] == ["waited", "waited"]


@pytest.mark.parametrize("method", ["slow.wait", "slow.wait_later"])
def test_a_handler_that_does_not_finish_is_given_up(either_room: Room, method: str) -> None:
    service = either_room.serve(Slow)
    pending = either_room.client().send(method)
    service.gate.await_arrival()
    service.stop(drain=0.01)
    service.gate.open()
    with pytest.raises(ConnectionLost, match="may have been executed"):
        pending.result()


@pytest.mark.parametrize("drain", [-1, math.nan, "x", True, [1]])
def test_a_drain_that_is_no_fit_number_is_refused_and_the_service_goes_on(room: Room, drain: Any) -> None:
    service = room.serve(Slow)
    client = room.client()
    with pytest.raises(ConfigurationError, match="drain is a number from 0 on"):
        service.stop(drain)
    assert service.serving
    assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
    service.stop(math.inf)
    assert not service.serving


def test_what_was_not_started_is_said_not_to_have_been_executed(room_alone: Room) -> None:
    service = room_alone.serve(Slow)
    client = room_alone.client()
    first = client.send("slow.wait")
    service.gate.await_arrival()
    waiting = [client.send("slow.echo") for _ in range(3)]
    client.notify("slow.echo")
    stopper = threading.Thread(target=service.stop)
    stopper.start()
    for one in waiting:
        with pytest.raises(Unavailable, match="not executed"):
            one.result()
    service.gate.open()
    stopper.join(LIMIT)
    assert first.result() == "waited"
    assert service.seen == []


def test_what_was_not_started_goes_to_another_worker(room: Room) -> None:
    first = room.serve(Slow)
    client = room.client()
    running = client.send("slow.wait")
    first.gate.await_arrival()
    waiting = [client.send("slow.echo", ["hi"]) for _ in range(3)]
    room.serve(Slow)
    assert [one.result() for one in waiting] == [{"RETURN_DATA": "hi"}] * 3
    first.gate.open()
    assert running.result() == "waited"
    assert first.seen == []


class Quitter(Slow):
    name = "quitter"

    def on_quit(self, message: Incoming) -> str:
        self.stop()
        return "bye"

    async def on_quit_later(self, message: Incoming) -> str:
        self.stop()
        return "bye"


@pytest.mark.parametrize("method", ["quitter.quit", "quitter.quit_later"])
def test_a_handler_may_stop_its_own_service(either_room: Room, method: str) -> None:
    service = either_room.serve(Quitter, drain=1)
    assert either_room.client(timeout=2).call(method) == "bye"
    await_end(service)
    assert not service.serving


def test_threads_are_back_at_their_baseline_after_a_stop(either_room: Room) -> None:
    before = set(threading.enumerate())
    for _ in range(5):
        service = either_room.serve(Slow, concurrency=4)
        either_room.serve(Relay)
        client = either_room.client()
        for method in ("slow.echo", "slow.later", "relay.remaining", "relay.remaining_later"):
            client.call(method)
        client.close()
        service.stop()
        either_room.end()
        assert set(threading.enumerate()) == before
        either_room.transport = MemoryTransport(f"{either_room.transport.name}-again")


def test_a_service_made_with_a_url_closes_its_transport(room: Room) -> None:
    service = Slow(f"memory://{room.transport.name}", secret=SECRET)
    with service:
        room.client().call("slow.echo")
    assert isinstance(service._transport, Transport) and service._transport.closed


def test_a_service_on_a_closed_transport_does_not_start(room: Room) -> None:
    room.transport.close()
    with pytest.raises(ClosedError):
        room.serve(Slow)


# run()


def test_run_serves_until_it_is_stopped_from_another_thread(room: Room) -> None:
    service = Slow(room.transport, secret=SECRET)
    started = threading.Event()
    service.setup = started.set  # type: ignore[method-assign]
    runner = threading.Thread(target=service.run)
    runner.start()
    assert started.wait(LIMIT)
    service.stop()
    while not service._over:
        service.stop()
    runner.join(LIMIT)
    assert not runner.is_alive()


PROGRAM = """
import sys, threading
from treaty import Client, Service
from treaty_memory import MemoryTransport

SECRET = "an example of a secret, long enough"
transport = MemoryTransport("signals")

def say(what):
    sys.stdout.write(what + "\\n")
    sys.stdout.flush()

class Slow(Service):
    name = "slow"

    def on_wait(self, message):
        say("running")
        say("cancelled" if message.wait_cancelled(float(sys.argv[1])) else "finished")

    def teardown(self):
        say("torn down")

def call():
    client = Client(transport, secret=SECRET)
    while not service.serving:
        pass
    try:
        client.call("slow.wait", timeout=30)
        say("answered")
    except Exception as error:
        say(type(error).__name__)

service = Slow(transport, secret=SECRET)
caller = threading.Thread(target=call)
caller.start()
service.run()
caller.join()
say("over")
"""


def signalled(handler_takes: float, *signals: signal.Signals) -> list[str]:
    """Run the program, send it signals while its handler runs, and return what it said."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join(str(root / part) for part in ("core", "transports"))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(handler_takes)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip()]
        for number in signals:
            process.send_signal(number)
        try:
            rest, _ = process.communicate(timeout=LIMIT * 3)
        finally:
            process.kill()
        assert process.returncode == 0
        return said + rest.split("\n")[:-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_the_program(number: signal.Signals) -> None:
    said = signalled(0.3, number)
    assert sorted(said) == sorted(["running", "finished", "answered", "torn down", "over"])
    assert (said[0], said[-1]) == ("running", "over")


def test_a_second_signal_ends_the_drain_at_once() -> None:
    said = signalled(LIMIT * 10, signal.SIGTERM, signal.SIGINT)
    assert {"running", "cancelled", "ConnectionLost", "torn down", "over"} == set(said)


def test_a_service_made_of_a_url_starts_again_after_a_stop() -> None:
    service = Slow("memory://again", secret=SECRET)
    for _ in range(2):
        service.start()
        with Client("memory://again", secret=SECRET) as client:
            assert client.call("slow.echo", ["hi"]) == {"RETURN_DATA": "hi"}
        service.stop()


@pytest.mark.parametrize(
    "wrong", [{"drain": -1}, {"drain": "1"}, {"skew": None}, {"skew": math.inf}, {"replay_capacity": 0}]
)
def test_a_setting_that_is_no_fit_number_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Slow("memory://never", secret=SECRET, **wrong)


# Stopped from inside, or its transport closed under it


class Doubtful(Hooked):
    def setup(self) -> None:
        super().setup()
        self.stop()


@pytest.mark.parametrize("begin", ["start", "run"])
def test_a_service_that_stops_itself_in_its_setup_does_not_serve(room: Room, begin: str) -> None:
    service = Doubtful(room.transport, secret=SECRET)
    thread = threading.Thread(target=getattr(service, begin), daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert not service.serving
    assert service.events == ["setup", "teardown"]
    service.stop()
    with pytest.raises(Unavailable):
        room.client().call("hooked.work")


def test_a_service_may_be_stopped_by_the_thread_that_starts_or_stops_it(room: Room) -> None:
    class Interrupted(MemoryTransport):
        def serve(self, service: str, capacity: int = 1) -> Inbox:
            interrupted.stop()  # as the handler of a signal would
            return super().serve(service, capacity)

    class Stopping(Hooked):
        def teardown(self) -> None:
            super().teardown()
            self.stop()
            with pytest.raises(ConfigurationError, match="has no place in there"):
                self.start()

    with Interrupted("interrupted") as transport:
        interrupted = Stopping(transport, secret=SECRET)
        starter = threading.Thread(target=interrupted.start, daemon=True)
        starter.start()
        starter.join(LIMIT)
        assert not starter.is_alive()
        assert not interrupted.serving
        assert interrupted.events == ["setup", "teardown"]


@pytest.mark.parametrize("main", [True, False], ids=["main", "another"])
def test_a_service_whose_transport_is_closed_under_it_stops_and_says_so(
    either_room: Room, caplog: pytest.LogCaptureFixture, main: bool
) -> None:
    service = Hooked(either_room.transport, secret=SECRET, concurrency=2)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            service.run()
        except ClosedError as error:
            raised.append(error)

    def close() -> None:
        while not service.serving:
            pass
        either_room.transport.close()

    closer = threading.Thread(target=close, daemon=True)
    if main:
        closer.start()
        run()
    else:
        runner = threading.Thread(target=run, daemon=True)
        runner.start()
        closer.start()
        runner.join(LIMIT)
    closer.join(LIMIT)
    assert [str(error) for error in raised] == ["the transport was closed under the service"]
    assert not service.serving
    assert service.events == ["setup", "teardown"]
    assert [record.levelname for record in caplog.records if "closed under" in record.getMessage()] == ["ERROR"]
    service.stop()
    assert service.events == ["setup", "teardown"]


def test_a_service_whose_transport_was_closed_finishes_its_handlers(either_room: Room) -> None:
    service = either_room.serve(Slow)
    pending = either_room.client().send("slow.wait")
    service.gate.await_arrival()
    either_room.transport.close()
    with pytest.raises(TreatyError):
        pending.result()
    service.gate.open()
    await_end(service)
    assert not service.serving


def test_a_handler_that_closes_its_client_takes_it_from_nobody_else(room: Room) -> None:
    class Closing(Relay):
        def on_close(self, message: Incoming) -> Any:
            with message.client as client:
                return client.call("slow.echo", ["hi"])

    room.serve(Slow)
    room.serve(Closing)
    client = room.client()
    for _ in range(2):
        assert client.call("relay.close") == {"RETURN_DATA": "hi"}
    assert len(client.call("relay.remaining")) == 2
