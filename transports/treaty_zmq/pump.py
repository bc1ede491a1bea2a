"""The stand-in reader of an endpoint: it reads while no receiving thread comes, so that strangers get their answers.

This room knows when to step in and when to step back. It must not know messages, nor touch the socket by itself.
"""

from __future__ import annotations

import select
import threading
from typing import TYPE_CHECKING, Final

from .port import Waker

if TYPE_CHECKING:
    from .endpoint import Endpoint

#: Seconds without a visit after which it steps in, and between two attempts to tell peers what they missed.
_PATIENCE: Final = 0.01
#: Seconds between two looks while visitors keep coming, as each look takes the interpreter away from them.
_TRUST: Final = 0.04


class Pump:
    """One thread for each endpoint. While a receiving thread waits in its poll, this one sleeps without a timeout."""

    def __init__(self, endpoint: Endpoint, waker: Waker) -> None:
        self.waker = waker
        #: Whether it sleeps until woken; a receiving thread does that when it leaves nobody behind. Lock held.
        self.parked = False
        self._endpoint = endpoint
        self._stopping = False
        self._sleep = select.poll()
        self._sleep.register(self.waker.fd, select.POLLIN)
        self._lead = select.poll()
        self._lead.register(self.waker.fd, select.POLLIN)
        self._lead.register(endpoint.fd, select.POLLIN)
        self._thread = threading.Thread(target=self._run, name="treaty-zmq-pump", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        endpoint = self._endpoint
        seen, pause = -1, _PATIENCE
        while not self._stopping:
            with endpoint.lock:
                if endpoint.leader is self:
                    endpoint.leader = None
                owes = endpoint.catch_up()
                quiet = endpoint.visits == seen
                leads = quiet and endpoint.leader is None
                if leads:
                    endpoint.read(None)
                    endpoint.leader = self
                seen = endpoint.visits
                self.parked = quiet and not owes
                pause = _PATIENCE if quiet or owes else min(2 * pause, _TRUST)
            (self._lead if leads else self._sleep).poll(None if self.parked else pause * 1000)
            self.waker.clear()

    def stop(self) -> None:
        """End the thread and wait for it. The endpoint is closed already."""
        self._stopping = True
        self.waker.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self.waker.close()
