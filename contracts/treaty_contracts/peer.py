"""Another process that does something over a transport of its own, step by step, beside a rule.

It is forked, so that a target comes along as it is: before anything is served or connected, where what is inherited is
not the point, as a library may hold a lock at that moment that nobody in the child lets go. It must not know rules.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any

from treaty import Transport
from treaty_contracts.bench import Bench
from treaty_contracts.expect import Violated
from treaty_contracts.forking import Child


class Peer:
    """A process in which each side can wait for the other one.

    Args:
        bench: of the rule.
        role: the end that the process opens.
        work: what it does there. It is given the transport and this object; what it returns is its report.
    """

    def __init__(self, bench: Bench, role: str, work: Callable[[Transport, Peer], Any]) -> None:
        for end in ("client", "service"):
            bench.transport(end)  # a target may find its address when it is first asked: both processes need the same
        self._limit = bench.times.arrive * 2
        self._far, self._tell = os.pipe()
        self._heard, self._go = os.pipe()

        def live() -> Any:
            with bench.target.opened(bench.context(role)) as transport:
                return work(transport, self)

        self._child = Child(live, bench.times.arrive * 3)
        os.close(self._tell)  # or nobody would see that the process is gone
        bench.keep(self)

    # There

    def tell(self) -> None:
        """Say that a step is done."""
        os.write(self._tell, b"!")

    def wait(self) -> None:
        """Wait until the rule says :meth:`go`."""
        os.read(self._heard, 1)

    # Here

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    def did(self, what: str) -> None:
        """Wait until the process says that a step is done.

        Raises:
            Violated: it does not.
        """
        if not select.select([self._far], [], [], self._limit)[0]:
            raise Violated(f"another process {what}", f"it says nothing in {self._limit:g} s: it hangs")
        if not os.read(self._far, 1):
            raise Violated(f"another process {what}", repr(self))

    def go(self) -> None:
        """Let the process go on."""
        os.write(self._go, b"!")

    def report(self) -> Any:
        """Wait for the process and return what it reported."""
        return self._child.report()

    def __repr__(self) -> str:
        return f"it reports {self.report()!r}"

    def close(self) -> None:
        """Kill the process if it lives. Idempotent."""
        self._child.kill()
        for descriptor in (self._far, self._heard, self._go):
            if descriptor >= 0:
                os.close(descriptor)
        self._far = self._heard = self._go = -1
