"""Animals that deliver to the wrong place, at the wrong time, or forget where a reply goes.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

from hashlib import sha256

from treaty import Delivery, Inbox, Line, TransportError
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken


class _WithInbox(WrappedTransport):
    """Wraps the inboxes of services in the class that it names."""

    kind: type[WrappedInbox]

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - one as the other
        return self.kind(inner)


class _LastAsker(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self.last: list[Delivery] = []

    def delivery(self, inner: Delivery) -> Delivery:
        self.last[:] = [inner]
        return _ToTheLast(inner, self.last)


class _ToTheLast(WrappedDelivery):
    def __init__(self, inner: Delivery, last: list[Delivery]) -> None:
        super().__init__(inner)
        self._last = last

    def reply(self, frame: bytes) -> None:
        self._last[0].reply(frame)


@broken("echoes-to-the-wrong-line")
class EchoesToTheWrongLine(_WithInbox):
    """A reply goes to whoever asked last."""

    kind = _LastAsker


class _Outstanding(WrappedInbox):
    def __init__(self, inner: Inbox) -> None:
        super().__init__(inner)
        self.open: list[Delivery] = []

    def delivery(self, inner: Delivery) -> Delivery:
        self.open.append(inner)
        return _Swapped(inner, self.open)


class _Swapped(WrappedDelivery):
    def __init__(self, inner: Delivery, others: list[Delivery]) -> None:
        super().__init__(inner)
        self._others = others

    def reply(self, frame: bytes) -> None:
        other = next((one for one in self._others if one is not self.inner), self.inner)
        other.reply(frame)

    def settle(self, accepted: bool = True) -> None:
        if self.inner in self._others:
            self._others.remove(self.inner)
        self.inner.settle(accepted)


@broken("swaps-replies")
class SwapsReplies(_WithInbox):
    """While two requests are open, the reply to one goes to the other."""

    kind = _Outstanding


class _OnceOnly(WrappedDelivery):
    replied = False

    def reply(self, frame: bytes) -> None:
        if not self.replied:
            self.inner.reply(frame)
        self.replied = True


class _OnceInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _OnceOnly(inner)


@broken("one-reply-only")
class OneReplyOnly(_WithInbox):
    """Only the first reply to a request is sent."""

    kind = _OnceInbox


class _UntilSettled(WrappedDelivery):
    settled = False

    def reply(self, frame: bytes) -> None:
        if not self.settled:
            self.inner.reply(frame)

    def settle(self, accepted: bool = True) -> None:
        self.settled = True
        self.inner.settle(accepted)


class _UntilSettledInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _UntilSettled(inner)


@broken("forgets-after-settle")
class ForgetsAfterSettle(_WithInbox):
    """The way back is forgotten when a request is settled."""

    kind = _UntilSettledInbox


class _Accepting(WrappedDelivery):
    def settle(self, accepted: bool = True) -> None:  # noqa: ARG002 - that is the defect
        self.inner.settle(accepted=True)


class _AcceptingInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Accepting(inner)


@broken("drops-what-is-given-back")
class DropsWhatIsGivenBack(_WithInbox):
    """A request that a worker does not accept is gone."""

    kind = _AcceptingInbox


class _Misnamed(WrappedDelivery):
    def __init__(self, inner: Delivery) -> None:
        super().__init__(inner)
        self.reply_to = f"{inner.reply_to}/"


class _MisnamingInbox(WrappedInbox):
    def delivery(self, inner: Delivery) -> Delivery:
        return _Misnamed(inner)


@broken("misnames-the-asker")
class MisnamesTheAsker(_WithInbox):
    """What a delivery says of where replies go is not the address of the line."""

    kind = _MisnamingInbox


class _Late(WrappedInbox):
    late = True

    def receive(self, timeout: float) -> Delivery | None:
        delivery = self.inner.receive(timeout)
        if delivery is not None and self.late:
            self.late = False
            delivery.settle()
            return self.inner.receive(timeout)
        return delivery


@broken("late-serve")
class LateServe(_WithInbox):
    """The first request after serve has returned is lost."""

    kind = _Late


@broken("late-subscription")
class LateSubscription(WrappedTransport):
    """The first notification after subscribe has returned is lost."""

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - one as the other
        return _Late(inner)


@broken("ignores-capacity")
class IgnoresCapacity(WrappedTransport):
    """Every inbox takes whatever comes."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return self.inner.serve(service, capacity + 10_000)


@broken("takes-any-name")
class TakesAnyName(WrappedTransport):
    """A name that is no plain token is made one."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return self.inner.serve(_plain(service), capacity)

    def subscribe(self, channel: str) -> Inbox:
        return self.inner.subscribe(_plain(channel))

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(_plain(channel), frame)

    def line(self, inner: Line) -> Line:
        return _AnyNameLine(inner)


class _AnyNameLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(_plain(service), frame, timeout)


def _plain(name: str) -> str:
    return sha256(name.encode()).hexdigest()


class _DeafLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except TransportError:
            return


@broken("lies-about-absence")
class LiesAboutAbsence(WrappedTransport):
    """It declares that absence is noticed, and drops what nobody takes."""

    def line(self, inner: Line) -> Line:
        return _DeafLine(inner)
