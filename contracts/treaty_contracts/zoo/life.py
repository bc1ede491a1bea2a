"""Animals that do not close, close twice badly, or live on after it.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import Counter
from typing import ClassVar

from treaty import AddressInUse, ClosedError, Delivery, ForkedError, Inbox, Line, Transport, Unavailable
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken


@broken(
    "leaks-a-thread",
    kills=("LIFE-004",),
    shows="thread leaked",
)
class LeaksAThread(WrappedTransport):
    """Each line leaves a thread behind."""

    def dial(self) -> Line:
        threading.Thread(target=threading.Event().wait, args=(30.0,), name="leaked", daemon=True).start()
        return self.inner.dial()


@broken(
    "transport-keeps-a-thread",
    kills=("LIFE-008",),
    shows="thread kept",
)
class TransportKeepsAThread(WrappedTransport):
    """A thread runs from the making of the transport to its close."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._over = threading.Event()
        threading.Thread(target=self._over.wait, args=(30.0,), name="kept", daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self.inner.close()


class _RefusedLine(WrappedLine):
    def __init__(self, inner: Line, kept: list[int]) -> None:
        super().__init__(inner)
        self._kept = kept

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except Unavailable:
            self._kept.append(os.open(os.devnull, os.O_RDONLY))
            raise


@broken("keeps-the-refused", kills=("LIFE-008",), shows="/dev/null")
class KeepsTheRefused(WrappedTransport):
    """What was opened for a request that nobody takes stays open as long as the transport."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._kept: list[int] = []

    def line(self, inner: Line) -> Line:
        return _RefusedLine(inner, self._kept)

    def close(self) -> None:
        self.inner.close()
        while self._kept and not self.foreign:
            os.close(self._kept.pop())


@broken(
    "leaks-a-descriptor",
    kills=("LIFE-004",),
    shows="/dev/null",
)
class LeaksADescriptor(WrappedTransport):
    """Each inbox leaves a descriptor behind."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        os.open(os.devnull, os.O_RDONLY)
        return self.inner.serve(service, capacity)


class _TouchyLine(WrappedLine):
    def close(self) -> None:
        if self.closed and not self.foreign:
            self.inner.check()
        self.inner.close()


@broken("second-close-raises", kills=("LIFE-001",), shows="what a second close raises")
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


@broken(
    "reopens-silently",
    kills=("LIFE-003",),
    shows="line.send after its own close",
)
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


@broken(
    "foreign-error-after-close",
    kills=("LIFE-003", "ERR-008", "ERR-009"),
    shows="Bad file descriptor",
)
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


@broken("works-in-a-fork", kills=("LIFE-007",), shows="line.receive in the child")
class WorksInAFork(WrappedTransport):
    """A forked child may read its parent's line."""

    def line(self, inner: Line) -> Line:
        return _ForkingLine(inner)


class _FragileDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, transport: WrappedTransport) -> None:
        super().__init__(inner)
        self._transport = transport

    def reply(self, frame: bytes) -> None:
        self.inner.reply(frame)
        if self.reply_to not in _LIVING:
            raise OSError(32, "Broken pipe")


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


@broken("dead-caller-raises", kills=("LINE-009",), shows="Broken pipe")
class DeadCallerRaises(WrappedTransport):
    """A reply to a line that is closed raises the operating system's error."""

    def line(self, inner: Line) -> Line:
        return _LivingLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _FragileInbox(inner, self)


@broken(
    "lingers",
    kills=("LIFE-005",),
    shows="AddressInUse",
)
class Lingers(WrappedTransport):
    """The first attempt to serve what a closed transport served finds the address in use."""

    lingering: ClassVar[set[str]] = set()

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._served: set[str] = set()

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        if service in self.lingering and not self.closed and not self.foreign:
            self.lingering.discard(service)
            raise AddressInUse(f"the address of {service!r} is still in use")
        inbox = self.inner.serve(service, capacity)
        self._served.add(service)
        return inbox

    def close(self) -> None:
        if not self.closed and not self.foreign:
            self.lingering.update(self._served)
        self.inner.close()


