"""What a handler is handed first."""

from __future__ import annotations

import time
from typing import Any

import pytest

from treaty import DeadlineExceeded, EncodingError, Incoming, RemoteError, Request, StatusLine

from .conftest import Room
from .services import Relay, Slow


class Host:
    """Serves nothing."""

    def __init__(self) -> None:
        self.reported: list[tuple[int, str, float | None]] = []

    def report(self, message: Incoming, code: int, reason: str, progress: float | None) -> bool:
        self.reported.append((code, reason, progress))
        return True

    def nested_client(self, message: Incoming) -> Any:
        raise AssertionError


def incoming(seconds: float = 10, host: Host | None = None) -> Incoming:
    request = Request(id="1", method="a.b", params=[], created=0, ttl=0, sender="me", headers={"x": "y"}, one_way=True)
    return Incoming(request, until=time.monotonic() + seconds, host=host or Host())


def test_it_says_what_was_asked() -> None:
    message = incoming()
    assert (message.id, message.method, message.sender, message.one_way) == ("1", "a.b", "me", True)
    assert message.headers == {"x": "y"}
    message.headers["x"] = "changed"
    assert message.headers == {"x": "y"}
    assert 9 < message.remaining <= 10


def test_time_that_has_run_out_is_a_cancellation() -> None:
    message = incoming(seconds=-1)
    assert message.cancelled and message.wait_cancelled(10)
    assert message.remaining == 0


def test_being_given_up_is_a_cancellation() -> None:
    message = incoming()
    assert not message.cancelled and not message.wait_cancelled(0)
    message.give_up()
    assert message.cancelled and message.wait_cancelled(10)


def test_a_status_goes_to_the_host() -> None:
    host = Host()
    assert incoming(host=host).status(102, "half way", progress=0.5)
    assert host.reported == [(102, "half way", 0.5)]


def test_the_status_of_the_answer_gets_its_usual_reason() -> None:
    message = incoming()
    message.set_status(404)
    assert message.status_line == StatusLine(code=404, reason="Not Found")
    message.set_status(200, "Took a while")
    assert message.status_line == StatusLine(code=200, reason="Took a while")


@pytest.mark.parametrize(
    ("code", "reason"), [(99, ""), (600, ""), (True, ""), ("200", ""), (200, 7), (200, None), (200, "\ud800")]
)
def test_a_status_that_cannot_be_read_is_refused(code: Any, reason: Any) -> None:
    with pytest.raises(EncodingError):
        incoming().set_status(code, reason)


@pytest.mark.parametrize(("name", "value"), [(1, "x"), ("x", 1), ("x", None), ("\ud800", "x"), ("x", "\ud800")])
def test_a_header_is_text(name: Any, value: Any) -> None:
    with pytest.raises(EncodingError):
        incoming().set_header(name, value)


@pytest.mark.parametrize("method", ["relay.remaining", "relay.remaining_later"])
def test_a_nested_call_has_what_is_left_of_the_time(either_room: Room, method: str) -> None:
    either_room.serve(Slow)
    either_room.serve(Relay)
    outer, nested = either_room.client(timeout=60).call(method, timeout=5)
    assert 0 < nested <= outer + 0.002  # times on the wire are whole milliseconds
    assert outer <= 5


def test_a_nested_call_ends_with_the_time_of_the_outer_one(either_room: Room) -> None:
    service = either_room.serve(Slow)
    relay = either_room.serve(Relay)
    with pytest.raises(DeadlineExceeded):
        either_room.client().call("relay.wait", timeout=0.1)
    service.gate.open()
    relay.stop()
    assert relay._client is None


def test_a_handler_may_ask_for_less_time_than_is_left(either_room: Room) -> None:
    either_room.serve(Slow)
    asking = either_room.serve(Asking)
    with pytest.raises(RemoteError, match="DeadlineExceeded") as caught:
        either_room.client().call("asking.ask", {"target": "slow.wait", "timeout": 0.05})
    assert caught.value.status_code == 504
    assert asking.serving


class Asking(Slow):
    name = "asking"
