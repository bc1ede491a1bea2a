"""What a URL and its options mean, and that no password leaves."""

from __future__ import annotations

import logging

import pytest

from treaty import InvalidURL, Unavailable
from treaty_kombu import connect
from treaty_kombu.settings import read_url


@pytest.mark.parametrize(
    "url",
    [
        "kombu+redis://",
        "kombu+redis://host/name",
        "kombu+redis://host:port/0",
        "kombu+amqp://user:pass#word@host/",
        "kombu+memory://",
        "kombu+memory://a/b",
        "kombu+memory://Not-A-Token!",
        "kombu+sqs://queue",
        "kombu+redis://host/0?colour=blue",
        "kombu+redis://host/0?expires=soon",
        "kombu+redis://host/0?expires=0",
        "kombu+redis://host/0?expires=1e17",
        "kombu+redis://host/0?io_timeout=1e300",
        "kombu+amqp://host/?heartbeat=70000",
        "kombu+redis://host/0?prefix=a.b",
        "kombu+redis://host/0?prefix=",
        "kombu+redis://host/0?ca=",
        "kombu+redis://host/0?prefix=a&prefix=b",
        "kombu+amqp://host/%ff",
        "kombu+amqp://user:%ff@host/",
    ],
)
def test_a_url_that_cannot_be_read_says_what_to_write(url: str) -> None:
    with pytest.raises(InvalidURL, match=r"kombu\+|option|prefix"):
        connect(url)


def test_options_may_stand_in_the_url() -> None:
    settings = read_url("kombu+amqp://u%40x:p%2Fw@h:1/a%2Fb?prefix=shop&expires=2.5&max_queued=7")
    assert (settings.user, settings.password, settings.port, settings.path) == ("u@x", "p/w", 1, "a/b")
    assert (settings.prefix, settings.expires, settings.max_queued) == ("shop", 2.5, 7)


@pytest.mark.parametrize("scheme", ["kombu+rediss", "kombu+amqps"])
def test_tls_without_a_check_of_the_other_end_is_refused(scheme: str) -> None:
    with pytest.raises(InvalidURL, match="insecure=True"):
        connect(f"{scheme}://host/0")
    with pytest.raises(InvalidURL, match="no file"):
        connect(f"{scheme}://host/0", ca="/does/not/exist")
    connect(f"{scheme}://host/0", insecure=True).close()


@pytest.mark.parametrize("scheme", ["kombu+redis", "kombu+amqp"])
def test_the_password_is_in_no_text(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    transport = connect(f"{scheme}://me:hunter2@127.0.0.1:1/0", connect_timeout=0.5)
    line = transport.dial()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as caught:
        line.send("echo", b"x", 1)
    transport.close()
    shown = f"{transport!r} {transport.settings!r} {caught.value} {caught.value.__cause__} {caplog.text}"
    assert "hunter2" not in shown
    assert "me:***@" in shown
    with pytest.raises(InvalidURL) as invalid:
        connect(f"{scheme}://me:hunter2@host:port/0")
    assert "hunter2" not in f"{invalid.value} {invalid.value.__cause__}"
