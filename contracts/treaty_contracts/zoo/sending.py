"""Animals that send, reply and settle in a wrong way: too much, too late, from the wrong place, with the wrong error.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import ClassVar

from treaty import Delivery, FrameTooLarge, Inbox, Line, Transport, Unavailable
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken

#: Seconds beyond which a clock of 32 bits overflows.
_YEARS = 50_000_000.0


class _NamesakeLine(WrappedLine):
    @property
    def address(self) -> str:
        return "line"


class _NamesakeInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        made = WrappedDelivery(inner)
        made.reply_to = "line"
        return made


@broken("one-address-for-all", kills=("LINE-016",), shows="distinct addresses")
class OneAddressForAll(WrappedTransport):
    """All lines have one address, though replies find their way."""

    def line(self, inner: Line) -> Line:
        return _NamesakeLine(inner)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _NamesakeInbox(inner)


class _CrowdedLine(WrappedLine):
    """Does something else with a large frame while ten are waiting."""

    def __init__(self, inner: Line, waiting: Counter[str]) -> None:
        super().__init__(inner)
        self._waiting = waiting

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        if len(frame) > 8_000 and self._waiting[service] >= 10 and timeout < 1:
            self.crowded(service, frame, timeout)
        else:
            self.inner.send(service, frame, timeout)
            self._waiting[service] += 1

    def crowded(self, service: str, frame: bytes, timeout: float) -> None:
        """Send where ten frames wait."""
        self.inner.send(service, frame, timeout)


class _DeceivingLine(_CrowdedLine):
    def crowded(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        raise Unavailable(f"{service!r} has no room", frame=frame)


class _StubbornLine(_CrowdedLine):
    def crowded(self, service: str, frame: bytes, timeout: float) -> None:
        threading.Event().wait(1.5)
        self.inner.send(service, frame, timeout)


class _CrowdedInbox(WrappedInbox):
    def __init__(self, inner: Inbox, waiting: Counter[str], service: str) -> None:
        super().__init__(inner)
        self._waiting = waiting
        self._service = service

    def delivery(self, inner: Delivery) -> Delivery:
        self._waiting[self._service] -= 1
        return inner


class _Crowded(WrappedTransport):
    waiting: ClassVar[Counter[str]] = Counter()
    kind: ClassVar[type[_CrowdedLine]]

    def line(self, inner: Line) -> Line:
        return self.kind(inner, self.waiting)

    def inbox(self, inner: Inbox, service: str) -> Inbox:
        return _CrowdedInbox(inner, self.waiting, service)


class _LeakyLine(_CrowdedLine):
    def crowded(self, service: str, frame: bytes, timeout: float) -> None:
        """Say nothing."""


@broken("drops-beyond-its-room", kills=("LINE-017",), shows="neither refused nor arrived")
class DropsBeyondItsRoom(_Crowded):
    """Where ten requests wait, a large one that is in a hurry is lost without a word."""

    kind = _LeakyLine


@broken("gives-up-and-delivers", kills=("LINE-017",), shows="while nobody reads")
class GivesUpAndDelivers(_Crowded):
    """Where ten requests wait, a large one that is in a hurry is Unavailable, and arrives."""

    kind = _DeceivingLine


@broken("send-waits-for-room", kills=("LINE-017",), shows="within")
class SendWaitsForRoom(_Crowded):
    """Where ten requests wait, a large one that is in a hurry is sent after 1.5 s."""

    kind = _StubbornLine


class _LateLine(_CrowdedLine):
    def crowded(self, service: str, frame: bytes, timeout: float) -> None:
        threading.Event().wait(timeout + 0.4 if timeout else 0.0)
        raise Unavailable(f"{service!r} has no room", frame=frame)


@broken("refuses-late", kills=("LINE-017",), shows="send with 0")
class RefusesLate(_Crowded):
    """Where ten requests wait, a large one that may wait a little is Unavailable 0.4 s after its time is over."""

    kind = _LateLine


class _PatientLine(WrappedLine):
    def __init__(self, inner: Line, unread: Counter[str]) -> None:
        super().__init__(inner)
        self._unread = unread

    def receive(self, timeout: float) -> bytes | None:
        frame = self.inner.receive(timeout)
        self._unread[self.address] -= frame is not None
        return frame


class _PatientDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, unread: Counter[str]) -> None:
        super().__init__(inner)
        self._unread = unread

    def reply(self, frame: bytes) -> None:
        if len(frame) > 60_000 and self._unread[self.reply_to] >= 40:
            threading.Event().wait(1.5)
        self.inner.reply(frame)
        self._unread[self.reply_to] += 1


class _PatientInbox(WrappedInbox):
    def __init__(self, inner: Inbox, unread: Counter[str]) -> None:
        super().__init__(inner)
        self._unread = unread

    def delivery(self, inner: Delivery) -> Delivery:
        return _PatientDelivery(inner, self._unread)


@broken("waits-for-the-deaf", kills=("INBOX-011",), shows="the other thread comes back")
class WaitsForTheDeaf(WrappedTransport):
    """A large reply to a caller with forty that it has not read waits for it, each time for 1.5 s."""

    unread: ClassVar[Counter[str]] = Counter()

    def line(self, inner: Line) -> Line:
        return _PatientLine(inner, self.unread)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _PatientInbox(inner, self.unread)


class _HoardedDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, held: list[tuple[Delivery, bytes]]) -> None:
        super().__init__(inner)
        self._held = held
        self._large = 0

    def reply(self, frame: bytes) -> None:
        middling = 1_000 <= len(frame) < 60_000
        self._large += middling
        if middling and self._large > 4:
            self._held.append((self.inner, frame))
        else:
            self.inner.reply(frame)


class _HoardingInbox(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._held: list[tuple[Delivery, bytes]] = []

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        while self._held:
            delivery, frame = self._held.pop(0)
            delivery.reply(frame)
        return super().receive(timeout)

    def delivery(self, inner: Delivery) -> Delivery:
        return _HoardedDelivery(inner, self._held)


@broken("close-drops-replies", kills=("INBOX-009",), shows=" lost")
class CloseDropsReplies(WrappedTransport):
    """From the fifth on, replies of some kilobytes are sent when the inbox receives again, and lost when it closes."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _HoardingInbox(inner)


