"""Redis: subscriptions."""

from __future__ import annotations

from collections.abc import Callable

from treaty import ConnectionLost, Transport

from .outside import Redis, losses


def test_a_redis_subscriber_subscribes_again(redis_broker: Redis, make: Callable[..., Transport]) -> None:
    transport = make(redis_broker.url)
    with transport.subscribe("news") as feed:
        redis_broker.sever(feed.link._pubsub.connection._sock)  # type: ignore[attr-defined]
        assert losses(feed.receive) == [ConnectionLost]
        transport.publish("news", b"n")
        notice = feed.receive(5)
        assert notice is not None
        assert notice.frame == b"n"
