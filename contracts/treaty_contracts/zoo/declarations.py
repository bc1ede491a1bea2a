"""Animals whose declaration is not true: each lies about one guarantee, in one of the two directions.

It must not know rules.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Event
from typing import Any, ClassVar

import msgspec

from treaty import Guarantees, Inbox, InvalidTarget, Line, Transport, TransportError, check_name
from treaty_contracts.wrapping import WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.references import MINIMAL, complete


class _Lying(WrappedTransport):
    lies: ClassVar[dict[str, Any]]

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.guarantees: Guarantees = msgspec.structs.replace(inner.guarantees, **self.lies)


@broken("declares-nonsense", kills=("SETUP-002",), shows="ordered: True or False")
class DeclaresNonsense(_Lying):
    """An answer of the declaration is text."""

    lies: ClassVar = {"ordered": "mostly"}


@broken("answers-change", kills=("SETUP-002",), shows="the declaration of the client's end")
class AnswersChange(WrappedTransport):
    """Every transport object declares a limit that is one byte lower than that of the one before."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        AnswersChange.lower += 1
        limit = inner.guarantees.max_frame - AnswersChange.lower
        self.guarantees: Guarantees = msgspec.structs.replace(inner.guarantees, max_frame=limit)

    lower: ClassVar[int] = 0


@broken(
    "lies-about-processes",
    kills=(
        "LINE-014",
        "LIFE-022",
    ),
    shows="a frame from another process",
)
class LiesAboutProcesses(_Lying):
    """It declares that it crosses processes, and does not."""

    lies: ClassVar = {"crosses_processes": True}


class _CopyLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        with suppress(TransportError):
            self.inner.send(service, frame, timeout)


@broken("sends-into-a-copy", kills=("REFUSE-CROSSES-PROCESSES",), shows="sent, and received None", base=MINIMAL)
class SendsIntoACopy(WrappedTransport):
    """In another process frames go into a copy of the queues that nobody reads."""

    def line(self, inner: Line) -> Line:
        return _CopyLine(inner)


@broken("lies-about-notifications", kills=("NOTE-001",), shows=" lost")
class LiesAboutNotifications(WrappedTransport):
    """It declares notifications, and publishes nothing."""

    def publish(self, channel: str, frame: bytes) -> None:
        # What is checked is checked all the same: the frame goes where nobody listens.
        with suppress(InvalidTarget):
            channel = check_name(channel)[:40] + "-nobody"
        self.inner.publish(channel, frame)


@broken("pretends-to-publish", kills=("REFUSE-NOTIFICATIONS",), shows="publish: Unsupported")
class PretendsToPublish(_Lying):
    """It declares that it has no notifications, and takes them all the same."""

    lies: ClassVar = {"notifications": False}


@broken("lies-about-competing", kills=("INBOX-002",), shows="AddressInUse", base=complete(competing_workers=False))
class LiesAboutCompeting(_Lying):
    """It declares that workers compete, and takes only one."""

    lies: ClassVar = {"competing_workers": True}


@broken("competes-undeclared", kills=("REFUSE-COMPETING-WORKERS",), shows="AddressInUse")
class CompetesUndeclared(_Lying):
    """It declares that workers cannot compete, and lets them."""

    lies: ClassVar = {"competing_workers": False}


@broken(
    "lies-about-order",
    kills=("LINE-008",),
    shows="the order at",
    base=complete(ordered=False),
)
class LiesAboutOrder(_Lying):
    """It declares that order is kept, and every other frame overtakes the one before it."""

    lies: ClassVar = {"ordered": True}


@broken(
    "lies-about-absence",
    kills=("LINE-013",),
    shows="Unavailable in",
    base=complete(notices_absence=None),
)
class LiesAboutAbsence(_Lying):
    """It declares that absence is noticed, and drops what nobody takes."""

    lies: ClassVar = {"notices_absence": 0.0}


class _WaitingLine(WrappedLine):
    def __init__(self, inner: Line, served: set[str]) -> None:
        super().__init__(inner)
        self._served = served

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        if service not in self._served:
            Event().wait(1.5)


@broken(
    "send-blocks-without-service",
    kills=("REFUSE-NOTICES-ABSENCE",),
    shows="every call ends, by its deadline",
    base=complete(notices_absence=None),
)
class SendBlocksWithoutService(WrappedTransport):
    """A send waits 1.5 s for a service that was never there, whatever its timeout."""

    served: ClassVar[set[str]] = set()

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self.served.add(service)
        return self.inner.serve(service, capacity)

    def line(self, inner: Line) -> Line:
        return _WaitingLine(inner, self.served)


@broken(
    "lies-about-survives",
    kills=("INBOX-007",),
    shows="Unavailable",
    base=complete(survives_restart=False, redelivers=False),
)
class LiesAboutSurvives(_Lying):
    """It declares that queued requests survive, and they do not."""

    lies: ClassVar = {"survives_restart": True}


@broken(
    "delivers-from-the-grave",
    kills=("REFUSE-SURVIVES-RESTART", "LINE-013"),
    shows="the first that the next inbox gets",
    base=complete(redelivers=False),
)
class DeliversFromTheGrave(_Lying):
    """It declares that queued requests do not survive, and they reach the next inbox."""

    lies: ClassVar = {"survives_restart": False}


@broken(
    "loses-unsettled", kills=("INBOX-008",), shows="the request that was not settled", base=complete(redelivers=False)
)
class LosesUnsettled(_Lying):
    """It declares that unsettled deliveries are given to others, and they are lost."""

    lies: ClassVar = {"redelivers": True}


@broken("redelivers-silently", kills=("REFUSE-REDELIVERS",), shows="the first that the next inbox gets")
class RedeliversSilently(_Lying):
    """It declares that nothing is redelivered, and gives what was not settled to the next."""

    lies: ClassVar = {"redelivers": False}


@broken("lies-about-max-frame", kills=("LINE-012", "NOTE-001"), shows="FrameTooLarge")
class LiesAboutMaxFrame(_Lying):
    """It declares a limit that is one byte too high."""

    lies: ClassVar = {"max_frame": 1024 * 1024 + 1}


@broken("no-size-check", kills=("LINE-012",), shows="one byte over", base=complete(max_frame=2 * 1024 * 1024))
class NoSizeCheck(_Lying):
    """It declares a limit, and takes frames that are larger."""

    lies: ClassVar = {"max_frame": 1024 * 1024}
