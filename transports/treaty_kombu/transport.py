"""The transport and its ends, the same for every broker: each end holds one link and lets it do the work.

Here the rules are kept that do not depend on a broker: closed, forked, names, sizes, and where a reply may go.
This room must not know what a broker is.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Final, TypeVar

from treaty import (
    ClosedError,
    Delivery,
    FrameTooLarge,
    Guarantees,
    Inbox,
    Line,
    MissingExtra,
    Transport,
    Unavailable,
    check_name,
)

from .link import Arrived, Link, Role, log
from .settings import Settings

_MODULES: Final = {"redis": "over_redis", "amqp": "over_amqp", "memory": "over_memory"}


class KombuTransport(Transport):
    """A broker and what this process does with it. Make one with :func:`treaty_kombu.connect`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        try:
            module = import_module(f".{_MODULES[settings.kind]}", __package__)
        except ImportError as error:
            raise MissingExtra(f"{settings.shown} needs {error.name or error}: pip install 'treaty[kombu]'") from error
        self.settings: Final = settings
        self.guarantees: Guarantees = module.guarantees(settings)
        self._link_class: Final[type[Link]] = module.LINK
        self._lock = threading.RLock()  # guards the two below
        self._ends: set[KombuLine | KombuInbox] = set()
        self._publisher: Link | None = None

    def __repr__(self) -> str:
        return f"<KombuTransport {self.settings.shown}>"

    def dial(self) -> Line:
        self.check()
        return self._keep(KombuLine(self, self._link(Role("replies"))))

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self.check()
        role = Role("work", check_name(service), max(1, capacity))
        return self._keep(KombuInbox(self, self._link(role)))

    def subscribe(self, channel: str) -> Inbox:
        self.check()
        return self._keep(KombuInbox(self, self._link(Role("feed", check_name(channel)))))

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        check_name(channel)
        check_size(self.settings, frame)
        with self._lock:
            self.check()
            if self._publisher is None:
                self._publisher = self._link(Role("none"))
            publisher = self._publisher
        publisher.publish(channel, frame)

    def close(self) -> None:
        if self.foreign:
            self._closed = True
            if self._publisher is not None:
                self._publisher.abandon()
            for end in list(self._ends):
                end.close()
            return
        with self._lock:
            self._closed = True
            ends, publisher, self._publisher = list(self._ends), self._publisher, None
        for end in ends:
            end.close()
        if publisher is not None:
            publisher.close()

    def _link(self, role: Role) -> Link:
        try:
            return self._link_class(self.settings, role)
        except OSError as error:  # no descriptors are left
            raise Unavailable(f"no connection to {self.settings.shown} can be made: {error}") from error

    def _keep(self, end: _End) -> _End:
        """Open an end and remember it until it is closed."""
        try:
            end.link.open()
            with self._lock:
                self.check()
                self._ends.add(end)
        except BaseException:
            end.close()
            raise
        return end

    def forget(self, end: KombuLine | KombuInbox) -> None:
        """An end was closed."""
        if self.foreign:
            self._ends.discard(end)
            return
        with self._lock:
            self._ends.discard(end)


class KombuLine(Line):
    """A caller's end: one reply queue, however many calls."""

    def __init__(self, transport: KombuTransport, link: Link) -> None:
        super().__init__()
        self._transport = transport
        self.link: Final = link

    @property
    def address(self) -> str:
        return self.link.address

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.check()
        check_name(service)
        check_size(self._transport.settings, frame)
        self.link.send(service, frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        self.check()
        arrived = self.link.receive(timeout)
        if self._closed:
            raise ClosedError("the line was closed")
        return None if arrived is None else arrived.frame

    def close(self) -> None:
        self._closed = True
        self.link.abandon() if self.foreign else self.link.close()
        self._transport.forget(self)


class KombuInbox(Inbox):
    """Where requests for a service or notifications of a channel arrive."""

    def __init__(self, transport: KombuTransport, link: Link) -> None:
        super().__init__()
        self._transport = transport
        self.link: Final = link

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        arrived = self.link.receive(timeout)
        return None if arrived is None else KombuDelivery(self, self._transport.settings, arrived)

    def close(self) -> None:
        self._closed = True
        self.link.abandon() if self.foreign else self.link.close()
        self._transport.forget(self)


class KombuDelivery(Delivery):
    """A frame with a way back, if it has one of ours."""

    def __init__(self, inbox: KombuInbox, settings: Settings, arrived: Arrived) -> None:
        self._inbox = inbox
        self._settings = settings
        self._arrived = arrived
        self._settling = threading.Lock()  # taken once, by the first to settle
        self.frame = arrived.frame
        self.reply_to = arrived.reply_to
        self.redelivered = arrived.redelivered

    def reply(self, frame: bytes) -> None:
        self._inbox.check()
        check_size(self._settings, frame)
        # Whoever can write to the broker chooses reply_to: it must not choose any other queue than one for replies.
        if self._settings.is_reply_queue(self.reply_to):
            self._inbox.link.reply(self.reply_to, frame)
        elif self.reply_to:
            log.warning("a reply was dropped: the request names a queue that is not for replies")

    def settle(self, accepted: bool = True) -> None:
        if not self._settling.acquire(blocking=False) or self._inbox.foreign:
            return
        if not accepted or not self._inbox.closed:  # what is refused is given back, even by an inbox that has closed
            self._inbox.link.settle(self._arrived, accepted)


_End = TypeVar("_End", KombuLine, KombuInbox)


def check_size(settings: Settings, frame: bytes) -> None:
    """Refuse a frame that is too large, before anything is sent."""
    if len(frame) > settings.max_frame:
        raise FrameTooLarge(f"a frame of {len(frame)} bytes is over the limit of {settings.max_frame}")
