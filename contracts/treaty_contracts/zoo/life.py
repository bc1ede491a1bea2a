"""Animals that do not close, close twice badly, or live on after it.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import os
import threading

from treaty import ClosedError, Delivery, ForkedError, Inbox, Line, Transport
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken


@broken("leaks-a-thread")
class LeaksAThread(WrappedTransport):
    """Each line leaves a thread behind."""

    def dial(self) -> Line:
        threading.Thread(target=threading.Event().wait, args=(30.0,), name="leaked", daemon=True).start()
        return self.inner.dial()


@broken("transport-keeps-a-thread")
class TransportKeepsAThread(WrappedTransport):
    """A thread runs from the making of the transport to its close."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._over = threading.Event()
        threading.Thread(target=self._over.wait, args=(30.0,), name="kept", daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self.inner.close()


@broken("leaks-a-descriptor")
class LeaksADescriptor(WrappedTransport):
    """Each inbox leaves a descriptor behind."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        os.open(os.devnull, os.O_RDONLY)
        return self.inner.serve(service, capacity)


class _TouchyLine(WrappedLine):
    def close(self) -> None:
        self.inner.check()
        self.inner.close()


@broken("second-close-raises")
class SecondCloseRaises(WrappedTransport):
    """Closing a line that is closed is an error."""

    def line(self, inner: Line) -> Line:
        return _TouchyLine(inner)


class _UndeadLine(WrappedLine):
    def __init__(self, inner: Line, transport: WrappedTransport) -> None:
        super().__init__(inner)
        self._transport = transport

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if self.inner.closed:
            self.inner = self._transport.inner.dial()
        self.inner.send(service, frame, timeout)


@broken("reopens-silently")
class ReopensSilently(WrappedTransport):
    """A line that was closed connects again when something is sent."""

    def line(self, inner: Line) -> Line:
        return _UndeadLine(inner, self)


class _ForeignLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except ClosedError:
            raise OSError(9, "Bad file descriptor") from None


@broken("foreign-error-after-close")
class ForeignErrorAfterClose(WrappedTransport):
    """Sending on a closed line raises the operating system's error."""

    def line(self, inner: Line) -> Line:
        return _ForeignLine(inner)


class _ForkingLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        try:
            return self.inner.receive(timeout)
        except ForkedError:
            return None


@broken("works-in-a-fork")
class WorksInAFork(WrappedTransport):
    """A forked child may read its parent's line."""

    def line(self, inner: Line) -> Line:
        return _ForkingLine(inner)


class _FragileDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, transport: WrappedTransport) -> None:
        super().__init__(inner)
        self._transport = transport

    def reply(self, frame: bytes) -> None:
        if self.reply_to not in _LIVING:
            raise OSError(32, "Broken pipe")
        self.inner.reply(frame)


_LIVING: set[str] = set()


class _LivingLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        _LIVING.add(inner.address)

    def close(self) -> None:
        _LIVING.discard(self.inner.address)
        self.inner.close()


class _FragileInbox(WrappedInbox):
    def __init__(self, inner: Inbox, transport: WrappedTransport) -> None:
        super().__init__(inner)
        self._transport = transport

    def delivery(self, inner: Delivery) -> Delivery:
        return _FragileDelivery(inner, self._transport)


@broken("dead-caller-raises")
class DeadCallerRaises(WrappedTransport):
    """A reply to a line that is closed raises the operating system's error."""

    def line(self, inner: Line) -> Line:
        return _LivingLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _FragileInbox(inner, self)
