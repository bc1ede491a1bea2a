"""Treaty over Unix datagram sockets (Linux): who opens ``unix://name`` meets there. No frame is looked into."""

import os
import socket
import threading
import time
from collections import deque
from typing import NoReturn

import treaty

MAX_FRAME = 128 * 1024  # fits into the buffer that Linux gives a socket


class _End(treaty.Resource):
    """What a line and an inbox share: a socket with a name, the thread that reads it, and what it has read."""

    address = ""

    def __init__(self, transport: "UnixTransport", name: str, room: float = float("inf")) -> None:
        super().__init__()
        self.transport, self.address, self.room = transport, transport.prefix + name, room
        self.changed = threading.Condition()
        self._arrived: deque[UnixDelivery] = deque()
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError as error:
            raise treaty.Unavailable(f"{self.address}: {error}") from error
        try:
            self._socket.bind("\0" + self.address)
        except OSError as error:
            self._socket.close()
            raise treaty.AddressInUse(f"{self.address}: {error}") from error
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        transport.ends.add(self)
        if transport.closed:  # by another thread, which may not have seen this end
            self.close()

    def _read(self) -> None:
        while not self._closed:
            frame, sender = self._socket.recvfrom(MAX_FRAME + 1)
            with self.changed:
                self.changed.wait_for(lambda: self._closed or len(self._arrived) < 10_000)  # or senders find it full
                if 0 < len(frame) <= MAX_FRAME:
                    self._arrived.append(UnixDelivery(self, frame, os.fsdecode(sender or b"")[1:]))
                self.changed.notify_all()

    def put(self, address: str, frame: bytes, timeout: float) -> None:
        self.check()
        if len(frame) > MAX_FRAME:
            raise treaty.FrameTooLarge(f"a frame of {len(frame):,} bytes is over the limit of {MAX_FRAME:,}")
        until = time.monotonic() + timeout
        with self.changed:  # while it is held, nobody closes the socket
            while True:
                self.check()
                try:
                    self._socket.sendto(frame, socket.MSG_DONTWAIT, "\0" + address)
                    return
                except OSError as error:
                    if not isinstance(error, BlockingIOError) or time.monotonic() >= until:
                        raise treaty.Unavailable(f"{address}: {error}", frame=frame) from error
                self.changed.wait(0.001)  # it is full; the kernel does not tell when there is room again

    def take(self, timeout: float) -> "UnixDelivery | None":
        """Return what arrived next, once there is something, and room for it."""
        self.check()
        with self.changed:
            if not self.changed.wait_for(lambda: self._closed or (self._arrived and self.room > 0), timeout):
                return None
            self.check()
            self.room -= 1
            self.changed.notify_all()
            return self._arrived.popleft()

    def close(self) -> None:
        first, self._closed = not self._closed, True
        if first and not self.foreign:
            with self.changed:
                self.changed.notify_all()
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._reader.join()
        if first:
            self._socket.close()  # in a forked child this is a copy, which would keep the name
            self.transport.ends.discard(self)


class UnixDelivery(treaty.Delivery):
    def __init__(self, end: _End, frame: bytes, reply_to: str) -> None:
        self.end, self.frame, self.reply_to, self.settled = end, frame, reply_to, False

    def reply(self, frame: bytes) -> None:
        try:
            self.end.put(self.reply_to, frame, 1.0)  # seconds for a caller that does not read
        except treaty.Unavailable as error:
            if isinstance(error.__cause__, BlockingIOError):  # otherwise the caller has gone, which is no error
                raise treaty.ConnectionLost(f"{self.reply_to} does not read") from error

    def settle(self, accepted: bool = True) -> None:
        if not self.end.foreign:
            with self.end.changed:
                self.end.room += not self.settled
                self.settled = True
                self.end.changed.notify_all()


class UnixInbox(_End, treaty.Inbox):
    receive = _End.take


class UnixLine(_End, treaty.Line):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.check()
        self.put(self.transport.prefix + treaty.check_name(service), frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        return delivery.frame if (delivery := self.take(timeout)) else None


class UnixTransport(treaty.Transport):
    guarantees = treaty.Guarantees(
        crosses_processes=True, notifications=False, competing_workers=False, ordered=True,
        notices_absence=0.0, survives_restart=False, redelivers=False, max_frame=MAX_FRAME,
    )  # fmt: skip

    def __init__(self, url: str) -> None:
        super().__init__()
        self.prefix, self.ends = url.partition("://")[2] + "/", set[_End]()
        if not 1 < len(os.fsencode(self.prefix)) <= 43:  # 64 more are a name, and 107 is the limit
            raise treaty.InvalidURL(f"{url!r}: write unix:// and a name of up to 42 bytes")

    def dial(self) -> treaty.Line:
        self.check()
        return UnixLine(self, "." + os.urandom(8).hex())

    def serve(self, service: str, capacity: int = 1) -> treaty.Inbox:
        self.check()
        return UnixInbox(self, treaty.check_name(service), capacity)

    def publish(self, channel: str, frame: bytes = b"") -> NoReturn:
        self.check()
        treaty.check_name(channel)
        raise treaty.Unsupported("there are no notifications over Unix sockets")

    subscribe = publish

    def close(self) -> None:
        self._closed = True
        for end in list(self.ends):
            end.close()
