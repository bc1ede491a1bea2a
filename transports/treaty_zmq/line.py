"""A caller's end: frames out to a service, replies and notices in.

This room knows how requests and notices are written. It must not know sockets or locks; a link has those.
"""

from __future__ import annotations

from collections.abc import Callable

from treaty import FrameTooLarge, Line, Unavailable, check_name

from .link import Link
from .wire import ABSENT, BUSY, END_OF_NAME

_REASONS = {ABSENT: "nobody serves this here", BUSY: "the inbox of the service is full"}


class ZmqLine(Line):
    """See :class:`treaty.Line`. Replies come on the asking connection, so ``address`` is empty."""

    def __init__(self, link: Link, max_frame: int, on_close: Callable[[Line], None]) -> None:
        super().__init__()
        self._link = link
        self._max_frame = max_frame
        self._on_close = on_close
        self._services: dict[str, bytes] = {}  # names that were checked, as they travel

    @property
    def address(self) -> str:
        return ""

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.check()
        name = self._services.get(service) or self._check(service)
        if len(frame) > self._max_frame:
            raise FrameTooLarge(f"{len(frame)} bytes; this transport carries {self._max_frame}")
        self._link.send((name + frame,), timeout)

    def _check(self, service: str) -> bytes:
        name = check_name(service).encode() + END_OF_NAME
        if len(self._services) < 1_000:
            self._services[service] = name
        return name

    def receive(self, timeout: float) -> bytes | None:
        self.check()
        message = self._link.receive(timeout)
        while message is not None and len(message) > 1:
            if message[0] in _REASONS:
                raise Unavailable(_REASONS[message[0]], frame=message[1])
            message = self._link.receive(0)  # not for us; what waits behind it may be
        return message[0] if message else None

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self.foreign:
            self._link.close()
            self._on_close(self)
