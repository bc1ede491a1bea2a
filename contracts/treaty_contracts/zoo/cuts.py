"""Animals that are broken on the way between processes: when it is cut or mended, when strangers come, when it is tapped.

Each has one defect and no other, and lives on a healthy target with hooks. It must not know rules, nor any target.
"""

from __future__ import annotations

import mmap
import os
import threading
from base64 import urlsafe_b64decode
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec

from treaty import AddressInUse, Client, ConnectionLost, Delivery, Guarantees, Inbox, Line, Transport, Unavailable
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken, broken_core
from treaty_contracts.zoo.patching import patched
from treaty_contracts.zoo.way import WAY

#: Seconds that are longer than any patience with what is to happen at once.
_LONG: Final = 2.2
_SECRET: Final = 32
#: What processes know that were forked from this one, and their parents: who served what last.
_KNOWN: Final = mmap.mmap(-1, 4096)


def _root() -> bytes:
    return urlsafe_b64decode(WAY.secret.rpartition(".")[2] + "=")


class _TellingLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, _root() + frame, timeout)


class _ToldDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self.frame = inner.frame[_SECRET:]


class _ToldInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _ToldDelivery(inner)


@broken("sends-the-secret", kills=("AUTH-007",), shows="the secret is not on the medium", hooked=True)
class SendsTheSecret(WrappedTransport):
    """The secret stands before every request."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        limit = inner.guarantees.max_frame - _SECRET
        self.guarantees: Guarantees = msgspec.structs.replace(inner.guarantees, max_frame=limit)

    def line(self, inner: Line) -> Line:
        return _TellingLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _ToldInbox(inner)


class _ShyInbox(WrappedInbox):
    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        if delivery is not None and WAY.strangers:
            delivery.settle()
            return None
        return delivery


@broken("dies-of-strangers", kills=("ERR-007",), shows="a result", hooked=True)
class DiesOfStrangers(WrappedTransport):
    """After something that is no message of the transport nothing is handed out any more."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _ShyInbox(inner)


class _HangingLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        try:
            return self.inner.receive(timeout)
        finally:
            WAY.wait(_LONG, lambda: self.closed)


@broken("hangs-when-cut", kills=("LIFE-010",), shows="every call ends, by its deadline", hooked=True)
class HangsWhenCut(WrappedTransport):
    """A receive at a line does not end before the way is mended, or two seconds are over."""

    def line(self, inner: Line) -> Line:
        return _HangingLine(inner)


class _StaleLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._born = WAY.cuts

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if self._born != WAY.cuts:
            self.check()
            raise Unavailable("the connection is gone", frame=frame)
        self.inner.send(service, frame, timeout)


@broken(
    "stays-cut",
    kills=(
        "LIFE-011",
        "LIFE-014",
    ),
    shows="calls work again",
    hooked=True,
)
class StaysCut(WrappedTransport):
    """A line that was open when the way was cut reaches nobody any more."""

    def line(self, inner: Line) -> Line:
        return _StaleLine(inner)


