"""A transport that hands everything on to another one: what the recorder and the broken transports have in common.

Each class does nothing of its own, so that a subclass says only what it does differently. It must not know rules.
"""

from __future__ import annotations

from treaty import Delivery, Inbox, Line, Resource, Transport


class _Wrapped(Resource):
    """Whoever asks about the life of a wrapper learns about what is inside."""

    def __init__(self, inner: Resource) -> None:
        super().__init__()
        self._resource = inner

    def check(self) -> None:
        self._resource.check()

    @property
    def closed(self) -> bool:
        return self._resource.closed

    @property
    def foreign(self) -> bool:
        return self._resource.foreign

    def close(self) -> None:
        self._resource.close()


class WrappedDelivery(Delivery):
    """Hands on to a delivery."""

    def __init__(self, inner: Delivery) -> None:
        self.inner = inner
        self.frame = inner.frame
        self.reply_to = inner.reply_to
        self.redelivered = inner.redelivered

    def reply(self, frame: bytes) -> None:
        self.inner.reply(frame)

    def settle(self, accepted: bool = True) -> None:
        self.inner.settle(accepted)


class WrappedLine(_Wrapped, Line):
    """Hands on to a line."""

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self.inner = inner

    @property
    def address(self) -> str:
        return self.inner.address

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        return self.inner.receive(timeout)


class WrappedInbox(_Wrapped, Inbox):
    """Hands on to an inbox."""

    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self.inner = inner

    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        return None if delivery is None else self.delivery(delivery)

    def delivery(self, inner: Delivery) -> Delivery:
        """Wrap what arrived."""
        return inner


class WrappedTransport(_Wrapped, Transport):
    """Hands on to a transport; override :meth:`line`, :meth:`inbox` and :meth:`feed` to wrap what it opens."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.inner = inner
        self.guarantees = inner.guarantees

    def dial(self) -> Line:
        return self.line(self.inner.dial())

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return self.inbox(self.inner.serve(service, capacity), service)

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(channel, frame)

    def subscribe(self, channel: str) -> Inbox:
        return self.feed(self.inner.subscribe(channel), channel)

    def line(self, inner: Line) -> Line:
        """Wrap a line."""
        return inner

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - for those who want to know
        """Wrap the inbox of a service."""
        return inner

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - for those who want to know
        """Wrap the inbox of a subscription."""
        return inner
