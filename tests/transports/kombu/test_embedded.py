"""The embedded broker."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import treaty_kombu.embedded
from treaty import MissingExtra, Unavailable
from treaty_kombu.embedded import embedded_redis
from treaty_kombu.redis_wire import Broker
from treaty_kombu.settings import read_url

from .outside import eventually, reachable


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
