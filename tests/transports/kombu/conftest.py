"""A broker for each kind, and transports that share nothing with any other test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from treaty import Transport
from treaty_kombu import connect
from treaty_kombu.embedded import embedded_redis

from .outside import AMQP, REDIS, Rabbit, Redis, reachable
from .servers import OwnRabbit, OwnRedis


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


@pytest.fixture(scope="module")
def own_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRabbit]:
    node = OwnRabbit(tmp_path_factory.mktemp("rabbit"))
    yield node
    node.stop()


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    server = OwnRedis()
    yield server
    server.kill()
