"""Odd transports that do more on the way: a thread that reads ahead, frames in two halves, frames that come twice.

They keep the law, and must not know rules.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar, Final

import msgspec

from treaty import ClosedError, ConnectionLost, Delivery, Guarantees, Inbox, Line, Transport, TreatyError, Unavailable
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.odd import odd
from treaty_contracts.zoo.references import complete


class _Pump:
    """A thread that takes from one end what is there, and keeps it until somebody asks."""

    def __init__(self, receive: Callable[[float], Any]) -> None:
        self.arrived: deque[Any] = deque()
        self.changed = threading.Condition()
        self._receive = receive
        self._raised: deque[TreatyError] = deque()
        self.ended = False
        self._thread = threading.Thread(target=self._work, name="odd-pump", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> Any:
        with self.changed:
            self.changed.wait_for(lambda: self.arrived or self._raised or self.ended, timeout)
            if self._raised:
                raise self._raised.popleft()
            return self.arrived.popleft() if self.arrived else None

    def join(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        while not self.ended:
            try:
                got = self._receive(3600.0)
            except ClosedError:
                got, self.ended = None, True
            except TreatyError as error:
                self._raised.append(error)
                got = None
            with self.changed:
                if got is not None:
                    self.arrived.append(got)
                self.changed.notify_all()


class _PumpedLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._pump = _Pump(inner.receive)

    def receive(self, timeout: float) -> bytes | None:
        self.check()
        frame: bytes | None = self._pump.take(timeout)
        self.check()
        return frame

    def close(self) -> None:
        self.inner.close()
        if not self.foreign:
            self._pump.join()


class _PumpedInbox(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._pump = _Pump(inner.receive)

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        delivery: Delivery | None = self._pump.take(timeout)
        self.check()
        return delivery

    def close(self) -> None:
        if self.foreign:
            self.inner.close()
            return
        with self._pump.changed:
            # What nobody asked for was not taken by anybody: another one may have it, unmarked.
            while self._pump.arrived:
                self._pump.arrived.pop().settle(accepted=False)
            self.inner.close()
        self._pump.join()


@odd("from-another-thread")
class FromAnotherThread(WrappedTransport):
    """A thread at each end takes what arrives, before anybody asks for it."""

    def line(self, inner: Line) -> Line:
        return _PumpedLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _PumpedInbox(inner)

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _PumpedInbox(inner)


#: What stands before a chunk: which frame, and whether it is the first half.
_HEAD: Final = 9
_CHUNKS = count(1)


def _chunks(frame: bytes) -> tuple[bytes, bytes]:
    number = next(_CHUNKS).to_bytes(8)
    half = len(frame) // 2
    return number + b"1" + frame[:half], number + b"2" + frame[half:]


class _Joiner:
    """Puts two halves together again."""

    def __init__(self) -> None:
        self._halves: dict[bytes, bytes] = {}

    def add(self, chunk: bytes) -> bytes | None:
        number, which, half = chunk[:8], chunk[8:_HEAD], chunk[_HEAD:]
        if which == b"1":
            self._halves[number] = half
            return None
        return self._halves.pop(number, b"") + half


class _JoiningLine(WrappedLine):
    def __init__(self, inner: Line, limit: int) -> None:
        super().__init__(inner)
        self._limit = limit
        self._joiner = _Joiner()

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if len(frame) > self._limit or not frame:
            self.inner.send(service, bytes(self._limit * 2), timeout)
            return
        try:
            for chunk in _chunks(frame):
                self.inner.send(service, chunk, timeout)
        except Unavailable as error:
            raise Unavailable(str(error), frame=frame) from error

    def receive(self, timeout: float) -> bytes | None:
        chunk = self.inner.receive(timeout)
        frame = None if chunk is None else self._joiner.add(chunk)
        # The second half is sent right after the first one.
        return self.receive(timeout) if chunk is not None and frame is None else frame


class _JoinedDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, frame: bytes, limit: int) -> None:
        super().__init__(inner)
        self.frame = frame
        self._limit = limit

    def reply(self, frame: bytes) -> None:
        for chunk in _chunks(frame) if len(frame) <= self._limit else (bytes(self._limit * 2),):
            self.inner.reply(chunk)


class _JoiningInbox(WrappedInbox):
    def __init__(self, inner: Inbox, limit: int) -> None:
        super().__init__(inner)
        self._limit = limit
        self._joiner = _Joiner()

    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        if delivery is None:
            return None
        frame = self._joiner.add(delivery.frame)
        if frame is None:
            delivery.settle()
            return self.receive(timeout)
        return _JoinedDelivery(delivery, frame, self._limit)


@odd("in-two-chunks", base=complete(competing_workers=False, survives_restart=False, redelivers=False))
class InTwoChunks(WrappedTransport):
    """Each frame travels in two halves, which are put together at the other end."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._limit = inner.guarantees.max_frame - _HEAD
        self.guarantees: Guarantees = msgspec.structs.replace(inner.guarantees, max_frame=self._limit)

    def publish(self, channel: str, frame: bytes) -> None:
        for chunk in _chunks(frame) if len(frame) <= self._limit else (bytes(self._limit * 2),):
            self.inner.publish(channel, chunk)

    def line(self, inner: Line) -> Line:
        return _JoiningLine(inner, self._limit)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _JoiningInbox(inner, self._limit)

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _JoiningInbox(inner, self._limit)


