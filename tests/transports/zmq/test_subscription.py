"""Notifications: who publishes, who subscribes, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treaty import (
    ConnectionLost,
    Inbox,
    Unavailable,
)
from treaty_zmq import ZmqTransport, connect

from .ends import PATIENCE, TCP, eventually, must, resources


def test_subscribing_where_nobody_is_says_so() -> None:
    before = resources()
    with connect("zmq+inproc://nobody", connect_timeout=0.05) as transport, pytest.raises(Unavailable):
        transport.subscribe("news")
    assert resources() == before


def test_whoever_publishes_it_reaches_all_subscribers_once(url: str) -> None:
    with connect(url) as owner, owner.serve("svc"), connect(owner.url) as one, connect(owner.url) as two:
        subscriptions = [one.subscribe("news"), two.subscribe("news"), owner.subscribe("news"), one.subscribe("other")]
        owner.publish("news", b"1")
        assert [must(s).frame for s in subscriptions[:3]] == [b"1"] * 3
        two.publish("news", b"2")
        assert [must(s).frame for s in subscriptions[:3]] == [b"2"] * 3
        two.publish("other", b"fence")
        assert must(subscriptions[3]).frame == b"fence"


def test_who_publishes_first_owns_a_free_endpoint_but_a_client_never_does(url: str) -> None:
    with connect(url) as publisher:
        publisher.publish("news", b"nobody listens")
        with connect(publisher.url, connect_timeout=0.5) as client, client.subscribe("news") as subscription:
            publisher.publish("news", b"1")
            assert must(subscription).frame == b"1"
            publisher.close()
            assert eventually(lambda: refuses(client))
            with connect(client.url) as service, service.serve("svc"):
                pass


def refuses(client: ZmqTransport) -> bool:
    try:
        client.publish("news", b"x")
    except Unavailable:
        return True
    return False


def test_a_subscriber_notices_a_restart_once_and_is_subscribed_again(url: str) -> None:
    with connect(url) as owner:
        inbox = owner.serve("svc")
        with connect(owner.url) as other, other.subscribe("news") as subscription:
            owner.publish("news", b"before")
            assert must(subscription).frame == b"before"
            for turn in range(2):
                inbox.close()
                inbox = owner.serve("svc")
                with pytest.raises(ConnectionLost):
                    subscription.receive(PATIENCE)
                owner.publish("news", b"%d" % turn)
                assert must(subscription).frame == b"%d" % turn
        inbox.close()


def test_a_slow_subscriber_learns_of_the_gap_and_delays_nobody(url: str) -> None:
    with (
        connect(url, queue=10) as owner,
        owner.serve("svc"),
        connect(owner.url, queue=10) as other,
        other.subscribe("news") as slow,
        other.subscribe("news") as quick,
    ):
        for number in range(200):
            owner.publish("news", b"%03d" % number + b"x" * 50_000)
            assert must(quick).frame[:3] == b"%03d" % number
        got = list[bytes]()
        with pytest.raises(ConnectionLost, match="keep up"):
            got.extend(must(slow).frame[:3] for _ in range(200))
        assert 0 < len(got) < 200
        assert got == [b"%03d" % number for number in range(len(got))]
        owner.publish("news", b"after")
        assert must(quick).frame == b"after"
        assert last_of(slow, lambda: owner.publish("news", b"after")) == b"after"


def last_of(inbox: Inbox, publish: Callable[[], None]) -> bytes:
    """What comes after any number of gaps, in each of which it may be lost itself."""
    while True:
        try:
            frame = must(inbox).frame
        except ConnectionLost:
            publish()
        else:
            if len(frame) < 1_000:
                return frame


def test_an_endpoint_holds_a_bounded_number_of_subscriptions_and_forgets_the_dead() -> None:
    with connect(TCP, max_subscriptions=2) as owner, owner.serve("svc"), connect(owner.url) as other:
        first, _second = other.subscribe("a"), other.subscribe("b")
        with pytest.raises(Unavailable, match="as many"):
            other.subscribe("c")
        first.close()

        def again() -> bool:
            try:
                other.subscribe("c")
            except Unavailable:
                return False
            return True

        assert eventually(again)


def test_who_subscribes_where_nobody_is_hears_where_that_was() -> None:
    with (
        connect("zmq+tcp://127.0.0.1:1", connect_timeout=0.05) as transport,
        pytest.raises(Unavailable, match=r"to subscribe to 'news' at zmq\+tcp://127\.0\.0\.1:1"),
    ):
        transport.subscribe("news")
