"""The workbench of one rule: fresh names, both ends of a transport, a service and clients, and everything put away.

A rule sees transports only through a bench, whose recorder writes down what crosses. It must not know which rule it
serves, nor pytest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final, TypeVar

from treaty import Client, Delivery, Guarantees, Inbox, Key, Keyring, Line, Service, Transport
from treaty_contracts.aside import Aside
from treaty_contracts.expect import Violated, said, until
from treaty_contracts.hooks import hooked
from treaty_contracts.profile import Profile
from treaty_contracts.recording import Recorder
from treaty_contracts.subject import Subject
from treaty_contracts.surface import Ended, Surface, Ticket, make
from treaty_contracts.target import Context, Target
from treaty_contracts.workbench import Workbench, quietly

_S = TypeVar("_S", bound=Service)
#: Of how many round trips the quickest is the pace of a transport.
_PACES: Final = 5


class Bench(Workbench):
    """What a rule works on.

    Args:
        target: the transport under test.
        profile: how thoroughly to look.
        number: the seed of everything that is drawn.
        surface: ``"blocking"`` or ``"asyncio"``.
        hooks: the hooks of the target that the rule uses.
    """

    def __init__(
        self,
        target: Target,
        profile: Profile,
        number: int = 0,
        surface: str = "blocking",
        hooks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(target, profile, number)
        self.target: Final = target
        self.namespace: Final = "c" + os.urandom(6).hex()
        self.key: Final = Key.generate(os.urandom)
        self.secret: Final = self.key.text()
        self.keyring: Final = Keyring(self.key)
        self._hooks = hooks
        self._surface_name = surface
        self._surface: Surface | None = None
        self._names = count(1)
        self._pace: float | None = None
        self._transports: dict[str, Transport] = {}
        self._opened: list[Transport] = []
        self._tickets: list[Ticket] = []

    # Names and ends

    def name(self, label: str = "s") -> str:
        """Return a name for a service or channel that nobody else uses."""
        return f"{self.namespace}-{label}{next(self._names)}"

    def context(self, role: str, namespace: str = "") -> Context:
        """Return what the target is told when it opens an end."""
        return Context(
            namespace=namespace or self.namespace,
            role=role,
            secret=self.secret,
            time_scale=self.target.time_scale,
            hooks=self._hooks,
        )

    def open(self, role: str, namespace: str = "") -> Transport:
        """Open another transport object, which is closed with the bench at the latest."""
        made = Recorder(self.target.opened(self.context(role, namespace)), self.trace, role)
        self._opened.append(made)
        return self.keep(made)

    def transport(self, role: str = "client") -> Transport:
        """Return the transport object of one end, opened when it is first asked for."""
        if role not in self._transports:
            self._transports[role] = self.open(role)
        return self._transports[role]

    @property
    def guarantees(self) -> Guarantees:
        """What the transport declares."""
        return self.transport("service").guarantees

    def inbox(self, service: str, capacity: int = 100) -> Inbox:
        """Serve without a service: the rule is the service."""
        return self.keep(self.transport("service").serve(service, capacity))

    def line(self) -> Line:
        """Dial without a client: the rule is the client."""
        return self.keep(self.transport("client").dial())

    def feed(self, channel: str) -> Inbox:
        """Subscribe without a client."""
        return self.keep(self.transport("client").subscribe(channel))

    # What stands between the ends

    def hook(self, name: str) -> Callable[..., Any]:
        """Return a hook of the target, for this rule: what it takes besides the context is still to be given."""
        if name not in self._hooks:
            raise LookupError(f"the rule does not say that it uses the hook {name!r}")
        return hooked(self.target, name, self.context("client"))

    # Services and clients

    def subject(self, *, transport: Transport | None = None, name: str = "", **options: Any) -> Subject:
        """Start a service with handlers that echo, fail and wait."""
        return self.service(Subject, transport=transport, name=name, **options)

    def service(self, base: type[_S], *, transport: Transport | None = None, name: str = "", **options: Any) -> _S:
        """Start a service of a class that has no name yet."""
        named = type(base.__name__, (base,), {"name": name or self.name()})
        made: _S = named(transport or self.transport("service"), **{"secret": self.secret, "drain": 0.2, **options})
        self._stack.callback(quietly, made.stop)
        made.start()
        return made

    def client(self, *, transport: Transport | None = None, **options: Any) -> Client:
        """Make a client."""
        chosen = {"secret": self.secret, "timeout": self.times.arrive, **options}
        return self.keep(Client(transport or self.transport("client"), **chosen))

    # Calls on the surface under test

    @property
    def surface(self) -> Surface:
        """The surface on which the rule is judged."""
        if self._surface is None:
            self._surface = make(self._surface_name)
            self._stack.callback(self._surface.close)
        return self._surface

    def start(self, client: Client, target: str, params: Any = None, timeout: float | None = None) -> Ticket:
        """Start a call on the surface under test."""
        ticket = self.surface.start(client, target, params, timeout)
        self._tickets.append(ticket)
        return ticket

    def end(self, ticket: Ticket, timeout: float | None = None) -> Ended:
        """Wait for a call that has ``timeout`` seconds; it may be late by the slack and no more."""
        return ticket.wait((self.times.arrive if timeout is None else timeout) + self.times.slack)

    def call(self, client: Client, target: str, params: Any = None, timeout: float | None = None) -> Ended:
        """Make a call on the surface under test and return how it ended."""
        return self.end(self.start(client, target, params, timeout), timeout)

    def result(self, client: Client, target: str, params: Any = None, timeout: float | None = None) -> Any:
        """Make a call that must succeed, and return its result."""
        ended = self.call(client, target, params, timeout)
        self.expect.that(ended.error is None, f"{target}: a result", repr(ended.error))
        return ended.value

    # What arrives

    def arrives(self, inbox: Inbox, what: str = "a frame that was sent", *, marked: bool = False) -> Delivery:
        """Return the next delivery, which must come.

        What is marked as redelivered is passed over where that is declared, unless ``marked`` ones are looked for: it
        may come at any time, and the mark is there so that nobody runs it again.
        """
        until = time.monotonic() + self.times.arrive
        delivery = inbox.receive(self.times.arrive)
        while not marked and delivery is not None and delivery.redelivered and self.guarantees.redelivers:
            delivery.settle()
            delivery = inbox.receive(max(0.0, until - time.monotonic()))
        came = "" if delivery is not None else f"nothing in {self.times.arrive:g} s{self._failed()}"
        self.expect.that(delivery is not None, f"{what} arrives at the inbox", came)
        assert delivery is not None
        return delivery

    def queued(self, inbox: Inbox, sent: Sequence[bytes], what: str) -> list[Delivery]:
        """Return as many deliveries as were queued, settled, which must come; each with a frame that may be wrong.

        Whether they are marked as redelivered is not judged: a broker may not know what an earlier inbox did with what
        it had fetched. One that is marked and was here before is passed over.
        """
        came: list[Delivery] = []
        while len(came) < len(sent):
            number = f"{what}, number {len(came) + 1} of {len(sent)},"
            delivery = self.arrives(inbox, number, marked=True)
            delivery.settle()
            known = delivery.frame not in sent or any(delivery.frame == one.frame for one in came)
            if not (delivery.redelivered and self.guarantees.redelivers and known):
                came.append(delivery)
        return came

    def redelivered(self, inbox: Inbox, frames: Sequence[bytes], what: str) -> list[Delivery]:
        """Return the deliveries of frames that another inbox had taken, which must come, marked; none is settled.

        What is marked may come twice, and is passed over then.
        """
        found: dict[bytes, Delivery] = {}
        while len(found) < len(frames):
            delivery = self.arrives(inbox, what, marked=True)
            self.expect.that(delivery.frame in frames, f"{what}: one of {list(frames)}", delivery.frame)
            self.expect.that(delivery.redelivered, "marked as redelivered, as another inbox took it", "it is not")
            if delivery.frame in found:
                delivery.settle()
            else:
                found[delivery.frame] = delivery
        return list(found.values())

    def _failed(self) -> str:
        """Say how the last call that failed has ended: what it was to send may never have been sent."""
        over = [(ticket.target, ticket.wait(0).error) for ticket in self._tickets if ticket.done]
        return next((f"; the call of {target} ended with {said(error)}" for target, error in over[::-1] if error), "")

    def returns(self, line: Line, what: str = "a frame that was replied") -> bytes:
        """Return the next frame at a line, which must come."""
        frame = line.receive(self.times.arrive)
        self.expect.that(frame is not None, f"{what} arrives at the line", f"nothing in {self.times.arrive:g} s")
        assert frame is not None
        return frame

    def round_trip(self, line: Line, inbox: Inbox, service: str, frame: bytes = b"fence") -> None:
        """Send a frame and reply it: the fence behind which nothing older can be under way."""
        size = f"({len(frame):,} bytes)"
        line.send(service, frame, self.times.arrive)
        delivery = self.arrives(inbox, f"a frame that was sent {size}")
        self.expect.equal(delivery.frame, frame, "the frame that arrives next")
        delivery.reply(delivery.frame)
        delivery.settle()
        came = self.returns(line, f"a frame that was replied {size}")
        self.expect.equal(came, frame, "the frame that comes back next")

    def sends(self, line: Line, service: str, frames: Iterable[bytes]) -> Aside[None]:
        """Send frames from a thread of their own, so that a transport with little room can be read meanwhile."""
        chosen = tuple(frames)

        def work() -> None:
            for frame in chosen:
                line.send(service, frame, self.times.arrive)

        return Aside(work)

    def replies(self, delivery: Delivery, frames: Iterable[bytes]) -> Aside[None]:
        """Reply frames from a thread of their own, and settle."""
        chosen = tuple(frames)

        def work() -> None:
            for frame in chosen:
                delivery.reply(frame)
            delivery.settle()

        return Aside(work)

    def gather(self, end: Line | Inbox, count: int, fence: bytes) -> list[bytes]:
        """Return what arrives at an end, and settle it, until the fence and ``count`` frames are there.

        Where order is kept, nothing is under way once the fence has come; what is missing is given a short while all
        the same, as order is for other rules. Elsewhere it is waited for, and for a little while what is too much.
        """
        got: list[bytes] = []
        ordered, fenced = self.guarantees.ordered, False
        while not fenced or len(got) <= count:
            came = end.receive(self.times.slack if ordered and fenced else self.times.arrive)
            if came is None:
                break
            frames = self.settled(came)
            got += frames
            fenced = fenced or fence in frames
        if not ordered and len(got) > count:
            got += self.silence(end)
        return [frame for frame in got if frame != fence]

    def silence(self, *ends: Line | Inbox) -> list[bytes]:
        """Wait a little for what must not come, at all ends for the same while, and return the frames that came.

        This is for what no fence can tell, and the only wait of this kind: its seconds are counted.
        """
        window, started = self.window, time.monotonic()
        came: list[bytes] = []
        for end in ends:
            while (got := end.receive(max(0.0, started + window - time.monotonic()))) is not None:
                came += self.settled(got)
        self.quiet += time.monotonic() - started
        return came

    def stays(self, fine: Callable[[], object]) -> bool:
        """Watch for as long as :meth:`silence` waits whether something stays true, and count that as well."""
        started = time.monotonic()
        changed = until(lambda: not fine(), self.window)
        self.quiet += time.monotonic() - started
        return not changed

    @property
    def window(self) -> float:
        """For how many seconds silence is listened to: long enough for ten round trips."""
        return max(self.times.quiet, min(10 * self.pace, self.times.slack / 2))

    def settled(self, came: bytes | Delivery) -> list[bytes]:
        """Return the frame; none for a delivery that is marked as redelivered where that is declared."""
        if isinstance(came, bytes):
            return [came]
        came.settle()
        return [came.frame] if self.unmarked(came) else []

    def unmarked(self, came: bytes | Delivery) -> bool:
        """Say whether it counts: what is marked as redelivered, where that is declared, may come at any time."""
        return isinstance(came, bytes) or not (came.redelivered and self.guarantees.redelivers)

    # Cases

    @property
    def pace(self) -> float:
        """The seconds of one round trip on this transport: the quickest of a few, measured when first asked for."""
        if self._pace is None:
            service = self.name("pace")
            inbox, line = self.inbox(service), self.line()
            took = []
            with suppress(Exception):  # what goes wrong here is what a rule is going to say
                for _ in range(_PACES):
                    started = time.monotonic()
                    line.send(service, b"pace", self.times.slack)
                    delivery = inbox.receive(self.times.slack)
                    assert delivery is not None
                    delivery.reply(b"pace")
                    delivery.settle()
                    assert line.receive(self.times.slack) is not None
                    took.append(time.monotonic() - started)
            for end in (line, inbox):
                quietly(end.close)
            self._pace = min(took, default=0.0)
        return self._pace

    def close(self) -> None:
        """Put everything away. What a close does wrong, or how long it takes, is the business of the LIFE rules.

        Transports go first: the threads of services are then let go at once, and need not be waited for one by one.
        """

        def work() -> None:
            for transport in reversed(self._opened):
                quietly(transport.close)
            self._stack.close()

        with suppress(Violated):
            Aside(work).result(self.times.arrive)


__all__ = ["Bench", "Violated"]
