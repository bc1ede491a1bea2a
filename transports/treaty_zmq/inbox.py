"""The inbox of one service at an endpoint, and the deliveries that come out of it.

This room knows how a thread waits its turn to read the shared socket, and counts what is unsettled and what waits.
It must not know the socket or the layout of messages; the endpoint has those.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from treaty import ClosedError, Delivery, Inbox

from .port import Sleeper, Waker

if TYPE_CHECKING:
    from .endpoint import Endpoint


class Request(Delivery):
    """A frame that a line sent, and the way back."""

    def __init__(self, inbox: ZmqInbox, peer: bytes, frame: bytes) -> None:
        self.frame = frame
        self.peer = peer
        self._inbox = inbox
        self._settled = False

    def reply(self, frame: bytes) -> None:
        self._inbox.check()
        self._inbox.endpoint.reply(self.peer, frame)

    def settle(self, accepted: bool = True) -> None:  # noqa: ARG002 - there is no other inbox to hand it to
        if not self._settled:
            self._settled = True
            self._inbox.settled()


class ZmqInbox(Inbox):
    """See :class:`treaty.Inbox`. Its thread reads for all inboxes of the endpoint while it is the one that leads.

    What is public here beside the interface belongs to the endpoint, which touches it under its lock.
    """

    def __init__(self, endpoint: Endpoint, service: str, capacity: int, on_close: Callable[[Inbox], None]) -> None:
        super().__init__()
        self.service = service.encode()
        self.endpoint = endpoint
        self.waker = Waker()
        self.queue: deque[Request] = deque()
        #: How many more deliveries may be unsettled.
        self.room = capacity
        self._bytes = 0  # in the queue
        self._waits_for: dict[bytes, int] = {}  # how many requests of each peer are in the queue
        self._share = max(1, endpoint.settings.backlog // 4)  # so that one peer cannot take all the space
        self._settings = endpoint.settings
        self._on_close = on_close
        self._waiting = False
        self._flowing = False  # whether the last request was there without waiting for it
        self._turn = threading.Lock()  # for the one thread that receives
        self._follow = Sleeper(0)
        self._follow.watch(self.waker.fd)
        self._lead = Sleeper(endpoint.settings.spin)
        self._lead.watch(self.waker.fd)
        self._lead.watch(endpoint.fd)

    def offer(self, peer: bytes, frame: bytes) -> bool:
        """Put a request in if there is space, and wake the thread that waits for it."""
        size = self._bytes + len(frame)
        if len(self.queue) >= self._settings.backlog or size > self._settings.backlog_bytes:
            return False
        waiting = self._waits_for.get(peer, 0)
        if waiting >= self._share:
            return False
        self._waits_for[peer] = waiting + 1
        self.queue.append(Request(self, peer, frame))
        self._bytes = size
        if self._waiting:
            self.waker.wake()
        return True

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        endpoint = self.endpoint
        until = 0.0
        with self._turn:
            while True:
                with endpoint.lock:
                    if until:
                        self._waiting = False
                        endpoint.leave(self)
                    # After a poll something is there, and after a message there is often another one. Otherwise asking
                    # costs less than failing.
                    if not (self.queue and self.room > 0):
                        endpoint.read(self, sure=until > 0 or self._flowing)
                        self._flowing = not until and bool(self.queue)
                    now = time.monotonic()
                    ready = self.queue and self.room > 0
                    if ready:
                        endpoint.pace.took()
                    elif not until:
                        endpoint.pace.waits()
                    until = until or now + timeout
                    if ready or self._closed or until <= now:
                        endpoint.promote()
                        return self._next()
                    self._waiting = True
                    sleep = self._lead if endpoint.wait(self) else self._follow
                try:
                    sleep.wait(until - now)
                except BaseException:
                    with endpoint.lock:
                        self._waiting = False
                        endpoint.leave(self)
                        endpoint.promote()
                    raise
                if self.waker.pending:
                    self.waker.clear()

    def _next(self) -> Request | None:
        if self._closed:
            raise ClosedError("closed while receiving")
        if not (self.queue and self.room > 0):
            return None
        request = self.queue.popleft()
        self._bytes -= len(request.frame)
        if self._waits_for[request.peer] > 1:
            self._waits_for[request.peer] -= 1
        else:
            del self._waits_for[request.peer]
        self.room -= 1
        return request

    def settled(self) -> None:
        """One delivery less is unsettled."""
        if self.foreign:
            return
        with self.endpoint.lock:
            self.room += 1
            if self._waiting and self.queue:
                self.waker.wake()

    def close(self) -> None:
        if self._closed:
            return
        if self.foreign:
            self._closed = True
            return
        with self.endpoint.lock:
            if self._closed:
                return
            self._closed = True
            self.endpoint.remove(self)
            self.waker.wake()
        # The receiving thread has left in a moment. It is this one if a signal handler closes.
        left = self._turn.acquire(timeout=1)
        self.waker.close()
        if left:
            self._turn.release()
        self._on_close(self)