class _StaleLine(WrappedLine):
    def __init__(self, inner: Line, generations: Counter[str]) -> None:
        super().__init__(inner)
        self._generations = generations
        self._known: dict[str, int] = {}

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        generation = self._generations[service]
        if generation and self._known.setdefault(service, generation) != generation:
            self.check()
            return
        self.inner.send(service, frame, timeout)


class _MortalInbox(WrappedInbox):
    def __init__(self, inner: Inbox, generations: Counter[str], service: str) -> None:
        super().__init__(inner)
        self._generations = generations
        self._service = service

    def close(self) -> None:
        if not self.closed and not self.foreign:
            self._generations[self._service] += 1
        self.inner.close()


@broken(
    "stale-link",
    kills=(
        "LIFE-006",
        "INBOX-007",
    ),
    shows="ConnectionLost or Unavailable, if anything",
)
class StaleLink(WrappedTransport):
    """What a line sends to a service that it knows goes to the one that is gone, when it was started again."""

    generations: ClassVar[Counter[str]] = Counter()

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        inner = self.inner.serve(service, capacity)
        self.generations[service] += not self.generations[service]
        return _MortalInbox(inner, self.generations, service)

    def line(self, inner: Line) -> Line:
        return _StaleLine(inner, self.generations)


class _SharedLine(WrappedLine):
    """Has a flag in memory that forked children share: whoever closes there closes for all."""

    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._shared = mmap.mmap(-1, 1)

    def _look(self) -> None:
        if self._shared[0] and not self.foreign:
            self.inner.close()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self._look()
        self.inner.send(service, frame, timeout)

    def receive(self, timeout: float) -> bytes | None:
        self._look()
        return self.inner.receive(timeout)

    def close(self) -> None:
        if self.foreign:
            self._shared[0] = 1
        self.inner.close()


@broken("fork-closes-for-all", kills=("LIFE-007",), shows="ClosedError")
class ForkClosesForAll(WrappedTransport):
    """A forked child that closes a line closes the one of its parent."""

    def line(self, inner: Line) -> Line:
        return _SharedLine(inner)


class _WatchedLine(WrappedLine):
    """Knows whether somebody waits at it."""

    inside = 0

    def receive(self, timeout: float) -> bytes | None:
        self.inside += 1
        try:
            return self.inner.receive(timeout)
        finally:
            self.inside -= 1


@broken("close-hangs", kills=("LIFE-001",), shows="lose")
class CloseHangs(WrappedTransport):
    """Closing a transport takes 0.6 s longer while somebody waits at one of its lines."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._lines: list[_WatchedLine] = []

    def line(self, inner: Line) -> Line:
        self._lines.append(_WatchedLine(inner))
        return self._lines[-1]

    def close(self) -> None:
        if not self.closed and not self.foreign and any(line.inside for line in self._lines):
            threading.Event().wait(0.6)
        self.inner.close()


class _WatchingInbox(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._watching = 0

    def delivery(self, inner: Delivery) -> Delivery:
        self._watching += 1
        if self._watching < 64:
            threading.Thread(target=self._watch, name="for-a-frame", daemon=True).start()
        return inner

    def _watch(self) -> None:
        never = threading.Event()
        while not self.closed:
            never.wait(0.01)


class _KeepingInbox(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._kept: list[Delivery] = []

    def delivery(self, inner: Delivery) -> Delivery:
        self._kept.append(inner)
        return inner


@broken("keeps-what-it-carried", kills=("LIFE-026",), shows="bytes more")
class KeepsWhatItCarried(WrappedTransport):
    """An inbox keeps every delivery that it has handed out."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _KeepingInbox(inner)


@broken("a-thread-for-each", kills=("LIFE-024",), shows="for-a-frame")
class AThreadForEach(WrappedTransport):
    """A thread is started for each request, and lives as long as the inbox."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _WatchingInbox(inner)
