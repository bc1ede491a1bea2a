"""RabbitMQ: what is declared on a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import amqp
import pytest

from treaty import Transport

from .outside import Rabbit


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
