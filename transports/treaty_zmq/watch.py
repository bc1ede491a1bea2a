"""Watching one connection come and go, through the monitor of its socket.

This room knows two events of libzmq. It must not know what a lost connection means to anybody. Nothing here is locked.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from typing import Any, Final, cast

import zmq

from .contexts import Context, keep_after_fork
from .port import Port

_UP: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_DOWN: Final = int(zmq.EVENT_DISCONNECTED)
_EVENTS: Final = int(zmq.EVENTS)
_IN: Final = int(zmq.POLLIN)
_numbers: Final = itertools.count()


class Watch:
    """The connection of one DEALER. Its descriptor is readable while there is something to :meth:`look` at."""

    def __init__(self, context: Context, port: Port) -> None:
        #: Whether there is a connection, as far as was looked.
        self.up = False
        self._torn = False  # an event was begun to be read, and not understood
        self._events = context.socket(zmq.PAIR)
        keep_after_fork(self._events)
        self._events.rcvhwm = 0  # or libzmq's own thread would wait for us
        name = f"inproc://treaty-watch-{next(_numbers)}"
        self._watched = port.socket
        self._process = os.getpid()  # last before there is something to end
        self._watched.monitor(name, _UP | _DOWN)
        self._events.connect(name)
        self.fd: int = cast("int", self._events.fd)
        self._ask: Callable[[int], int] = cast("Any", super(zmq.Socket, self._events)).get

    def __del__(self) -> None:
        """End in the right order also where the collector does it: libzmq's own thread, which serves all sockets of the
        context, would wait for ever to tell somebody who is gone.
        """
        if getattr(self, "_process", 0) == os.getpid():  # a forked child touches nothing of its parent
            self.close()

    def look(self) -> bool:
        """Read what has happened. Returns whether a connection was lost, even if there is a new one by now.

        Ctrl-C in the middle may have lost what an event said: then the connection counts as lost.
        """
        if self._torn:
            self.up = self._torn = False
            return True
        lost = False
        while self._ask(_EVENTS) & _IN:
            self._torn = True
            event, _ = self._events.recv_multipart(zmq.DONTWAIT)
            lost = lost or self.up  # any event ends what was: it is down, or another connection is up
            self.up = int.from_bytes(event[:2], sys.byteorder) == _UP
            self._torn = False
        return lost

    def close(self) -> None:
        """Stop watching, before the watched socket is closed. Idempotent."""
        if not self._watched.closed:
            self._watched.disable_monitor()
        self._events.close(linger=0)
