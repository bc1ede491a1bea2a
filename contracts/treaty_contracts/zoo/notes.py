"""Animals that do something to notifications: they lose, repeat or reorder them, or give them to somebody else.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar

from treaty import Delivery, Inbox, Line, Transport, TransportError, check_name
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.frames import Crossing, OvertakingInbox
from treaty_contracts.zoo.waiting import PollingInbox, SlowInbox


class _LateFeed(WrappedInbox):
    late = True

    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        if delivery is not None and self.late:
            self.late = False
            return self.inner.receive(timeout)
        return delivery


@broken("late-subscription", kills=("NOTE-001",), shows=" lost")
class LateSubscription(WrappedTransport):
    """The first notification after subscribe has returned is lost."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _LateFeed(inner)


@broken("loses-every-nth-notification", kills=("NOTE-001",), shows=" lost")
class LosesEveryNthNotification(WrappedTransport):
    """Every seventh notification is lost."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._numbers = count(1)

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        if next(self._numbers) % 7 or not check_name(channel):
            self.inner.publish(channel, frame)


@broken("loses-large-notifications", kills=("NOTE-001",), shows="a notification of 65,537 bytes")
class LosesLargeNotifications(WrappedTransport):
    """A notification of more than 64 KiB is lost."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        check_name(channel)
        if not 65_536 < len(frame) <= self.guarantees.max_frame:
            self.inner.publish(channel, frame)


@broken("loses-the-largest-notification", kills=("NOTE-001",), shows="a notification of 1,048,576 bytes")
class LosesTheLargestNotification(WrappedTransport):
    """A notification that is as large as is declared is lost."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.check()
        check_name(channel)
        if len(frame) != self.guarantees.max_frame:
            self.inner.publish(channel, frame)


@broken("cuts-large-notifications", kills=("NOTE-001",), shows="100,000 bytes")
class CutsLargeNotifications(WrappedTransport):
    """A notification ends after 100,000 bytes."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(channel, frame[:100_000] if len(frame) <= self.guarantees.max_frame else frame)


@broken(
    "reorders-notifications",
    kills=("NOTE-002",),
    shows="what a subscriber gets, in order",
)
class ReordersNotifications(WrappedTransport):
    """Of two notifications that wait the second is handed out first."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return OvertakingInbox(inner)


@broken(
    "duplicates-notifications",
    kills=(
        "NOTE-005",
        "NOTE-006",
        "NOTE-011",
        "AUTH-004",
    ),
    shows="what subscriber 0 gets",
)
class DuplicatesNotifications(WrappedTransport):
    """Every notification is published twice."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(channel, frame)
        self.inner.publish(channel, frame)


@broken("channels-match-prefixes", kills=("NOTE-004",), shows="the first frame of the channel")
class ChannelsMatchPrefixes(WrappedTransport):
    """An x at the end of a channel's name does not count."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(channel.rstrip("x"), frame)

    def subscribe(self, channel: str) -> Inbox:
        return self.inner.subscribe(channel.rstrip("x"))


@broken("channels-drop-zeros", kills=("NOTE-004",), shows="the first frame of the channel")
class ChannelsDropZeros(WrappedTransport):
    """Zeros at the end of a channel's name that follow a dash do not count."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(_without_zeros(channel), frame)

    def subscribe(self, channel: str) -> Inbox:
        return self.inner.subscribe(_without_zeros(channel))


def _without_zeros(name: str) -> str:
    stem = name.rstrip("0")
    return stem if stem.endswith("-") else name


