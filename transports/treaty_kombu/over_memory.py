"""kombu's broker in memory: for threads of one process, in development and in tests.

A hub stands for one broker; all transports of one name share it. It wakes its readers itself, since kombu's own would
only look every so often, and takes everything of its name back out of kombu's books when the last end has gone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from queue import Empty
from typing import Any, Final

from treaty import ClosedError, Guarantees, Unavailable

from .link import CONTENT_TYPE, Arrived, Link, Role, driver, log
from .settings import Settings


def guarantees(settings: Settings) -> Guarantees:
    """What holds in memory; the README says why."""
    return Guarantees(
        crosses_processes=False,
        notifications=True,
        competing_workers=True,
        ordered=True,
        notices_absence=0.1,
        survives_restart=False,
        redelivers=False,
        max_frame=settings.max_frame,
    )


class _Hub:
    """One broker. Its lock guards everything in it; kombu's queues in memory know no locks of their own."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        # Its lock is what blocks hold: that is one step, which no interruption leaves half done.
        self.lock: Final = threading.RLock()
        self.changed: Final = threading.Condition(self.lock)
        self.serving: Final[Counter[str]] = Counter()
        #: The queues of each channel's subscribers. An exchange of kombu's would never forget those that have gone.
        self.feeds: Final[dict[str, set[str]]] = {}
        #: Requests that nobody took before the last inbox went, of each line that is there, by its address.
        self.returned: Final[dict[str, deque[bytes]]] = {}
        self.users = 0
        self._driver: Final = driver("memory")
        self._channel: Final[Any] = self._driver.create_channel(self._driver)
        self._queues: Final[set[str]] = set()

    def put(self, name: str, frame: bytes, reply_to: str = "") -> None:
        """Add a message to a queue, if there is one."""
        full = f"{self.name}.{name}"
        if full not in self._queues:
            return
        message = self._channel.prepare_message(
            frame, content_type=CONTENT_TYPE, content_encoding="binary", properties={"reply_to": reply_to}
        )
        self._channel.basic_publish(message, exchange="", routing_key=full)
        self.changed.notify_all()

    def take(self, name: str) -> Arrived | None:
        """The next message of a queue that is one of ours."""
        try:
            while message := self._channel.basic_get(f"{self.name}.{name}", no_ack=True):
                if message.content_type == CONTENT_TYPE:
                    return Arrived(bytes(message.body), message.properties.get("reply_to") or "")
                log.warning("a foreign message in %s was thrown away", name)
        except Empty:
            pass
        return None

    def give_back(self, name: str) -> None:
        """Return the requests in a queue that nobody serves any more to those who sent them."""
        while f"{self.name}.{name}" in self._queues and (arrived := self.take(name)):
            if arrived.reply_to in self.returned:
                self.returned[arrived.reply_to].append(arrived.frame)
        self.changed.notify_all()

    def add(self, name: str) -> None:
        """Make a queue."""
        self._queues.add(f"{self.name}.{name}")
        self._channel.queue_declare(f"{self.name}.{name}")

    def remove(self, name: str) -> None:
        """Delete a queue. Kombu itself deletes those only that are bound to an exchange."""
        self._queues.discard(f"{self.name}.{name}")
        self._channel.queues.pop(f"{self.name}.{name}", None)

    def clear(self) -> None:
        """Take everything back out of kombu's books, which outlive us."""
        for full in list(self._queues):
            self.remove(full.removeprefix(f"{self.name}."))
        self._driver.close_connection(self._driver)


_hubs: Final[dict[str, _Hub]] = {}
_hubs_lock: Final = threading.Lock()


def _join(name: str) -> _Hub:
    with _hubs_lock:
        hub = _hubs.get(name) or _hubs.setdefault(name, _Hub(name))
        hub.users += 1
        return hub


def _leave(hub: _Hub) -> None:
    with _hubs_lock:
        hub.users -= 1
        if not hub.users:
            del _hubs[hub.name]
            hub.clear()


class MemoryLink(Link):
    """An end on a broker in memory."""

    def __init__(self, settings: Settings, role: Role) -> None:
        super().__init__(settings, role)
        self._queue = self.address
        if role.kind == "work":
            self._queue = settings.service_queue(role.name)
        elif role.kind == "feed":
            self._queue = settings.own_name("feed", self.token)
        self._hub: Final = _join(f"{settings.host}.{settings.prefix}")
        self._unsettled = 0
        self._returned: Final[deque[bytes]] = deque()
        self._closing = False

    def open(self) -> None:
        with self._hub.lock:
            if self._queue:
                self._hub.add(self._queue)
            if self.role.kind == "work":
                self._hub.serving[self.role.name] += 1
            elif self.role.kind == "replies":
                self._hub.returned[self.address] = self._returned
            elif self.role.kind == "feed":
                self._hub.feeds.setdefault(self.role.name, set()).add(self._queue)

    def send(self, service: str, frame: bytes, timeout: float) -> None:  # noqa: ARG002 - there is always room
        queue = self.settings.service_queue(service)
        with self._hub.lock:
            if not self._hub.serving[service]:
                raise Unavailable(f"nobody serves {service!r} on {self.settings.shown}")
            self._hub.put(queue, frame, self.address)

    def reply(self, address: str, frame: bytes) -> None:
        with self._hub.lock:
            self._hub.put(address, frame)

    def publish(self, channel: str, frame: bytes) -> None:
        with self._hub.lock:
            for queue in self._hub.feeds.get(channel, ()):
                self._hub.put(queue, frame)

    def receive(self, timeout: float) -> Arrived | None:
        deadline = time.monotonic() + timeout
        with self._hub.lock:
            while not self._closing:
                if self._returned:
                    raise Unavailable("nobody serves this any more", frame=self._returned.popleft())
                arrived = self._hub.take(self._queue) if self._has_place() else None
                if arrived is not None:
                    self._unsettled += 1
                    return arrived
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._hub.changed.wait(left)
        raise ClosedError("closed while waiting")

    def _has_place(self) -> bool:
        return self.role.kind != "work" or self._unsettled < self.role.capacity

    def settle(self, arrived: Arrived, accepted: bool) -> None:
        with self._hub.lock:
            self._unsettled -= 1
            if not accepted and self.role.kind == "work":
                self._hub.put(self._queue, arrived.frame, arrived.reply_to)
                self._unserved()
            self._hub.changed.notify_all()

    def _unserved(self) -> None:
        """Let nothing wait in the queue of a service that has gone. What is sent later is refused."""
        if not self._hub.serving[self.role.name]:
            self._hub.give_back(self._queue)

    def close(self) -> None:
        with self._hub.lock:
            if self._closing:
                return
            self._closing = True
            self._hub.changed.notify_all()
            if self.role.kind == "work":
                self._hub.serving[self.role.name] -= 1
                self._unserved()
            elif self._queue:
                self._hub.returned.pop(self.address, None)
                self._hub.feeds.get(self.role.name, set()).discard(self._queue)
                self._hub.remove(self._queue)
        _leave(self._hub)

    def abandon(self) -> None:
        self._closing = True  # our copy of the hub holds no descriptor


LINK: Final = MemoryLink