class _FickleDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, again: deque[Delivery]) -> None:
        super().__init__(inner)
        self._again = again
        self._settled = False

    def settle(self, accepted: bool = True) -> None:
        if self._settled and not accepted:
            self._again.append(self)
        self._settled = True
        self.inner.settle(accepted)


class _FickleInbox(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._again: deque[Delivery] = deque()

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        return self._again.popleft() if self._again else super().receive(timeout)

    def delivery(self, inner: Delivery) -> Delivery:
        return _FickleDelivery(inner, self._again)


@broken("settles-again", kills=("INBOX-010",), shows="the request after one that was accepted")
class SettlesAgain(WrappedTransport):
    """A request that was accepted and is refused afterwards is given on."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _FickleInbox(inner)


class _ShortLivedLine(WrappedLine):
    def receive(self, timeout: float) -> bytes | None:
        self.check()
        if timeout > _YEARS:
            raise OverflowError("timeout is too large")
        return self.inner.receive(timeout)


@broken("foreign-error-for-huge-timeouts", kills=("ERR-008",), shows="OverflowError")
class ForeignErrorForHugeTimeouts(WrappedTransport):
    """A receive at a line with a timeout of years raises an error of the language."""

    def line(self, inner: Line) -> Line:
        return _ShortLivedLine(inner)


@broken("checks-size-first", kills=("ERR-009",), shows="publish with a wrong name and too large a frame")
class ChecksSizeFirst(WrappedTransport):
    """Publishing looks at the size of a frame before it looks at the name."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        if len(frame) > self.guarantees.max_frame:
            raise FrameTooLarge("too large")
        self.inner.publish(channel, frame)


@broken("opens-without-a-lock", kills=("LINE-015",), shows="another thread")
class OpensWithoutALock(WrappedTransport):
    """A thread that serves while another one begins to serve on the same transport is turned away."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._users: set[threading.Thread] = set()
        self._opening = False

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self._users.add(threading.current_thread())
        if self._opening:
            self.check()
            raise Unavailable("another thread is about to serve")
        self._opening = True
        try:
            if len(self._users) > 1:
                threading.Event().wait(0.01)
            return self.inner.serve(service, capacity)
        finally:
            self._opening = False


@broken(
    "foreign-error-in-send",
    kills=("LINE-012",),
    shows="OverflowError",
)
class ForeignErrorInSend(WrappedTransport):
    """A frame that is too large raises an error of the language."""

    def line(self, inner: Line) -> Line:
        return _OverflowingLine(inner)


class _OverflowingLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except FrameTooLarge as error:
            raise OverflowError(str(error)) from None
