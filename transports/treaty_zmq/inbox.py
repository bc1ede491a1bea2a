"""The inbox of one service at an endpoint, and the deliveries that come out of it.

This room knows how a thread waits its turn to read the shared socket, and counts what is unsettled and what waits.
It must not know the socket or the layout of messages; the endpoint has those.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from treaty.errors import ClosedError, FrameTooLarge
from treaty.transport import Delivery, Inbox
from treaty_zmq.port import LONGEST, Waker

if TYPE_CHECKING:
    from treaty_zmq.endpoint import Endpoint


class Request(Delivery):
    """A frame that a line sent, and the way back."""

    def __init__(self, inbox: ZmqInbox, peer: bytes, frame: bytes) -> None:
        self.frame = frame
        self._inbox = inbox
        self._peer = peer
        self._settled = False

    def reply(self, frame: bytes) -> None:
        self._inbox.reply(self._peer, frame)

    def settle(self, accepted: bool = True) -> None:  # noqa: ARG002 - there is no other inbox to hand it to
        if not self._settled:
            self._settled = True
            self._inbox.settled()


class ZmqInbox(Inbox):
    """See :class:`treaty.Inbox`. Its thread reads for all inboxes of the endpoint while it is the one that leads."""

    def __init__(self, endpoint: Endpoint, service: str, capacity: int, on_close: Callable[[Inbox], None]) -> None:
        super().__init__()
        self.service = service.encode()
        self.waker = Waker()
        #: What waits: filled and emptied under the lock of the endpoint.
        self.queue: deque[tuple[bytes, bytes]] = deque()
        self._queued_bytes = 0
        self._endpoint = endpoint
        self._backlog = endpoint.settings.backlog
        self._backlog_bytes = endpoint.settings.backlog_bytes
        self._max_frame = endpoint.settings.max_frame
        self._capacity = capacity
        self._on_close = on_close
        self._unsettled = 0
        self._waiting = False
        self._turn = threading.Lock()  # for the one thread that receives
        self._follow = select.poll()
        self._follow.register(self.waker.fd, select.POLLIN)
        self._lead = select.poll()
        self._lead.register(self.waker.fd, select.POLLIN)
        self._lead.register(endpoint.fd, select.POLLIN)

    def offer(self, peer: bytes, frame: bytes) -> bool:
        """Put a request in if there is room, and wake the thread that waits for it. Lock held."""
        if len(self.queue) >= self._backlog or self._queued_bytes + len(frame) > self._backlog_bytes:
            return False
        self.queue.append((peer, frame))
        self._queued_bytes += len(frame)
        if self._waiting:
            self.waker.wake()
        return True

    @property
    def ready(self) -> bool:
        """Whether ``receive`` has something to return. Lock held."""
        return bool(self.queue) and self._unsettled < self._capacity

    def _next(self) -> Request:
        peer, frame = self.queue.popleft()
        self._queued_bytes -= len(frame)
        self._unsettled += 1
        return Request(self, peer, frame)

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        endpoint = self._endpoint
        until = 0.0
        with self._turn:
            while True:
                with endpoint.lock:
                    if until:
                        self._waiting = False
                        endpoint.leave(self)
                    if self._closed:
                        endpoint.promote()
                        raise ClosedError("closed while receiving")
                    # After a poll something is there; before it probably not, and asking costs less than failing.
                    if not (self.queue and self._unsettled < self._capacity):
                        endpoint.read(self, sure=until > 0)
                    if self.queue and self._unsettled < self._capacity:
                        endpoint.promote()
                        return self._next()
                    now = time.monotonic()
                    until = until or now + timeout
                    if until <= now:
                        endpoint.promote()
                        return None
                    self._waiting = True
                    poll = self._lead if endpoint.wait(self) else self._follow
                try:
                    poll.poll(min(until - now, LONGEST) * 1000)
                except BaseException:
                    self._interrupted()
                    raise
                if self.waker.pending:
                    self.waker.clear()

    def _interrupted(self) -> None:
        with self._endpoint.lock:
            self._waiting = False
            self._endpoint.leave(self)
            self._endpoint.promote()

    def reply(self, peer: bytes, frame: bytes) -> None:
        """Send a frame back to a peer. See :meth:`treaty.Delivery.reply`."""
        self.check()
        if len(frame) > self._max_frame:
            raise FrameTooLarge(f"{len(frame)} bytes; this transport carries {self._max_frame}")
        self._endpoint.reply(peer, frame)

    def settled(self) -> None:
        """One delivery less is unsettled."""
        if self.foreign:
            return
        with self._endpoint.lock:
            self._unsettled -= 1
            if self._waiting and self.ready:
                self.waker.wake()

    def close(self) -> None:
        if self._closed:
            return
        if self.foreign:
            self._closed = True
            return
        with self._endpoint.lock:
            if self._closed:
                return
            self._closed = True
            self._endpoint.remove(self)
            self.waker.wake()
        # The receiving thread has left in a moment. It is this one if a signal handler closes.
        left = self._turn.acquire(timeout=1)
        self.waker.close()
        if left:
            self._turn.release()
        self._on_close(self)
