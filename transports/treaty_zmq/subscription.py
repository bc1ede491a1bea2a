"""A subscriber's end: joins a channel, joins again after a restart, and says when frames may be missing.

This room knows the words between subscriber and endpoint. It must not know sockets or locks; a link has those.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import NoReturn

from treaty.errors import ConnectionLost, Unavailable
from treaty.transport import Delivery, Inbox
from treaty_zmq.link import Link
from treaty_zmq.wire import FULL, GAP, HELLO, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE


class Note(Delivery):
    """A frame that was published. Nobody waits for an answer."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame

    def reply(self, frame: bytes) -> None:
        """Goes nowhere."""

    def settle(self, accepted: bool = True) -> None:
        """Does nothing."""


class ZmqSubscription(Inbox):
    """One channel on one connection. The link must announce itself.

    Each new connection is greeted by the endpoint, so a second greeting means that the first connection is gone, and
    with it the subscription.
    """

    def __init__(self, link: Link, channel: str, on_close: Callable[[Inbox], None]) -> None:
        super().__init__()
        self._link = link
        self._channel = channel.encode()
        self._on_close = on_close
        self._joined = False

    def join(self, timeout: float) -> None:
        """Return once the endpoint holds the subscription.

        Raises:
            Unavailable: there is no endpoint within ``timeout`` seconds, or it is full.
        """
        until = time.monotonic() + timeout
        while not self._joined:
            message = self._link.receive(max(0.0, until - time.monotonic()))
            if message is None:
                raise Unavailable(f"no endpoint to subscribe to {self._channel.decode()!r} at")
            if len(message) > 1:
                self._obey(message[0])

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        until = time.monotonic() + timeout
        left = timeout
        while (message := self._link.receive(left)) is not None:
            if len(message) == 1:
                return Note(message[0])
            self._obey(message[0])
            left = max(0.0, until - time.monotonic())
        return None

    def _obey(self, word: bytes) -> None:
        if word == HELLO:
            with contextlib.suppress(Unavailable):  # gone again: the next connection is greeted as well
                self._link.send((SUBSCRIBE, self._channel), 0)
        elif word == SUBSCRIBED and not self._joined:
            self._joined = True
        elif word == SUBSCRIBED:
            raise ConnectionLost("the endpoint was gone for a while; what was published meanwhile did not arrive")
        elif word == GAP:
            raise ConnectionLost("frames were dropped because this subscriber did not keep up")
        elif word == FULL:
            self._refused()

    def _refused(self) -> NoReturn:
        text = "the endpoint holds as many subscriptions as it may"
        raise ConnectionLost(text) if self._joined else Unavailable(text)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self.foreign:
            with contextlib.suppress(Exception):  # a courtesy: the endpoint also notices by itself
                self._link.send((UNSUBSCRIBE, self._channel), 0)
            self._link.close()
            self._on_close(self)
