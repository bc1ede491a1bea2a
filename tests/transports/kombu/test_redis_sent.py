"""Redis: what nobody took comes back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from treaty import Client, Transport, Unavailable
from treaty_kombu.redis_sent import ASK_EVERY
from treaty_kombu.settings import read_url

from .far import Far
from .outside import Redis, eventually


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


def test_what_is_taken_back_comes_in_pieces_that_fit_into_a_receive(
    redis_broker: Redis, make: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no time for more goes on next time, at once: large requests come here and go back to be removed."""
    monkeypatch.setattr("treaty_kombu.redis_sent._BYTES", 1)
    transport = make(redis_broker.url)
    returned = []
    with transport.dial() as line:
        with transport.serve("echo"):
            for number in range(5):
                line.send("echo", b"%d" % number, 5)

        def all_came() -> bool:
            try:
                assert line.receive(0) is None
            except Unavailable as error:
                returned.append(error.frame)
                assert not line.link._sent.returned  # type: ignore[attr-defined]
            return len(returned) == 5

        eventually(all_came)
    assert sorted(map(str, returned)) == [str(b"%d" % number) for number in range(5)]


def test_looking_after_what_was_sent_costs_no_connection_to_a_far_server(
    redis_broker: Redis, make: Callable[..., Transport]
) -> None:
    settings = read_url(redis_broker.url)
    with (
        make(redis_broker.url).serve("echo"),
        closing(Far((settings.host, settings.port), 0.2)) as far,
        make(redis_broker.url.replace(f":{settings.port}", f":{far.port}")) as transport,
        transport.dial() as line,
    ):
        line.send("echo", b"x", 5)
        made = far.accepted
        until = time.monotonic() + 2.5 * ASK_EVERY
        while time.monotonic() < until:
            assert line.receive(0.05) is None
        line.send("echo", b"y", 5)
        assert far.accepted == made


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


def test_it_comes_back_as_soon_to_whoever_receives_in_slices(
    redis_broker: Redis, make: Callable[..., Transport]
) -> None:
    """A client reads in slices of 0.05 s: when it is time to look does not depend on how long one receive may wait."""
    transport = make(redis_broker.url)
    with transport.dial() as line:
        with transport.serve("echo"):
            line.send("echo", b"left", 5)
        absence = transport.guarantees.notices_absence
        assert absence is not None
        deadline = time.monotonic() + absence
        with pytest.raises(Unavailable) as caught:
            while time.monotonic() < deadline:
                assert line.receive(0.05) is None
        assert caught.value.frame == b"left"


def test_calls_left_by_a_service_that_stops_end_as_unavailable(
    redis_broker: Redis, make: Callable[..., Transport]
) -> None:
    transport = make(redis_broker.url)
    with Client(transport, secret="s" * 32) as client:
        with transport.serve("echo"):
            pending = client.send("echo.any", timeout=20)
            eventually(lambda: pending.call and pending.call.sent)
        with pytest.raises(Unavailable, match="not executed"):
            pending.result(transport.guarantees.notices_absence)


def test_a_look_is_rare(redis_broker: Redis, make: Callable[..., Transport]) -> None:
    """It costs a round trip, and a client that is busy receives thousands of times a second."""
    with make(redis_broker.url) as transport, transport.dial() as line, transport.serve("echo"):
        line.send("echo", b"x", 5)
        asking: Any = line.link._asking  # type: ignore[attr-defined]
        asked: list[object] = []
        ask = asking.ask

        def counting(*what: Any, **more: Any) -> Any:
            asked.append(what)
            return ask(*what, **more)

        asking.ask = counting
        started = time.monotonic()
        for _ in range(200):
            assert line.receive(0.001) is None
        assert len(asked) <= 2 + (time.monotonic() - started) / ASK_EVERY
