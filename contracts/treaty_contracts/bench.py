"""The workbench of one rule: fresh names, both ends of a transport, a service and clients, and everything put away.

A rule sees transports only through a bench, whose recorder writes down what crosses. It must not know which rule it
serves, nor pytest.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import count
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from treaty import Client, Delivery, Guarantees, Inbox, Key, Keyring, Line, Service, Transport
from treaty_contracts.expect import Expectations, Violated
from treaty_contracts.profile import Profile, Times
from treaty_contracts.recording import Recorder, Trace
from treaty_contracts.subject import Subject
from treaty_contracts.surface import Ended, Surface, Ticket, make
from treaty_contracts.target import Context, Target

_T = TypeVar("_T")
_S = TypeVar("_S", bound=Service)


class Bench:
    """What a rule works on.

    Args:
        target: the transport under test.
        profile: how thoroughly to look.
        number: the seed of everything that is drawn.
        surface: ``"blocking"`` or ``"asyncio"``.
    """

    def __init__(self, target: Target, profile: Profile, number: int = 0, surface: str = "blocking") -> None:
        self.target: Final = target
        self.profile: Final = profile
        self.times = Times.at(target.time_scale)
        self.expect: Final = Expectations()
        self.trace: Final = Trace()
        self.done: Final[list[str]] = []
        self.namespace: Final = "c" + os.urandom(6).hex()
        self.key: Final = Key.generate(os.urandom)
        self.secret: Final = self.key.text()
        self.keyring: Final = Keyring(self.key)
        self.random: Final = random.Random(number)
        self._number = number
        self._surface_name = surface
        self._surface: Surface | None = None
        self._names = count(1)
        self._transports: dict[str, Transport] = {}
        self._stack = ExitStack()

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
        )

    def open(self, role: str, namespace: str = "") -> Transport:
        """Open another transport object, which is closed with the bench at the latest."""
        return self.keep(Recorder(self.target.opened(self.context(role, namespace)), self.trace, role))

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

    # Services and clients

    def subject(self, *, transport: Transport | None = None, name: str = "", **options: Any) -> Subject:
        """Start a service with handlers that echo, fail and wait."""
        return self.service(Subject, transport=transport, name=name, **options)

    def service(self, base: type[_S], *, transport: Transport | None = None, name: str = "", **options: Any) -> _S:
        """Start a service of a class that has no name yet."""
        named = type(base.__name__, (base,), {"name": name or self.name()})
        made: _S = named(transport or self.transport("service"), **{"secret": self.secret, "drain": 0.2, **options})
        self._stack.callback(_quietly, made.stop)
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
        return self.surface.start(client, target, params, timeout)

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

    def arrives(self, inbox: Inbox, what: str = "a frame that was sent") -> Delivery:
        """Return the next delivery, which must come."""
        delivery = inbox.receive(self.times.arrive)
        self.expect.that(delivery is not None, f"{what} arrives at the inbox", f"nothing in {self.times.arrive:g} s")
        assert delivery is not None
        return delivery

    def returns(self, line: Line, what: str = "a frame that was replied") -> bytes:
        """Return the next frame at a line, which must come."""
        frame = line.receive(self.times.arrive)
        self.expect.that(frame is not None, f"{what} arrives at the line", f"nothing in {self.times.arrive:g} s")
        assert frame is not None
        return frame

    def round_trip(self, line: Line, inbox: Inbox, service: str, frame: bytes = b"fence") -> None:
        """Send a frame and reply it: the fence behind which nothing older can be under way."""
        line.send(service, frame, self.times.arrive)
        delivery = self.arrives(inbox)
        self.expect.equal(delivery.frame, frame, "the frame that arrives next")
        delivery.reply(delivery.frame)
        delivery.settle()
        self.expect.equal(self.returns(line), frame, "the frame that comes back next")

    # Cases

    def each(self, cases: SearchStrategy[_T], check: Callable[[_T], None]) -> None:
        """Check drawn cases, the same ones each time unless the seed says otherwise. The smallest bad one is shown."""
        chosen = settings(
            max_examples=self.profile.examples,
            deadline=None,
            derandomize=self._number == 0,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
        )

        @chosen
        @given(case=cases)
        def example(case: _T) -> None:
            self.trace.restart()
            try:
                check(case)
            except Violated:
                # The verdict is clear; what is left is to find the smallest case, and not to wait long for it.
                self.times = replace(self.times, arrive=self.times.slack)
                raise

        if self._number:
            example = seed(self._number)(example)
        example()

    # Life

    def did(self, what: str) -> None:
        """Write down what the rule does, for whoever reads a failure."""
        self.done.append(what)

    def keep(self, resource: _T) -> _T:
        """Close something with the bench."""
        self._stack.callback(_quietly, resource.close)  # type: ignore[attr-defined]  # whatever has a close
        return resource

    def close(self) -> None:
        """Put everything away, newest first. What a close does wrong is the business of the LIFE rules."""
        self._stack.close()


def _quietly(action: Callable[[], object]) -> None:
    with suppress(Exception):
        action()


__all__ = ["Bench", "Violated"]
