"""The bare socket: whole messages in and out without blocking, and the pipe that wakes a thread which waits for it.

This room knows how libzmq is used safely: options, edge-triggered descriptors, half-sent messages. It must not know
what a message means. Nothing here is locked; whoever owns a port locks around each call.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, cast

import zmq

from .contexts import Context, keep_after_fork
from .settings import Settings
from .wire import NAME_BYTES

#: Nothing in this adapter reads more parts than that; a longer message is cut, and a cut one is nothing we know.
MAX_PARTS: Final = 5

#: Seconds that one poll may last; the operating system counts milliseconds in 32 bits.
LONGEST: Final = 86_400.0
#: How many waits are calm after a message that was there already.
_CALM: Final = 32

# Plain integers: an enumeration member costs a conversion at each call.
_NOW: Final = int(zmq.DONTWAIT)
_MORE: Final = int(zmq.DONTWAIT | zmq.SNDMORE)
_EVENTS: Final = int(zmq.EVENTS)
_RCVMORE: Final = int(zmq.RCVMORE)
_IN: Final = int(zmq.POLLIN)
_OUT: Final = int(zmq.POLLOUT)


class Sent(Enum):
    """What became of a message."""

    DONE = auto()
    #: No connection, or no room in it.
    NO_ROOM = auto()
    #: A router does not know the peer, or no longer.
    GONE = auto()


#: Read once: reading a member of an enumeration costs as much as a call.
_DONE: Final = Sent.DONE


class Port:
    """A socket that never blocks. Not safe for threads: lock around it.

    Its descriptor is edge-triggered: any call here, a ``put`` as well, may take the signal that another thread polls
    for. After each call the owner asks :meth:`readable` and wakes that thread by other means.
    """

    def __init__(self, context: Context, kind: int, settings: Settings, *, ipv6: bool = False) -> None:
        self.socket = context.socket(kind)
        try:
            self._set_up(settings, ipv6=ipv6)
        except BaseException:
            self.socket.close(linger=0)
            raise
        self.fd: int = cast("int", self.socket.fd)
        self._routes = kind == zmq.ROUTER
        # The compiled methods below the convenient ones: one Python call less for each part.
        below: Any = super(zmq.Socket, self.socket)
        self._send: Callable[[bytes, int], object] = below.send
        self._recv: Callable[[int], bytes] = below.recv
        self._ask: Callable[[int], int] = below.get

    def _set_up(self, settings: Settings, *, ipv6: bool) -> None:
        keep_after_fork(self.socket)
        self.socket.linger = round(settings.linger * 1000)
        self.socket.sndhwm = self.socket.rcvhwm = settings.queue
        self.socket.maxmsgsize = settings.max_frame + NAME_BYTES
        self.socket.handshake_ivl = 2_000
        self.socket.reconnect_ivl, self.socket.reconnect_ivl_max = 20, 250
        self.socket.ipv6 = ipv6
        if settings.keepalive:
            self.socket.tcp_keepalive = 1
            self.socket.tcp_keepalive_idle = max(1, round(settings.keepalive))
            self.socket.tcp_keepalive_intvl = max(1, round(settings.keepalive / 3))
            self.socket.tcp_keepalive_cnt = 3
        if settings.heartbeat:
            beat = round(settings.heartbeat * 1000)
            self.socket.heartbeat_ivl, self.socket.heartbeat_timeout = beat, 3 * beat

    def readable(self) -> bool:
        """Whether a message is there. Handles what libzmq has pending, so it also makes room known."""
        return bool(self._ask(_EVENTS) & _IN)

    def writable(self) -> bool:
        """Whether there is a connection with room."""
        return bool(self._ask(_EVENTS) & _OUT)

    def put(self, *parts: bytes, again: bool = False) -> Sent:
        """Send one message or none of it, and say what became of it."""
        *first, last = parts
        try:
            for part in first:
                self._send(part, _MORE)
            self._send(last, _NOW)
            return _DONE
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return Sent.GONE
        except BaseException:
            # Ctrl-C between two parts: end the message here, or the next one would become its tail. A router drops
            # a single part without looking, a peer drops what is cut.
            with contextlib.suppress(zmq.ZMQError):
                self._send(b"", _NOW)
            raise
        # libzmq looks for news at most once a millisecond while it sends, and at once when it is asked.
        return self.put(*parts, again=True) if not again and self.writable() else Sent.NO_ROOM

    def take(self) -> list[bytes] | None:
        """Receive one message, cut to ``MAX_PARTS`` parts, or ``None`` if there is none.

        ``None`` also means that the descriptor will signal the next one.
        """
        # Not as frames of pyzmq, which know whether more follow: Ctrl-C while one of these is let go is swallowed.
        try:
            parts = [self._recv(_NOW)]
        except zmq.Again:
            return None
        try:
            if self._routes:  # the identity of the peer, which never comes alone
                parts.append(self._recv(_NOW))
            while self._ask(_RCVMORE):
                part = self._recv(_NOW)
                if len(parts) < MAX_PARTS:
                    parts.append(part)
        except BaseException:
            while self._ask(_RCVMORE):  # Ctrl-C: the rest must not become the head of the next message
                self._recv(_NOW)
            raise
        return parts


class Sleeper:
    """Waits for descriptors. While what it waits for keeps coming within microseconds, it looks again for a moment
    before it lets the operating system put the thread to sleep, which costs more than that moment.

    Args:
        spin: for how many seconds at most; 0 never does.
    """

    def __init__(self, spin: float) -> None:
        self._spin = spin
        self._poll = select.poll()
        self._eager = False
        self._calm = 0

    def watch(self, descriptor: int) -> None:
        """Wait for this one as well to be readable."""
        self._poll.register(descriptor, select.POLLIN)

    def calm(self) -> None:
        """Much is under way: sleep at once for a while. Who sleeps leaves the processor to those who answer, and finds
        several messages on waking.
        """
        self._calm = _CALM

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Return what ``select.poll`` does, after ``seconds`` at most."""
        poll = self._poll.poll
        start = time.perf_counter()
        if self._calm:
            self._calm -= 1
        elif self._eager and seconds > self._spin:
            until = start + self._spin
            while not (ready := poll(0)) and time.perf_counter() < until:
                os.sched_yield()  # whoever is to answer may need this processor
            if ready:
                return ready
        ready = poll(min(seconds, LONGEST) * 1000)
        self._eager = time.perf_counter() - start < 2 * self._spin
        return ready


class Waker:
    """A pipe that ends another thread's poll. Safe for threads; writes once however often it is asked."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        #: Whether the signal is there. Looking at it first saves a :meth:`clear`.
        self.pending = False
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)

    def wake(self) -> None:
        """Make ``fd`` readable until :meth:`clear`. Does nothing after close."""
        with self._lock:
            if not self.pending and self._write >= 0:
                self.pending = True
                os.write(self._write, b"\0")

    def clear(self) -> None:
        """Take the signal, if there is one."""
        with self._lock:
            if self.pending:
                with contextlib.suppress(BlockingIOError):  # Ctrl-C came before it was written
                    os.read(self.fd, 64)  # more than one if a signal's handler came back here while one was written
                self.pending = False

    def close(self) -> None:
        """Close the pipe. The thread that polls it must have left."""
        with self._lock:
            if self._write >= 0:
                os.close(self.fd)
                os.close(self._write)
                self._write = -1
