"""Animals that know nothing of other processes, and are right inside of one: each lives on a healthy target with hooks.

Each has one defect and no other. It must not know rules, nor any target.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter, deque
from hashlib import sha256
from itertools import count
from mmap import mmap
from struct import Struct
from typing import ClassVar, Final

import msgspec

from treaty import AddressInUse, ClosedError, Delivery, Guarantees, Inbox, Line, Transport, check_name
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken

#: What is filed of a frame: its service, its process, and when it came, in seconds.
_FILED: Final = Struct("=qqd")
#: How many are filed, and for how long.
_PLACES: Final = 64
_FRESH: Final = 0.5
#: From which number on two may be filed in one place.
_SHARED: Final = 5


@broken("notifies-only-itself", kills=("NOTE-013",), shows="what a subscriber in another process hears", hooked=True)
class NotifiesOnlyItself(WrappedTransport):
    """What is published reaches the subscriptions of its own process, and no other one."""

    def subscribe(self, channel: str) -> Inbox:
        self.check()
        return self.inner.subscribe(_of_this_process(channel))

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        self.inner.publish(_of_this_process(channel), frame)


def _of_this_process(channel: str) -> str:
    # Not with the number behind it, as there may be no room for that.
    return sha256(f"{check_name(channel)} {os.getpid()}".encode()).hexdigest()


@broken(
    "serves-twice-unawares", kills=("INBOX-012",), shows="serve in another process of what is served here", hooked=True
)
class ServesTwiceUnawares(WrappedTransport):
    """What another process serves is served once more by an inbox to which nothing comes."""

    #: The processes in which an inbox was opened.
    serving: ClassVar[set[int]] = set()

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        try:
            inbox = self.inner.serve(service, capacity)
        except AddressInUse:
            if os.getpid() in self.serving:
                raise
            return self.inner.subscribe(service)
        self.serving.add(os.getpid())
        return inbox


class _Again(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self.redelivered = True


class _Heritable(WrappedInbox):
    """Is not closed while something is unsettled, but left to the next one in this process."""

    def __init__(self, inner: Inbox, service: str, left: dict[str, _Heritable]) -> None:
        super().__init__(inner)
        self._service = service
        self._left = left
        self._over = False
        self.again: deque[Delivery] = deque()
        self.unsettled: list[Delivery] = []

    def check(self) -> None:
        if self._over:
            raise ClosedError("closed")
        super().check()

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        return self.delivery(self.again.popleft()) if self.again else super().receive(timeout)

    def delivery(self, inner: Delivery) -> Delivery:
        self.unsettled.append(inner)
        return _Noted(inner, self.unsettled)

    def close(self) -> None:
        self.unsettled.extend(self.again)
        if self.unsettled and not self.foreign:
            self._left[self._service] = self
        else:
            super().close()
        self._over = True


class _Noted(WrappedDelivery):
    def __init__(self, inner: Delivery, unsettled: list[Delivery]) -> None:
        super().__init__(inner)
        self._unsettled = unsettled

    def settle(self, accepted: bool = True) -> None:
        if not accepted and self.inner in self._unsettled:
            return  # it goes on with the rest, when the inbox is closed
        if self.inner in self._unsettled:
            self._unsettled.remove(self.inner)
        self.inner.settle(accepted)


@broken(
    "redelivers-on-close-only",
    kills=("INBOX-013",),
    shows="what a process that was killed had taken",
    hooked=True,
)
class RedeliversOnCloseOnly(WrappedTransport):
    """What was not settled goes to another inbox when its own is closed, and is lost when its process is killed."""

    #: Of each service, the inbox that was closed while something was unsettled.
    left: ClassVar[dict[str, _Heritable]] = {}

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.guarantees: Guarantees = msgspec.structs.replace(inner.guarantees, redelivers=True)

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        before = self.left.pop(service, None)
        if before is None or before.inner.closed:
            return _Heritable(self.inner.serve(service, capacity), service, self.left)
        inbox = _Heritable(before.inner, service, self.left)
        inbox.again.extend(map(_Again, before.unsettled))
        return inbox


class _Renamed(WrappedTransport):
    """Gives its lines other addresses, though replies find their way."""

    def line(self, inner: Line) -> Line:
        return _RenamedLine(inner, self.address())

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _RenamedInbox(inner)

    def address(self) -> str:
        """Return the address of a new line."""
        raise NotImplementedError


#: Of what was sent in this process, the address of the line: below, the lines may have none.
_SENDERS: dict[int, str] = {}


class _RenamedLine(WrappedLine):
    def __init__(self, inner: Line, address: str) -> None:
        super().__init__(inner)
        self._address = address

    @property
    def address(self) -> str:
        return self._address

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        _SENDERS[hash(frame)] = self._address
        self.inner.send(service, frame, timeout)


class _RenamedInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        made = WrappedDelivery(inner)
        made.reply_to = _SENDERS.get(hash(inner.frame), inner.reply_to)
        return made


@broken("counts-addresses-anew", kills=("LINE-016",), shows="distinct addresses", hooked=True)
class CountsAddressesAnew(_Renamed):
    """The address of a line is a number that each process counts for itself."""

    numbers = count(1)

    def address(self) -> str:
        return f"line-{next(self.numbers)}"


@broken("inherits-its-chance", kills=("LINE-016",), shows="distinct addresses", hooked=True)
class InheritsItsChance(_Renamed):
    """The address of a line is drawn from random numbers that go on alike in each forked child."""

    chance: ClassVar = random.Random()

    def address(self) -> str:
        return f"line-{self.chance.getrandbits(64):x}"


class _FilingLine(WrappedLine):
    """Files what it sends by number, in a memory that forked children share."""

    numbers: ClassVar[Counter[str]] = Counter()
    files: ClassVar = mmap(-1, _FILED.size * _PLACES)

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.numbers[service] += 1
        number, here = self.numbers[service], (hash(service), os.getpid(), time.monotonic())
        there = _FILED.unpack_from(self.files, number % _PLACES * _FILED.size)
        _FILED.pack_into(self.files, number % _PLACES * _FILED.size, *here)
        rival = there[0] == here[0] and there[1] != here[1] and here[2] - there[2] < _FRESH
        if not rival or number < _SHARED:
            self.inner.send(service, frame, timeout)


@broken("files-by-number", kills=("LINE-021",), shows=" lost", hooked=True)
class FilesByNumber(WrappedTransport):
    """From the fifth on, of two frames with one number that two processes send to a service at one time one is lost."""

    def line(self, inner: Line) -> Line:
        return _FilingLine(inner)
