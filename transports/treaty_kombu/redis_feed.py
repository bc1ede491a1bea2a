"""Redis: the subscriber of a channel, on a connection of its own.

``open`` waits for the server's word that it is subscribed: kombu's own consumers only send the command, and keep the
books of all subscriptions of a process in one place. It must not know what is inside a frame.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final, NoReturn

from treaty import ClosedError, ConnectionLost, TransportError, Unavailable

from .envelope import unpack
from .link import Arrived, Link, Role, log, text
from .redial import Redial
from .redis_wire import Broker, be_patient
from .settings import Settings

#: How often a reader looks up from the socket, in case nothing else tells it that the end was closed.
_LOOK: Final = 0.25


class RedisFeed(Link):
    """A subscription."""

    def __init__(self, settings: Settings, role: Role) -> None:
        super().__init__(settings, role)
        self._topic = f"/{settings.path}.{settings.channel_exchange(role.name)}"
        self._wake = settings.own_name("wake", self.token)
        self._receiving = threading.Lock()  # held while somebody is inside receive, or closes
        self._closing = self._closed = False
        self._broker: Broker | None = None
        self._pubsub: Any = None
        self._heard_at = self._asked_at = 0.0
        self._news = threading.Event()  # an attempt to connect has ended, or the end is closed
        self._redial = Redial(settings.shown, self._connect_again, self._news.set)

    def open(self) -> None:
        self._subscribe(self.settings.connect_timeout)

    def _subscribe(self, timeout: float) -> None:
        """Connect, and return when the server has confirmed both subscriptions. Raises ``Unavailable``."""
        deadline = time.monotonic() + max(_LOOK, min(timeout, self.settings.io_timeout))
        broker = Broker(self.settings, timeout)
        pubsub: Any = broker.channel.client.pubsub()
        try:
            pubsub.subscribe(self._topic, self._wake)
            be_patient(pubsub.connection, self.settings)
            missing = 2
            while missing:
                message = pubsub.get_message(timeout=max(0.0, deadline - time.monotonic()))
                if message is None:
                    raise TimeoutError("no answer in time")  # noqa: TRY301 - handled like the driver's own
                missing -= message["type"] == "subscribe"
        except Exception as error:
            pubsub.close()
            broker.close()
            raise Unavailable(f"cannot subscribe on {self.settings.shown}: {text(error)}") from error
        self._heard_at = self._asked_at = time.monotonic()
        self._broker, self._pubsub = broker, pubsub  # in this order: who receives looks at the last

    def _connect_again(self) -> None:
        self._subscribe(self.settings.connect_timeout)
        if self._closing:  # whoever closes may not have waited for this
            self._drop()

    def _drop(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        broker, self._broker = self._broker, None
        if pubsub is not None:
            pubsub.close()
        if broker is not None:
            broker.close()

    def receive(self, timeout: float) -> Arrived | None:
        deadline = time.monotonic() + timeout
        with self._receiving:
            while True:
                if self._closing:
                    raise ClosedError("closed while waiting")
                left = max(0.0, deadline - time.monotonic())
                if self._pubsub is not None:
                    arrived = self._next(min(left, _LOOK))
                    if arrived is not None:
                        return arrived
                else:
                    self._news.wait(min(self._redial.begin(), left))
                    self._news.clear()
                if time.monotonic() >= deadline:
                    return None

    def _next(self, timeout: float) -> Arrived | None:
        try:
            message = self._pubsub.get_message(timeout=timeout)
            now = time.monotonic()
            if message is not None:
                self._heard_at = self._asked_at = now
            elif now - self._asked_at > self.settings.io_timeout:
                if self._asked_at > self._heard_at:
                    raise TimeoutError("the server has gone silent")  # noqa: TRY301 - handled like the driver's own
                self._pubsub.ping()
                self._asked_at = now
        except Exception as error:
            self._drop()
            if self._closing:
                raise ClosedError("closed while waiting") from error
            raise ConnectionLost(f"the connection to {self.settings.shown} broke: {text(error)}") from error
        if message is None or message["type"] != "message" or message["channel"] != self._topic.encode():
            return None
        arrived = unpack(message["data"], self.settings.max_frame)
        if arrived is None:
            log.warning("a foreign message in %s was thrown away", self._topic)
        return arrived

    def settle(self, arrived: Arrived, accepted: bool) -> None:
        pass  # a copy is ours alone

    def send(self, service: str, frame: bytes, timeout: float) -> NoReturn:
        raise NotImplementedError  # a subscription is never asked to

    def reply(self, address: str, frame: bytes) -> None:
        pass  # the way back from a notification leads nowhere

    def publish(self, channel: str, frame: bytes) -> NoReturn:
        raise NotImplementedError  # a subscription is never asked to

    def close(self) -> None:
        if self._closed:
            return
        self._closing = True
        self._news.set()
        self._redial.stop()
        broker = self._broker
        if broker is not None and self._receiving.locked():
            try:
                broker.wire(_LOOK).ask(_LOOK, ("PUBLISH", self._wake, b""), least=_LOOK)
            except (TransportError, OSError) as error:
                log.debug("closing: %s", error)
        with self._receiving:
            if not self._redial.trying:
                self._drop()
        self._closed = True

    def abandon(self) -> None:
        # The driver shuts a socket down only in the process that opened it; here it closes our copies.
        if self._broker is not None:
            self._broker.pool.disconnect()
