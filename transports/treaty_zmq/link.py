"""One DEALER connected to an endpoint: any thread sends, one thread at a time waits for what comes.

This room knows locks, descriptors and reconnecting. It must not know what the messages mean.

No thread serves the socket. The waiting thread polls its descriptor without holding the lock; every other operation
runs under the lock, does not block, and wakes the waiting thread if it may have taken the descriptor's signal.
"""

from __future__ import annotations

import select
import threading
import time
from typing import Final

import zmq

from treaty.errors import ClosedError, Unavailable
from treaty_zmq.address import Address
from treaty_zmq.contexts import Contexts
from treaty_zmq.names import NAMES
from treaty_zmq.port import LONGEST, Port, Sent, Waker
from treaty_zmq.settings import Settings

#: Seconds between two looks of a sender that waits for a connection or for room. Another thread may take the signal.
_LOOK: Final = 0.01


class Link:
    """A connection that is made again whenever it breaks.

    ``announce`` makes each new connection known to the endpoint by an empty message ahead of everything else.
    """

    def __init__(self, address: Address, settings: Settings, contexts: Contexts, *, announce: bool = False) -> None:
        self._address = address
        self._patience = settings.connect_timeout
        self._contexts = contexts
        self._lock = threading.Lock()  # for the socket
        self._turn = threading.Lock()  # for the one thread that receives
        self._waiting = False
        self._closed = False
        self._binding = 0  # the one of an inproc name that we are connected to
        self._waker = Waker()
        self._port = Port(contexts.take(), zmq.DEALER, settings, ipv6=address.ipv6)
        self._port.socket.immediate = True  # nothing is queued for a peer that is not there
        self._port.socket.probe_router = announce
        self._poll = select.poll()
        self._poll.register(self._port.fd, select.POLLIN)
        self._poll.register(self._waker.fd, select.POLLIN)
        self._named = address.scheme == "inproc"
        if self._named:
            NAMES.watch(self._waker)
        else:
            self._port.socket.connect(address.to_connect())

    def send(self, parts: tuple[bytes, ...], timeout: float) -> None:
        """Send a message, if need be once there is a connection with room.

        Args:
            parts: at least one.
            timeout: seconds to wait, at most the ``connect_timeout`` of the settings. 0 never blocks.

        Raises:
            Unavailable: nothing was sent, and nothing will be.
            ClosedError: closed before it was sent.
        """
        until = 0.0
        while True:
            with self._lock:
                if self._closed:
                    raise ClosedError("closed while sending")
                try:
                    if (not self._named or self._join()) and self._port.put(*parts) is Sent.DONE:
                        return
                finally:
                    if self._waiting and self._port.readable():
                        self._waker.wake()
            now = time.monotonic()
            until = until or now + min(timeout, self._patience)
            if until <= now:
                raise Unavailable(f"nobody takes messages at {self._address.url}")
            room = select.poll()  # one of its own: several threads may be here
            room.register(self._port.fd, select.POLLIN)
            room.poll(min(until - now, _LOOK) * 1000)

    def _join(self) -> bool:
        self._binding = NAMES.connect(self._address.rest, self._port.socket, self._binding)
        return self._binding != 0

    def receive(self, timeout: float) -> list[bytes] | None:
        """Return the parts of the next message, or ``None`` after ``timeout`` seconds. 0 never blocks.

        Raises:
            ClosedError: closed, before or while waiting.
        """
        until = 0.0
        with self._turn:
            while True:
                with self._lock:
                    if self._closed:
                        raise ClosedError("closed while receiving")
                    # After a poll something is there; before it probably not, and asking costs less than failing.
                    if until or self._port.readable():
                        message = self._port.take()
                        if message is not None:
                            return message
                    if self._named and self._join() and self._port.readable():
                        return self._port.take()
                    now = time.monotonic()
                    until = until or now + timeout
                    if until <= now:
                        return None
                    self._waiting = True
                try:
                    self._poll.poll(min(until - now, LONGEST) * 1000)
                finally:
                    self._waiting = False
                if self._waker.pending:
                    self._waker.clear()

    def close(self) -> None:
        """Close the socket; what was sent lingers. Ends a ``receive`` in another thread. Idempotent, any thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waker.wake()
            self._port.socket.close()
        # The receiving thread has left in a moment. It is this one if a signal handler closes.
        left = self._turn.acquire(timeout=1)
        self._waker.close()
        if left:
            self._turn.release()
        self._contexts.drop()
