"""The ``inproc`` names of this process: who has bound which, and whom to wake when one is bound.

libzmq connects to a name that nobody has bound and queues for it, and never connects again; this room sees to it that a
connection is made only to a bound name, and anew for each binding. It must not know messages.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Final
from weakref import WeakSet

import zmq

from treaty import AddressInUse

from .port import Waker


class Names:
    """Bound names with the number of their binding. Numbers start at 1 and are never used again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bound: dict[str, int] = {}
        self._last = 0
        self._waiting: WeakSet[Waker] = WeakSet()

    def bind(self, name: str, socket: zmq.Socket[bytes]) -> None:
        """Bind, or raise ``AddressInUse``. Whoever waits for a name looks again."""
        with self._lock:
            if name in self._bound:
                raise AddressInUse(f"somebody else in this process serves on zmq+inproc://{name}")
            socket.bind(f"inproc://{name}")
            self._last += 1
            self._bound[name] = self._last
            waiting = list(self._waiting)
        for waker in waiting:
            waker.wake()

    def unbind(self, name: str, socket: zmq.Socket[bytes]) -> None:
        """Free the name at once."""
        with self._lock:
            if self._bound.pop(name, 0):
                with contextlib.suppress(zmq.ZMQError):
                    socket.unbind(f"inproc://{name}")

    def binding(self, name: str) -> int:
        """The current binding of a name; 0 if nobody has bound it."""
        return self._bound.get(name, 0)

    def connect(self, name: str, socket: zmq.Socket[bytes], known: int) -> int:
        """Connect to the current binding of a name.

        Args:
            name: of an endpoint.
            socket: what to connect.
            known: the binding that the socket is connected to, or 0.

        Returns:
            The binding that it is connected to from now on; 0 if nobody has bound the name.
        """
        with self._lock:
            binding = self._bound.get(name, 0)
            if binding != known:
                if known:  # or a DEALER would give every other message to the endpoint that is going away
                    with contextlib.suppress(zmq.ZMQError):
                        socket.disconnect(f"inproc://{name}")
                if binding:
                    socket.connect(f"inproc://{name}")
            return binding

    def watch(self, waker: Waker) -> None:
        """Wake it whenever a name is bound."""
        with self._lock:
            self._waiting.add(waker)

    def forget(self) -> None:
        """Start anew in a forked child, whatever state the parent's threads left behind."""
        self.__init__()  # type: ignore[misc]  # the same object, as if just made


#: Of this process.
NAMES: Final = Names()

os.register_at_fork(after_in_child=NAMES.forget)
