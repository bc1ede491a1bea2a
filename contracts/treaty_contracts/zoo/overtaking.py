"""Animals that carry large frames on another way than small ones, so that these overtake.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from treaty import Delivery, Inbox, Line, TreatyError
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken

#: From more than that on a frame is large; up to the limit of what carries it, which is told at once if it is exceeded.
_LARGE, _LIMIT = 65_536, 1024 * 1024
#: Seconds that a large frame takes longer.
_LONGER = 0.005


def _by_the_way(frame: bytes, hand_on: Callable[[], None]) -> None:
    """Hand a frame on, a large one a little later and by a thread."""
    if not _LARGE < len(frame) <= _LIMIT:
        hand_on()
        return

    def later() -> None:
        threading.Event().wait(_LONGER)
        with suppress(TreatyError):
            hand_on()

    threading.Thread(target=later, name="large-frame", daemon=True).start()


class _TwoWayLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.check()
        _by_the_way(frame, lambda: self.inner.send(service, frame, timeout))


@broken("large-requests-are-overtaken", kills=("LINE-008",), shows="the order at the inbox")
class LargeRequestsAreOvertaken(WrappedTransport):
    """A request of more than 64 KiB takes another way, and 5 ms longer."""

    def line(self, inner: Line) -> Line:
        return _TwoWayLine(inner)


class _TwoWayDelivery(WrappedDelivery):
    def __init__(self, inner: Delivery, end: Inbox) -> None:
        super().__init__(inner)
        self._end = end

    def reply(self, frame: bytes) -> None:
        self._end.check()
        _by_the_way(frame, lambda: self.inner.reply(frame))


class _TwoWayInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _TwoWayDelivery(inner, self)


@broken("large-replies-are-overtaken", kills=("LINE-008", "INBOX-009"), shows="the order at the line")
class LargeRepliesAreOvertaken(WrappedTransport):
    """A reply of more than 64 KiB takes another way, and 5 ms longer."""

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _TwoWayInbox(inner)


@broken("large-notifications-are-overtaken", kills=("NOTE-002",), shows="what a subscriber gets, in order")
class LargeNotificationsAreOvertaken(WrappedTransport):
    """A notification of more than 64 KiB takes another way, and 5 ms longer."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        _by_the_way(frame, lambda: self.inner.publish(channel, frame))
