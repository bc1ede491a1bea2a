"""A relay between two ends that speak over TCP or a Unix socket: it can be listened in on, cut, stalled and restarted.

It carries bytes, and must not know what they mean, nor any rule or target. One thread does everything; what other
threads ask for is done by it before they go on. Most targets use it through ``Relays``.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias
from weakref import WeakSet

#: A host and a port, or the path of a Unix socket.
Address: TypeAlias = "tuple[str, int] | str"

_CHUNK: Final = 65_536
#: How much may wait for an end that does not read, before the other one is not read either.
_WAITING: Final = 1_048_576
#: How much is recorded, all streams together.
_KEPT: Final = 64 * 1024 * 1024
_BACKLOG: Final = 128
#: With this option, closing resets the connection instead of ending it politely.
_RESET: Final = struct.pack("ii", 1, 0)


class _Job:
    """Something that is asked of the relay's thread."""

    def __init__(self, steps: tuple[Callable[[], None], ...]) -> None:
        self._steps = steps
        self._done = threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            for step in self._steps:
                step()
        except Exception as error:
            self._error = error
        self._done.set()

    def wait(self) -> None:
        self._done.wait()
        if self._error is not None:
            raise self._error


class _End:
    """One of the two sockets of a connection through the relay."""

    peer: _End

    def __init__(self, connection: socket.socket, record: bytearray | None) -> None:
        self.socket = connection
        #: What is still to be written here.
        self.waiting = bytearray()
        #: What came from here, if it is recorded.
        self.record = record
        self.connecting = False
        #: Whether everything was read that will ever come from here.
        self.said_all = False
        self.told_end = False


