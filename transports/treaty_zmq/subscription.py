"""A subscriber's end: joins a channel, joins again after a restart, and says when frames may be missing.

This room knows the words between subscriber and endpoint. It must not know sockets or locks; a link has those.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import NoReturn

from treaty import ConnectionLost, Delivery, Inbox, Unavailable

from .link import Link
from .wire import FULL, GAP, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE


class Note(Delivery):
    """A frame that was published. Nobody waits for an answer."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame

    def reply(self, frame: bytes) -> None:
        """Goes nowhere."""

    def settle(self, accepted: bool = True) -> None:
        """Does nothing."""


class ZmqSubscription(Inbox):
    """One channel on one connection. If that is lost, the next ``receive`` joins again and then says so."""

    def __init__(self, link: Link, channel: str, on_close: Callable[[Inbox], None]) -> None:
        super().__init__()
        self._link = link
        self._channel = channel.encode()
        self._on_close = on_close
        self._asked = False  # on the current connection
        self._joined = False  # once, on any connection

    def join(self, timeout: float) -> None:
        """Return once the endpoint holds the subscription.

        Raises:
            Unavailable: there is no endpoint within ``timeout`` seconds, or it is full.
        """
        self._step(time.monotonic() + timeout)
        if not self._joined:
            raise Unavailable(f"no endpoint to subscribe to {self._channel.decode()!r} at {self._link.url}")

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        frame = self._step(time.monotonic() + timeout)
        return None if frame is None else Note(frame)

    def _step(self, until: float) -> bytes | None:
        """Go on until there is a frame, the first acknowledgement, or no time."""
        left = max(0.0, until - time.monotonic())
        while True:
            try:
                if not self._asked:
                    self._link.send((SUBSCRIBE, self._channel), left)
                    self._asked = True
                message = self._link.receive(left)
            except ConnectionLost:
                self._asked = False
            except Unavailable:
                pass  # nobody there yet
            else:
                if message is None:
                    return None
                if len(message) == 1:
                    return message[0]
                if self._obey(message[0]):
                    return None
            left = max(0.0, until - time.monotonic())
            if left == 0.0:
                return None

    def _obey(self, word: bytes) -> bool:
        """Whether this was the first acknowledgement."""
        if word == SUBSCRIBED and not self._joined:
            self._joined = True
            return True
        if word == SUBSCRIBED:
            raise ConnectionLost("the endpoint was gone for a while; what was published meanwhile did not arrive")
        if word == GAP:
            raise ConnectionLost("frames were dropped because this subscriber did not keep up")
        if word == FULL:
            self._refused()
        return False

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