class _RepeatedDelivery(WrappedDelivery):
    """A second copy, of which the transport says that somebody may have had it."""

    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self.redelivered = True

    def settle(self, accepted: bool = True) -> None:
        """Do nothing: the first copy had the place."""


class _OnceMoreDelivery(WrappedDelivery):
    """Comes a second time after it was settled, as if nobody had heard of that."""

    def __init__(self, inner: Delivery, again: deque[Delivery]) -> None:
        super().__init__(inner)
        self._again = again
        self._settled = False

    def settle(self, accepted: bool = True) -> None:
        self.inner.settle(accepted)
        if accepted and not self._settled:
            self._again.append(_RepeatedDelivery(self.inner))
        self._settled = True


class _RepeatingInbox(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._numbers = count(1)
        self._again: deque[Delivery] = deque()

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        with suppress(IndexError):
            return self._again.popleft()
        return super().receive(timeout)

    def delivery(self, inner: Delivery) -> Delivery:
        return inner if next(self._numbers) % 5 else _OnceMoreDelivery(inner, self._again)


@odd("at-least-once")
class AtLeastOnce(WrappedTransport):
    """Every fifth request comes a second time after it was settled, and is marked as redelivered then."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _RepeatingInbox(inner)


class _TrustingLine(WrappedLine):
    def __init__(self, inner: Line, lives: dict[str, int]) -> None:
        super().__init__(inner)
        self._lives = lives
        self._used: set[str] = set()
        self._met: set[int] = set()
        self._lost = False

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        life = self._lives.get(service, 0)
        if frame and service in self._used and life not in self._met:
            self.check()
            self._met.add(life)
            self._lost = True
            return
        self.inner.send(service, frame, timeout)
        self._used.add(service)
        self._met.add(life)

    def receive(self, timeout: float) -> bytes | None:
        # In slices: what is lost meanwhile wakes nobody here.
        for _ in range(int(timeout / 0.005)):
            if self._lost or (frame := self.inner.receive(0.005)) is not None:
                break
        else:
            frame = self.inner.receive(0.0)
        if self._lost:
            self.check()
            self._lost = False
            raise ConnectionLost("the service was started again")
        return frame


@odd("learns-late", base=complete(survives_restart=False, redelivers=False, competing_workers=False))
class LearnsLate(WrappedTransport):
    """A line learns that what it is connected to was served anew by what it sends next, which is lost, as it then says."""

    _numbers: ClassVar[Iterator[int]] = count(1)
    #: In which life of which transport of this process each service was served last.
    _lives: ClassVar[dict[str, int]] = {}

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._life = 0
        self._inboxes: list[Inbox] = []

    def line(self, inner: Line) -> Line:
        return _TrustingLine(inner, self._lives)

    def inbox(self, inner: Inbox, service: str) -> Inbox:
        if all(one.closed for one in self._inboxes):
            self._life = next(self._numbers)
        self._inboxes.append(inner)
        self._lives[service] = self._life
        return inner