@broken("publishes-to-services", kills=("NOTE-014",), shows="the frame that arrives next")
class PublishesToServices(WrappedTransport):
    """What is published arrives at the service of that name as well."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(channel, frame)
        with suppress(TransportError), self.inner.dial() as line:
            line.send(channel, frame, 0)


class _AnnouncingLine(WrappedLine):
    def __init__(self, inner: Line, publish: Callable[[str, bytes], None]) -> None:
        super().__init__(inner)
        self._publish = publish

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        with suppress(TransportError):
            self._publish(service, frame)


@broken("sends-to-subscribers", kills=("NOTE-014",), shows="what a subscriber gets while a service has the name")
class SendsToSubscribers(WrappedTransport):
    """What is sent to a service arrives at the subscribers of a channel of that name as well."""

    def line(self, inner: Line) -> Line:
        return _AnnouncingLine(inner, self.inner.publish)


class _Registered(WrappedInbox):
    """A feed that is known to the transports of its kind, until it is closed."""

    def __init__(self, inner: Inbox, channel: str, known: list[_Registered]) -> None:
        super().__init__(inner)
        self.channel = channel
        self._known = known
        known.append(self)

    def leave(self) -> None:
        """Be known no more."""
        if self in self._known and not self.foreign:
            self._known.remove(self)

    def close(self) -> None:
        self.leave()
        self.inner.close()


@broken("subscribes-to-everything", kills=("NOTE-004",), shows="the first frame of the channel")
class SubscribesToEverything(WrappedTransport):
    """A subscriber gets what is published on any channel of its address."""

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(self._cut(channel), frame)

    def subscribe(self, channel: str) -> Inbox:
        return self.inner.subscribe(self._cut(channel))

    def _cut(self, channel: str) -> str:
        self.check()
        return check_name(channel)[:13]


@broken(
    "subscribers-compete",
    kills=(
        "NOTE-005",
        "NOTE-003",
        "NOTE-004",
        "NOTE-006",
        "NOTE-011",
    ),
    shows=" lost",
)
class SubscribersCompete(WrappedTransport):
    """Of several subscribers of a channel each notification reaches only one, in turn."""

    known: ClassVar[list[_Registered]] = []
    numbers = count()

    def publish(self, channel: str, frame: bytes) -> None:
        queues = [feed.own_name for feed in self.known if feed.channel == channel and isinstance(feed, _Own)]
        self.inner.publish(queues[next(self.numbers) % len(queues)] if queues else channel, frame)

    def subscribe(self, channel: str) -> Inbox:
        self.inner.subscribe(channel).close()
        name = f"{channel[:50]}-{next(self.numbers)}"
        return _Own(self.inner.subscribe(name), channel, self.known, name)


class _Own(_Registered):
    """A feed with a queue of its own name."""

    def __init__(self, inner: Inbox, channel: str, known: list[_Registered], name: str) -> None:
        super().__init__(inner, channel, known)
        self.own_name = name


class _Jealous(_Registered):
    """Takes all others of its channel along when it is closed."""

    def close(self) -> None:
        if not self.closed and not self.foreign:
            for other in [one for one in self._known if one.channel == self.channel and one is not self]:
                other.leave()
                other.inner.close()
        super().close()


@broken(
    "close-unsubscribes-all",
    kills=(
        "NOTE-003",
        "LIFE-019",
    ),
    shows="a notification that was published is heard",
)
class CloseUnsubscribesAll(WrappedTransport):
    """Whoever closes a subscription closes all of that channel on the same transport."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._known: list[_Registered] = []

    def feed(self, inner: Inbox, channel: str) -> Inbox:
        return _Jealous(inner, channel, self._known)


class _Followed(_Registered):
    """Counts what waits to be read."""

    waiting = 0

    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        if delivery is not None:
            self.waiting -= 1
        return delivery


@broken(
    "blocks-on-slow-subscriber",
    kills=(
        "NOTE-006",
        "NOTE-012",
    ),
    shows="what was published",
)
class BlocksOnSlowSubscriber(WrappedTransport):
    """While forty notifications wait for one subscriber of a channel, nobody gets any more."""

    known: ClassVar[list[Any]] = []

    def publish(self, channel: str, frame: bytes) -> None:
        mine = [one for one in self.known if one.channel == channel]
        if any(one.waiting >= 40 for one in mine) and not self.closed:
            return
        self.inner.publish(channel, frame)
        for one in mine:
            one.waiting += 1

    def feed(self, inner: Inbox, channel: str) -> Inbox:
        return _Followed(inner, channel, self.known)


@broken("polls-notifications-slowly", kills=("NOTE-010",), shows="from publish to a subscription that waits")
class PollsNotificationsSlowly(WrappedTransport):
    """A subscription looks ten times a second."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return PollingInbox(inner)


@broken("subscription-ignores-timeout", kills=("NOTE-010",), shows="of a subscription")
class SubscriptionIgnoresTimeout(WrappedTransport):
    """A subscription waits three times as long as it is told, and never less than 0.6 s."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return SlowInbox(inner)


class _Placed(WrappedDelivery):
    def __init__(self, inner: Delivery, unsettled: set[Delivery]) -> None:
        super().__init__(inner)
        self._unsettled = unsettled
        unsettled.add(self)

    def settle(self, accepted: bool = True) -> None:
        self._unsettled.discard(self)
        self.inner.settle(accepted)


class _PlacedFeed(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self._unsettled: set[Delivery] = set()

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        return None if len(self._unsettled) >= 4 else super().receive(timeout)

    def delivery(self, inner: Delivery) -> Delivery:
        return _Placed(inner, self._unsettled)


@broken("notifications-take-places", kills=("NOTE-011",), shows="a notification while others are not settled")
class NotificationsTakePlaces(WrappedTransport):
    """While four notifications are not settled nothing more is handed out."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _PlacedFeed(inner)


@broken(
    "interleaves-notifications",
    kills=(
        "NOTE-012",
        "PLAN-002",
    ),
    shows=" lost",
)
class InterleavesNotifications(WrappedTransport):
    """Two threads that publish at the same time mix their notifications."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._crossing = Crossing()

    def publish(self, channel: str, frame: bytes) -> None:
        too_large = len(frame) > self.guarantees.max_frame
        self.inner.publish(channel, frame if too_large else self._crossing.meet(frame))
