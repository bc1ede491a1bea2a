"""Redis: what nobody took comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from treaty import Transport, Unavailable

from .outside import Redis


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
