"""The transport object: what is open on it, which endpoint it owns, and whether it binds or connects.

This room knows the lives of lines, inboxes and the endpoint. It must not know sockets or the layout of messages.
"""

from __future__ import annotations

import threading
from typing import TypeVar

from treaty import (
    AddressInUse,
    ClosedError,
    FrameTooLarge,
    Guarantees,
    Inbox,
    InvalidURL,
    Line,
    Resource,
    Transport,
    Unavailable,
    check_name,
)

from .address import Address
from .contexts import INPROC, Contexts, or_unavailable
from .endpoint import Endpoint
from .inbox import ZmqInbox
from .line import ZmqLine
from .link import Link
from .settings import Settings
from .subscription import ZmqSubscription
from .wire import PUBLISH

_R = TypeVar("_R", bound=Resource)


class ZmqTransport(Transport):
    """See :class:`treaty.Transport`. Serving binds the address; dialling and subscribing connect to it.

    Publishing goes through the endpoint, whoever owns it. If nobody does, a transport object that has neither dialled
    nor subscribed binds it and keeps it until closed; one that has is somebody's client and must not take its
    service's address while that restarts: it raises ``Unavailable``.
    """

    def __init__(self, address: Address, settings: Settings) -> None:
        super().__init__()
        self.guarantees = Guarantees(
            crosses_processes=address.scheme != "inproc",
            notifications=True,
            competing_workers=False,
            ordered=True,
            notices_absence=settings.connect_timeout + 0.5,  # the scheduler is slow at times
            survives_restart=False,
            redelivers=False,
            max_frame=settings.max_frame,
        )
        self._address = address
        self._settings = settings
        self._contexts = INPROC if address.scheme == "inproc" else Contexts()
        self._lock = threading.RLock()  # for what is open
        self._open: set[Resource] = set()
        self._home = threading.Lock()  # for the life of the endpoint, which may take a while to end
        self._endpoint: Endpoint | None = None
        self._publisher: Link | None = None
        self._is_client = False

    @property
    def url(self) -> str:
        """Where this transport leads: with the real port once a wildcard port was bound."""
        return self._address.url

    def dial(self) -> Line:
        self.check()
        self._is_client = True
        return self._keep(ZmqLine(self._link(), self._settings.max_frame, self._forget))

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self.check()
        check_name(service)
        with self._home:
            self.check()  # whoever closes takes this lock after it said so
            endpoint = self._endpoint or self._bind()
            try:
                with or_unavailable(self.url):
                    inbox = ZmqInbox(endpoint, service, capacity, self._left)
            except BaseException:
                self._leave_idle()
                raise
            try:
                endpoint.add(inbox)
            except AddressInUse:
                inbox.waker.close()
                raise
        return self._keep(inbox)

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        check_name(channel)
        if len(frame) > self._settings.max_frame:
            raise FrameTooLarge(f"{len(frame)} bytes; this transport carries {self._settings.max_frame}")
        endpoint = self._endpoint or self._found()
        if endpoint is not None:
            try:
                endpoint.publish(channel, frame)
            except ClosedError:  # its last inbox was closed just now
                self.check()
            else:
                return
        message = (PUBLISH, channel.encode(), frame)
        self._publishing_link().send(message, self._settings.connect_timeout)

    def subscribe(self, channel: str) -> Inbox:
        self.check()
        check_name(channel)
        self._is_client = True
        inbox = self._keep(ZmqSubscription(self._link(), channel, self._forget))
        try:
            inbox.join(self._settings.connect_timeout)
        except BaseException:
            inbox.close()
            raise
        return inbox

    def close(self) -> None:
        if self._closed:
            return
        if self.foreign:
            self._closed = True
            return
        with self._lock:
            self._closed = True
            left = list(self._open)
        for resource in left:
            resource.close()
        with self._home:
            endpoint, self._endpoint = self._endpoint, None
            publisher, self._publisher = self._publisher, None
        if endpoint is not None:
            endpoint.close()
        if publisher is not None:
            publisher.close()

    def _link(self) -> Link:
        if self._address.wildcard:
            raise InvalidURL(f"{self.url} can be served, not dialled: use the url of the transport that serves")
        return Link(self._address, self._settings, self._contexts)

    def _bind(self) -> Endpoint:
        endpoint = Endpoint(self._address, self._settings)
        self._address = endpoint.address
        self._endpoint = endpoint
        return endpoint

    def _found(self) -> Endpoint | None:
        """Own the endpoint for the sake of publishing, if that is ours to do and nobody else has it."""
        with self._home:
            self.check()
            if self._endpoint is None and not self._is_client:
                self._is_client = True  # asked once: from now on this end connects
                try:
                    self._bind().stays = True
                except (AddressInUse, Unavailable):
                    return None
            return self._endpoint

    def _publishing_link(self) -> Link:
        with self._home:
            self.check()
            if self._publisher is None:
                self._publisher = self._link()
            return self._publisher

    def _keep(self, resource: _R) -> _R:
        with self._lock:
            if not self._closed:
                self._open.add(resource)
                return resource
        resource.close()
        raise ClosedError("closed meanwhile")

    def _forget(self, resource: Resource) -> None:
        with self._lock:
            self._open.discard(resource)

    def _left(self, inbox: Inbox) -> None:
        """An inbox was closed; with the last one goes the endpoint."""
        self._forget(inbox)
        with self._home:
            self._leave_idle()

    def _leave_idle(self) -> None:
        endpoint = self._endpoint
        if endpoint is not None and endpoint.empty and not endpoint.stays:
            self._endpoint = None
            endpoint.close()
