"""What an address of ZeroMQ may look like, and what the settings may be."""

from __future__ import annotations

import pytest

from treaty import (
    ConfigurationError,
    InvalidURL,
)
from treaty_zmq import connect, parse

from .ends import TCP


@pytest.mark.parametrize(
    "url",
    [
        "zmq+tcp://127.0.0.1",
        "zmq+tcp://:5555",
        "zmq+tcp://h:70000",
        "zmq+tcp://h:1/path",
        "zmq+ipc://relative",
        "zmq+ipc:///",
        "zmq+inproc://",
        "zmq+udp://h:1",
        "tcp://h:1",
        "",
    ],
)
def test_a_malformed_url_says_what_to_write(url: str) -> None:
    with pytest.raises(InvalidURL, match=r"write .*zmq\+"):
        connect(url)


def test_what_may_be_a_password_is_not_repeated() -> None:
    with pytest.raises(InvalidURL, match="no users and no passwords") as caught:
        connect("zmq+tcp://user:hunter2@127.0.0.1:5")
    assert "hunter2" not in str(caught.value)


def test_a_path_that_no_socket_can_have_is_refused() -> None:
    assert parse("zmq+ipc:///" + "x" * 106).scheme == "ipc"
    with pytest.raises(InvalidURL, match=r"108 bytes.*107"):
        connect("zmq+ipc:///" + "x" * 107)


@pytest.mark.parametrize("options", [{"lingr": 1}, {"linger": -1}, {"linger": "1"}, {"queue": 0}, {"max_frame": 1.5}])
def test_a_wrong_option_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        connect(TCP, **options)
