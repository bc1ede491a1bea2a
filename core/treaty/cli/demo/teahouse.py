"""The service of the demo: a tea house, small enough to read in a minute.

It must not know over which transport it is called, nor that it is part of a demo.
"""

# Every handler takes the message, whether it needs it or not.
# ruff: noqa: ARG002

from __future__ import annotations

import threading

from treaty.incoming import Incoming
from treaty.registry import error
from treaty.service import Service


@error("teahouse.out-of-stock", status=409)
class OutOfStock(Exception):
    """Raised by the handler and, as it is registered at both ends, by the call: with its fields."""

    def __init__(self, tea: str, left: int) -> None:
        super().__init__(f"only {left} of {tea} left")
        self.tea, self.left = tea, left


class TeaHouse(Service):
    """Exposes each ``on_<method>`` as ``teahouse.<method>``."""

    name = "teahouse"

    def setup(self) -> None:
        """Open what the handlers need; called before the first request."""
        self._rung = 0
        self._bell = threading.Condition()

    def on_greet(self, message: Incoming, guest: str) -> str:
        """Welcome a guest."""
        return f"Welcome, {guest}."

    async def on_add(self, message: Incoming, a: int, b: int) -> int:
        """Add two numbers. Handlers may be coroutines."""
        return a + b

    def on_brew(self, message: Incoming, tea: str) -> str:
        """Make a pot of tea, and say how it is going: the caller sees each status message while the call runs."""
        message.status(102, "warming the pot", progress=0.25)
        message.status(102, "steeping", progress=0.5)
        message.status(102, "pouring", progress=0.75)
        message.set_status(200, "Mind, it is hot.")
        return f"a pot of {tea}"

    def on_order(self, message: Incoming, tea: str, cups: int) -> None:
        """Fail with an error that keeps its type, since it is registered."""
        raise OutOfStock(tea, left=2)

    def on_split_bill(self, message: Incoming, total: float, guests: int) -> float:
        """Fail, for no guests, with an error that nobody has registered."""
        return total / guests

    def on_doze(self, message: Incoming, seconds: float) -> bool:
        """Take a long time, but notice when the caller has given up."""
        return message.wait_cancelled(seconds)

    def on_ring(self, message: Incoming) -> None:
        """Ring the bell."""
        with self._bell:
            self._rung += 1
            self._bell.notify_all()

    def on_rung(self, message: Incoming, wait_for: int = 0) -> int:
        """Say how often the bell was rung, as soon as that is ``wait_for`` times or the time is up."""
        with self._bell:
            self._bell.wait_for(lambda: self._rung >= wait_for, timeout=message.remaining / 2)
            return self._rung

    def on_announce(self, message: Incoming, tea: str) -> None:
        """Tell everybody who listens that there is a new tea."""
        self.publish("Menu.changed", {"new": tea})
