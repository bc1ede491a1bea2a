"""One subscription of a client to a service's channel, shared by all who listen.

What comes in is read once and put into the box of each listener. A box that is full takes no more: its owner sees what
is missing by the sequences. This room must not know followers, models or callbacks.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

import msgspec

from treaty import Client, Notification, Subscription
from treaty.storage.records import BEAT, Beat, Notice

#: How many notices wait for a slow listener.
ROOM: Final = 1_000
News: TypeAlias = Notice | Beat
_LOG: Final = logging.getLogger("treaty.storage")


class Box:
    """Where a listener finds what came, and waits for it."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[News | None] = SimpleQueue()
        #: How often something had no room.
        self.overflowed = 0

    def put(self, news: News) -> None:
        """Add something, if there is room."""
        if self._queue.qsize() < ROOM:
            self._queue.put(news)
        else:
            self.overflowed += 1

    def wake(self) -> None:
        """Let :meth:`get` return at once."""
        self._queue.put(None)

    def get(self, timeout: float) -> News | None:
        """Wait for something; ``None`` if nothing came, or :meth:`wake` was called."""
        try:
            return self._queue.get(timeout=timeout)
        except Empty:
            return None


class Tap:
    """Subscribes when the first listener comes, and unsubscribes when the last one goes."""

    def __init__(self, client: Client, service: str) -> None:
        self._client = client
        self._service = service
        self._lock = threading.Lock()
        self._boxes: tuple[Box, ...] = ()
        self._subscription: Subscription | None = None
        self.counters: Counter[str] = Counter()

    def open(self) -> Box:
        """Return a box into which comes what is published from now on.

        Raises:
            TransportError: the publisher or broker cannot be reached.
        """
        box = Box()
        with self._lock:
            if self._subscription is None:
                self._subscription = self._client.subscribe(f"{self._service}.#", self._take)
            self._boxes = (*self._boxes, box)
        return box

    def close(self, box: Box) -> None:
        """Put nothing more into a box."""
        with self._lock:
            self._boxes = tuple(one for one in self._boxes if one is not box)
            subscription = None
            if not self._boxes:
                subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    def _take(self, notification: Notification) -> None:
        is_beat = notification.topic.partition(".")[2] == BEAT
        try:
            news: News = (
                msgspec.convert(notification.data, Beat) if is_beat else msgspec.convert(notification.data, Notice)
            )
        except msgspec.ValidationError as error:
            self.counters["unreadable"] += 1
            _LOG.warning("%s: a notification that is none of ours was ignored: %s", notification.topic, error)
            return
        for box in self._boxes:
            box.put(news)
