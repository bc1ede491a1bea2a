"""Notifications to a callback, to a loop and to an async loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from queue import SimpleQueue
from typing import Any

import pytest

from treaty import (
    ClosedError,
    ConfigurationError,
    EncodingError,
    InvalidTarget,
    Notification,
    Subscription,
    TransportError,
)
from treaty_memory import MemoryTransport

from .conftest import SECRET, Room
from .services import LIMIT, Slow


def data_of(subscription: Subscription, number: int) -> list[Any]:
    news = iter(subscription)
    return [next(news).data for _ in range(number)]


def test_a_callback_hears_what_fits_its_pattern_in_order(room: Room) -> None:
    service, heard = room.serve(Slow), SimpleQueue[Notification]()
    room.client().subscribe("slow.Host.*", heard.put)
    for topic, data in (("Host.created", 1), ("Container.created", 2), ("Host.deleted", {"id": [3]})):
        service.publish(topic, data)
    news = [heard.get(timeout=LIMIT) for _ in range(2)]
    assert [(one.topic, one.data) for one in news] == [("slow.Host.created", 1), ("slow.Host.deleted", {"id": [3]})]
    assert {one.sender for one in news} == {service.instance}


def test_a_callback_that_raises_stays_subscribed(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    service, heard = room.serve(Slow), SimpleQueue[int]()

    def callback(notification: Notification) -> None:
        heard.put(notification.data)
        raise ValueError("the callback is broken")

    room.client().subscribe("slow.#", callback)
    for number in range(3):
        service.publish("x", number)
    assert [heard.get(timeout=LIMIT) for _ in range(3)] == [0, 1, 2]
    service.publish("x", 3)
    assert heard.get(timeout=LIMIT) == 3
    assert "the callback is broken" in caplog.text


def test_a_callback_that_exits_stays_subscribed(room: Room) -> None:
    service, heard = room.serve(Slow), SimpleQueue[int]()

    def callback(notification: Notification) -> None:
        heard.put(notification.data)
        sys.exit(1)

    room.client().subscribe("slow.#", callback)
    for number in range(3):
        service.publish("x", number)
    assert [heard.get(timeout=LIMIT) for _ in range(3)] == [0, 1, 2]


def test_a_loop_yields_what_comes(room: Room) -> None:
    service = room.serve(Slow)
    subscription = room.client().subscribe("slow.#")
    for number in range(5):
        service.publish("x", number)
    assert data_of(subscription, 5) == [0, 1, 2, 3, 4]


def test_an_async_loop_yields_what_comes(room: Room) -> None:
    service = room.serve(Slow)
    subscription = room.client().subscribe("slow.#")

    async def listen() -> list[Any]:
        heard: list[Any] = []
        async for notification in subscription:
            heard.append(notification.data)
            if len(heard) == 3:
                return heard
            service.publish("x", len(heard))
        return heard

    service.publish("x", 0)
    assert asyncio.run(listen()) == [0, 1, 2]
    assert not subscription._waiters


def test_what_a_callback_is_given_is_not_iterated_as_well(room: Room) -> None:
    room.serve(Slow)
    subscription = room.client().subscribe("slow.#", lambda _: None)
    with pytest.raises(ConfigurationError, match="subscribe without one to iterate"):
        next(iter(subscription))

    async def first() -> Any:
        return await anext(aiter(subscription))

    with pytest.raises(ConfigurationError, match="subscribe without one to iterate"):
        asyncio.run(first())


def test_a_topic_is_text(room: Room) -> None:
    with pytest.raises(InvalidTarget, match="not NoneType"):
        room.serve(Slow).publish(None, 1)  # type: ignore[arg-type]


def test_every_subscriber_gets_its_own_copy(room: Room) -> None:
    service, other = room.serve(Slow), room.client()
    subscriptions = [room.client().subscribe("slow.#"), other.subscribe("slow.#"), other.subscribe("slow.x")]
    service.publish("x", 1)
    assert [data_of(subscription, 1) for subscription in subscriptions] == [[1]] * 3


def test_closing_ends_the_loops(room: Room) -> None:
    subscription = room.client().subscribe("slow.#")

    async def listen() -> list[Notification]:
        return [notification async for notification in subscription]

    ended: list[object] = []
    loops = [lambda: ended.append(list(subscription)), lambda: ended.append(asyncio.run(listen()))]
    threads = [threading.Thread(target=loop) for loop in loops]
    for thread in threads:
        thread.start()
    subscription.close()
    subscription.close()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert ended == [[], []]
    assert "closed" in repr(subscription)


def test_nothing_comes_after_close(room: Room) -> None:
    service, heard = room.serve(Slow), list[Notification]()
    subscription = room.client().subscribe("slow.#", heard.append)
    witness = room.client().subscribe("slow.#")
    subscription.close()
    service.publish("x", 1)
    assert data_of(witness, 1) == [1]
    assert heard == []


def test_a_callback_may_close_its_own_subscription(room: Room) -> None:
    service, closed = room.serve(Slow), threading.Event()

    def callback(_: Notification) -> None:
        subscription.close()
        closed.set()

    subscription = room.client().subscribe("slow.#", callback)
    service.publish("x", 1)
    assert closed.wait(LIMIT)
    assert subscription.closed


def test_a_client_closes_its_subscriptions(room: Room) -> None:
    client = room.client()
    subscription = client.subscribe("slow.#")
    client.close()
    assert subscription.closed
    assert list(subscription) == []


def test_what_is_sealed_with_another_secret_is_not_heard_and_counted(room: Room) -> None:
    service, stranger = room.serve(Slow), Slow(room.transport, secret="another secret, which is long enough")
    subscription = room.client().subscribe("slow.#")
    stranger.publish("x", "forged")
    service.publish("x", "true")
    assert data_of(subscription, 1) == ["true"]
    assert subscription.counters == {"tag": 1}


def test_the_latest_are_kept_for_who_iterates_late_and_the_rest_counted(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treaty.subscription.KEPT", 2)
    subscription = room.client().subscribe("slow.#")
    for number in range(5):
        subscription._hand_over(Notification(id=str(number), topic="slow.x", data=number, created=0, ttl=0, sender=""))
    assert data_of(subscription, 2) == [3, 4]
    assert subscription.counters == {"let go": 3}


@pytest.mark.parametrize("pattern", ["slow", "", "*.x", "Slow.x", "slow..x"])
def test_a_pattern_names_its_channel(room: Room, pattern: str) -> None:
    with pytest.raises(InvalidTarget):
        room.client().subscribe(pattern)


def test_what_cannot_be_published_is_refused(room: Room) -> None:
    service = room.serve(Slow)
    with pytest.raises(EncodingError):
        service.publish("x", object())
    with pytest.raises(InvalidTarget):
        service.publish("", 1)


def test_a_callback_is_callable(room: Room) -> None:
    with pytest.raises(TypeError):
        room.client().subscribe("slow.#", "callback")  # type: ignore[arg-type]


def test_a_subscription_goes_on_when_the_connection_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[TransportError] = []

    class Cut(MemoryTransport):
        def subscribe(self, channel: str):  # type: ignore[no-untyped-def]
            inbox = super().subscribe(channel)
            receive = inbox.receive

            def fail_first(timeout: float):  # type: ignore[no-untyped-def]
                if failures:
                    raise failures.pop()
                return receive(timeout)

            inbox.receive = fail_first  # type: ignore[method-assign]
            return inbox

    from treaty import Client

    failures.append(TransportError("cut"))
    with Cut("cut") as transport, Client(transport, secret=SECRET) as client:
        subscription = client.subscribe("slow.#")
        service = Slow(transport, secret=SECRET)
        service.publish("x", 1)
        assert data_of(subscription, 1) == [1]
        assert subscription.counters == {"connection lost": 1}
    assert "notifications may be missing" in caplog.text


def test_a_closed_client_does_not_subscribe(room: Room) -> None:
    client = room.client()
    client.close()
    with pytest.raises(ClosedError):
        client.subscribe("slow.#")