class Relay:
    """Listens at one address and carries what comes to another one, and back.

    Args:
        upstream: where to; it is connected to when somebody connects here, and may be changed in between.
        listen: where to listen; port 0 takes a free one.

    Raises:
        OSError: the address cannot be listened at.
    """

    def __init__(self, upstream: Address, listen: Address = ("127.0.0.1", 0)) -> None:
        self.upstream = upstream
        self._pid = os.getpid()
        self._ends: set[_End] = set()
        self._records: list[bytearray] = []
        self._recording = self._stalled = self._closed = False
        self._room = _KEPT
        self._jobs: deque[_Job] = deque()
        self._asking = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._wake.settimeout(0)
        self._selector.register(self._wake, selectors.EVENT_READ)
        #: Holds the port while nobody listens: no connection of this machine may be given it as its own.
        self._holder: socket.socket | None = None
        self._listener: socket.socket | None = None
        #: Where to connect.
        self.address: Address = listen
        try:
            self._hold()
            self._listen()
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._work, name="contract-relay", daemon=True)
        self._thread.start()
        _live.add(self)

    # What is asked for, from any thread

    def cut(self) -> None:
        """Break what is connected, with a reset where there is such a thing, and refuse what connects anew."""
        self._ask(self._cut)

    def mend(self) -> None:
        """Listen again after :meth:`cut`. Idempotent.

        Raises:
            OSError: somebody else took the address meanwhile.
        """
        self._ask(self._listen)

    def restart(self) -> None:
        """Break what is connected, and take new connections at once."""
        self._ask(self._cut, self._listen)

    def stall(self) -> None:
        """Carry nothing, and let everybody believe that all is well, as a network does that drops packets silently."""
        self._ask(lambda: self._set_stalled(stalled=True))

    def resume(self) -> None:
        """Carry on after :meth:`stall`: what was sent meanwhile arrives now."""
        self._ask(lambda: self._set_stalled(stalled=False))

    def record(self) -> None:
        """Record what is carried on connections that are made from now on."""
        self._recording = True

    def recorded(self) -> bytes:
        """Return what was recorded: one stream after the other, at most 64 MiB."""
        found: list[bytes] = []
        self._ask(lambda: found.extend(bytes(record) for record in self._records))
        return b"\n".join(found)

    def close(self) -> None:
        """Break what is connected and leave nothing behind. Idempotent; in a forked child it does nothing."""
        if os.getpid() != self._pid:
            return
        self._ask(self._cut, self._end)
        self._thread.join()

    def _ask(self, *steps: Callable[[], None]) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("a relay belongs to the process that made it")
        with self._asking:
            if self._closed:
                return
            job = _Job(steps)
            self._jobs.append(job)
            self._waker.send(b"!")
            job.wait()

    # The thread

    def _work(self) -> None:
        while not self._closed:
            for key, events in self._selector.select():
                if key.fileobj is self._wake:
                    self._obey()
                    break  # what else was selected may be gone by now
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._ends:
                    self._serve(key.data, events)
        self._let_go()
        if isinstance(self.address, str):
            Path(self.address).unlink(missing_ok=True)

    def _obey(self) -> None:
        with suppress(BlockingIOError):
            self._wake.recv(_CHUNK)
        while self._jobs:
            self._jobs.popleft().run()

    def _serve(self, end: _End, events: int) -> None:
        try:
            if end.connecting and events & selectors.EVENT_WRITE:
                if end.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._break(end)
                    return
                end.connecting = False
            elif events & selectors.EVENT_WRITE and end.waiting:
                del end.waiting[: end.socket.send(end.waiting)]
            if events & selectors.EVENT_READ:
                self._read(end)
            for one in (end, end.peer):
                if one.peer.said_all and not one.waiting and not one.told_end and not one.connecting:
                    one.told_end = True
                    one.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._break(end)
            return
        if end.told_end and end.peer.told_end:
            self._break(end)
        else:
            self._look_for(end)
            self._look_for(end.peer)

    def _read(self, end: _End) -> None:
        chunk = end.socket.recv(_CHUNK)
        end.said_all = not chunk
        end.peer.waiting += chunk
        if end.record is not None:
            end.record += chunk[: self._room]
            self._room -= min(self._room, len(chunk))

    def _look_for(self, end: _End) -> None:
        """Have the selector look for what this socket is to be asked for next."""
        events = 0
        if not self._stalled:
            if not end.said_all and not end.connecting and len(end.peer.waiting) < _WAITING:
                events |= selectors.EVENT_READ
            if end.waiting:
                events |= selectors.EVENT_WRITE
        if end.connecting:
            events = selectors.EVENT_WRITE
        known = self._selector.get_map().get(end.socket.fileno())
        if known is None and events:
            self._selector.register(end.socket, events, end)
        elif known is not None and not events:
            self._selector.unregister(end.socket)
        elif known is not None and events != known.events:
            self._selector.modify(end.socket, events, end)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # whoever came has gone again
        upstream = socket.socket(_family(self.upstream), socket.SOCK_STREAM)
        near, far = (_End(one, self._new_record()) for one in (connection, upstream))
        near.peer, far.peer = far, near
        self._ends |= {near, far}
        for one in (connection, upstream):
            one.settimeout(0)
            if one.family != socket.AF_UNIX:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        failed = upstream.connect_ex(self.upstream)
        far.connecting = failed == errno.EINPROGRESS
        if failed and not far.connecting:
            self._break(near)
            return
        self._look_for(near)
        self._look_for(far)

    def _new_record(self) -> bytearray | None:
        if not self._recording:
            return None
        self._records.append(bytearray())
        return self._records[-1]

    def _break(self, end: _End) -> None:
        for one in (end, end.peer):
            self._ends.discard(one)
            if one.socket.fileno() in self._selector.get_map():
                self._selector.unregister(one.socket)
            if one.socket.family != socket.AF_UNIX and not one.told_end:
                with suppress(OSError):
                    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            one.socket.close()

    def _cut(self) -> None:
        if self._listener is not None:
            if not self._stalled:
                self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            if isinstance(self.address, str):
                Path(self.address).unlink(missing_ok=True)
        while self._ends:
            self._break(next(iter(self._ends)))

    def _end(self) -> None:
        self._closed = True

    def _set_stalled(self, *, stalled: bool) -> None:
        if stalled == self._stalled:
            return
        self._stalled = stalled
        if self._listener is not None:
            # The system itself takes connections for a listener, so that whoever connects now believes to be connected.
            if stalled:
                self._selector.unregister(self._listener)
            else:
                self._selector.register(self._listener, selectors.EVENT_READ)
        for end in self._ends:
            self._look_for(end)

    # The address

    def _hold(self) -> None:
        if not isinstance(self.address, str):
            self._holder = _bound(self.address)
            self.address = self._holder.getsockname()[:2]

    def _listen(self) -> None:
        if self._listener is not None:
            return
        self._listener = _bound(self.address)
        self._listener.listen(_BACKLOG)
        self._listener.settimeout(0)
        if not self._stalled:
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _let_go(self) -> None:
        """Close every descriptor of this process, and tell nobody."""
        sockets = [self._wake, self._waker, self._holder, self._listener, *(end.socket for end in self._ends)]
        for one in sockets:
            if one is not None:
                one.close()
        self._selector.close()


_live: Final[WeakSet[Relay]] = WeakSet()


def _in_child() -> None:
    # A copy in a forked child would keep connections open that the relay breaks.
    for relay in list(_live):
        relay._let_go()  # noqa: SLF001 - the same room


os.register_at_fork(after_in_child=_in_child)


def _family(address: Address) -> socket.AddressFamily:
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _bound(address: Address) -> socket.socket:
    made = socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