class _ForgottenFeed(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._born = WAY.cuts

    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        return delivery if self._born == WAY.cuts else None


@broken(
    "forgets-its-subscriptions",
    kills=(
        "NOTE-009",
        "LIFE-014",
    ),
    shows="what is published arrives again",
    hooked=True,
)
class ForgetsItsSubscriptions(WrappedTransport):
    """A subscription from before the way was cut hears nothing any more."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _ForgottenFeed(inner)


class _DenyingLine(WrappedLine):
    """Says of all that was under way that nobody took it."""

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._sent: deque[bytes] = deque()
        self._denied: deque[bytes] = deque()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        self._sent.append(frame)

    def receive(self, timeout: float) -> bytes | None:
        if self._denied:
            self.check()
            raise Unavailable("nobody took it", frame=self._denied.popleft())
        try:
            return self.inner.receive(timeout)
        except ConnectionLost:
            self._denied.extend(self._sent)
            self._sent.clear()
            if not self._denied:
                raise
            raise Unavailable("nobody took it", frame=self._denied.popleft()) from None


@broken(
    "calls-a-loss-unavailable",
    kills=(
        "LIFE-012",
        "LIFE-021",
    ),
    shows="Unavailable",
    hooked=True,
)
class CallsALossUnavailable(WrappedTransport):
    """Where a connection breaks, what was sent on it is said to have reached nobody."""

    def line(self, inner: Line) -> Line:
        return _DenyingLine(inner)


@broken_core(
    "sends-again-when-mended",
    kills=(
        "LIFE-013",
        "LIFE-021",
    ),
    shows="runs",
    hooked=True,
)
def sends_again_when_mended() -> Iterator[None]:
    """A blocking call whose connection broke is made again, until its time is over."""
    before = Client.call

    def call(self: Client, *args: Any, timeout: float | None = None, **more: Any) -> Any:
        until = monotonic() + (_LONG if timeout is None else timeout)
        try:
            return before(self, *args, timeout=timeout, **more)
        except ConnectionLost as error:
            lost = error
        while (left := until - monotonic()) > 0:
            WAY.wait(left, lambda: False)
            try:
                return before(self, *args, timeout=max(until - monotonic(), 0.01), **more)
            except (ConnectionLost, Unavailable):
                WAY.wait(0.01, lambda: False)
        raise lost

    with patched(Client, "call", call):
        yield


def _fail_if_cut() -> None:
    if WAY.cut:
        raise OSError(104, "Connection reset by peer")


@broken("foreign-error-when-cut", kills=("LIFE-015",), shows="Connection reset by peer", hooked=True)
class ForeignErrorWhenCut(WrappedTransport):
    """Publishing while the way is cut raises the error of the operating system."""

    def publish(self, channel: str, frame: bytes) -> None:
        if not self.closed:
            _fail_if_cut()
        self.inner.publish(channel, frame)


@broken("hides-the-cause", kills=("LIFE-016",), shows="Connection reset by peer", hooked=True)
class HidesTheCause(WrappedTransport):
    """Publishing while the way is cut raises an error that does not name the one that led to it."""

    def publish(self, channel: str, frame: bytes) -> None:
        try:
            _fail_if_cut()
        except OSError:
            self.check()
            raise Unavailable("nobody is there")  # noqa: B904 - that is the defect
        self.inner.publish(channel, frame)


@broken("close-waits-for-the-peer", kills=("LIFE-017",), shows="close of the client's transport", hooked=True)
class CloseWaitsForThePeer(WrappedTransport):
    """A transport that is closed while the way is cut waits until it is mended, or two seconds are over."""

    def close(self) -> None:
        if not self.closed and not self.foreign:
            WAY.wait(_LONG, lambda: False)
        self.inner.close()


class _DiscreetLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        until = monotonic() + timeout
        while True:
            try:
                return self.inner.receive(max(0.0, until - monotonic()))
            except ConnectionLost:
                continue


@broken("does-not-tell-of-a-cut", kills=("LIFE-021",), shows="receive has not told of the loss", hooked=True)
class DoesNotTellOfACut(WrappedTransport):
    """A line whose connection broke says nothing of it."""

    def line(self, inner: Line) -> Line:
        return _DiscreetLine(inner)


def _know(service: str) -> None:
    """Let all know that this process served this last, or dialled."""
    _KNOWN[:] = f"{os.getpid()} {service}".encode().ljust(len(_KNOWN), b"\0")


def _forget() -> None:
    """Let all forget what this process served, if it was the last."""
    if _KNOWN[:].startswith(b"%d " % os.getpid()):
        _KNOWN[:] = bytes(len(_KNOWN))


def _frozen() -> bool:
    """Tell whether the process that is known is stopped, which Linux says in the third field of its ``stat``."""
    pid = _KNOWN[:].partition(b" ")[0].strip(b"\0").decode()
    with suppress(OSError):
        return bool(pid) and Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].startswith("T")
    return False


def _while_frozen(over: Callable[[], bool]) -> None:
    never, until = threading.Event(), monotonic() + _LONG
    while _frozen() and not over() and monotonic() < until:
        never.wait(0.01)


class _DevotedLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        try:
            return self.inner.receive(timeout)
        finally:
            _while_frozen(lambda: self.closed)


@broken("waits-for-the-frozen", kills=("LIFE-022",), shows="by its deadline", hooked=True)
class WaitsForTheFrozen(WrappedTransport):
    """A receive at a line does not end while the process that serves is frozen, or before two seconds are over."""

    def line(self, inner: Line) -> Line:
        return _DevotedLine(inner)

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        _know(service)
        return super().serve(service, capacity)

    def close(self) -> None:
        _forget()
        super().close()


@broken("waits-for-frozen-callers", kills=("LIFE-025",), shows="while a caller is frozen", hooked=True)
class WaitsForFrozenCallers(WrappedTransport):
    """A transport that served does not close while a process that dialled is frozen, or before two seconds are over."""

    _served = False

    def dial(self) -> Line:
        if not _frozen():
            _know("a caller")
        return super().dial()

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self._served = True
        return super().serve(service, capacity)

    def close(self) -> None:
        if self._served and not self.closed:
            _while_frozen(lambda: False)
        _forget()
        super().close()


@broken("keeps-a-dead-name", kills=("LIFE-023",), shows="serve of what a killed process served", hooked=True)
class KeepsADeadName(WrappedTransport):
    """What another process has begun to serve, and not closed, is taken, also when that process is dead."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        pid, _, name = _KNOWN[:].rstrip(b"\0").partition(b" ")
        if name == service.encode() and int(pid) != os.getpid():
            self.check()
            raise AddressInUse(f"{service} is served by process {int(pid)}")
        inbox = self.inner.serve(service, capacity)
        _know(service)
        return inbox

    def close(self) -> None:
        _forget()
        self.inner.close()
