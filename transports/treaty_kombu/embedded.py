"""A broker for those who have none: fakeredis in a process of its own, for development and tests.

It listens on the loopback interface, on a port that the system chooses, without a password, and dies with whoever
started it. It must not know about transports: it only yields a URL.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from treaty import MissingExtra, Unavailable

#: Seconds for the other process to come up.
_START = 30.0
#: Bytes that are read at once, or make a field a large one.
_CHUNK = 65_536
#: How many may wait to be connected.
_BACKLOG = 128
#: Seconds after which is seen whether a client that waits for something is still there.
_PRESENT = 1.0
#: Seconds after which a connection with nothing to do looks up all the same, whatever may have come of it.
_IDLE = 0.25


@contextmanager
def embedded_redis() -> Iterator[str]:
    """Run a broker while the block runs, and yield its URL: ``kombu+redis://127.0.0.1:<port>/0``.

    Raises:
        MissingExtra: fakeredis is not installed.
        Unavailable: it did not start.
    """
    _check_installed()
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", f"{__package__}.embedded"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # find what we found
        start_new_session=True,  # an interrupt at the terminal is the parent's to handle
    )
    assert process.stdin
    assert process.stdout
    try:
        line = process.stdout.readline() if _ready(_START, process.stdout) else b""
        if not line:
            raise Unavailable("the embedded broker did not start")
        yield line.decode().strip()
    finally:
        process.stdin.close()  # what it waits for
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _check_installed() -> None:
    if find_spec("fakeredis") is None:
        raise MissingExtra("the embedded broker needs fakeredis: pip install 'treaty[fake]'")


def make_server() -> Any:
    """A fakeredis server on a free port of the loopback interface, mended in the eight places where it hurts."""
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("127.0.0.1", 0))
    server.daemon_threads = True
    server.socket.listen(_BACKLOG)  # its own five make who comes sixth wait for a second
    broker: Any = server.fake_server
    made: Callable[[], Any] = broker.dbs.default_factory

    def with_waiters() -> Any:
        database = made()
        _Waiters(database, broker.lock)
        return database

    broker.dbs.default_factory = with_waiters

    class Handler(server.RequestHandlerClass):  # type: ignore[misc, name-defined]
        # Nagle's algorithm makes each answer wait for the acknowledgement of the last: 90 ms a call instead of 6.
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            waiting = self.current_client.get_socket()
            self.rfile.close()
            self.rfile: Any = _Commands(self.connection, waiting)
            self.writer.writer = _Patient(self.connection)
            # Its own writes down each answer for a log that nobody keeps, and large ones take it longer than all else.
            self.writer.write = self.writer.writer.write
            self.current_client.read_response = _refusals_as_answers(self.current_client.read_response)
            waiting._blocking = _while_connected(waiting, self.connection)  # noqa: SLF001 - no other way in

    server.RequestHandlerClass = Handler
    return server


def _refusals_as_answers(read: Callable[[], Any]) -> Callable[[], Any]:
    """Return what the server would raise. It writes that down as a refusal all the same, but would hang up after it."""
    from redis import ResponseError

    def read_response() -> Any:
        try:
            return read()
        except ResponseError as refusal:
            return refusal

    return read_response


def _while_connected(waiting: Any, connection: Any) -> Callable[..., Any]:
    """Return how a client waits for something. Of one that has gone the server would not know, and give it what comes."""
    block: Callable[..., Any] = waiting._blocking  # noqa: SLF001 - no other way in

    def blocking(timeout: float | None, look: Any, shape: Callable[[Any], Any] | None = None) -> Any:
        def look_if_connected(first: bool) -> Any:
            if not first and _has_gone(connection):
                raise ConnectionResetError
            return look(first)

        # What looks at lists has their keys as its first argument.
        of_lists = isinstance(look, partial) and look.func.__name__ == "_bpop_pass"
        with waiting._db.condition.for_keys(look.args[0] if of_lists else None):  # noqa: SLF001 - as above
            return block(timeout, look_if_connected, shape)

    return blocking


class _Waiters:
    """The condition of a database, on which clients wait. The lock of the server is held whenever it is used.

    Each change of any key would wake each client that waits, only to find nothing and wait on: with some dozens of them
    that is most of what the server does. Here, a change of a key wakes those who wait for that key.
    """

    def __init__(self, database: Any, lock: Any) -> None:
        self._lock = lock
        #: What the threads that are about to wait do so for, where that is known.
        self._keys: dict[int, list[bytes]] = {}
        self._waiting: dict[threading.Condition, list[bytes] | None] = {}
        self._changed: bytes | None = None
        tell: Callable[[bytes], None] = database.notify_watch

        def notify_watch(key: bytes) -> None:
            self._changed = key
            try:
                tell(key)
            finally:
                self._changed = None

        database.notify_watch = notify_watch
        database.condition = self

    @contextmanager
    def for_keys(self, keys: list[bytes] | None) -> Iterator[None]:
        """Say what this thread waits for in the block."""
        thread = threading.get_ident()
        if keys is not None:
            self._keys[thread] = keys
        try:
            yield
        finally:
            self._keys.pop(thread, None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something has changed, or it is time to see whether the client is still there. Returns whether there
        is anything to look at.
        """
        own = threading.Condition(self._lock)
        self._waiting[own] = self._keys.get(threading.get_ident())
        at_once = timeout is not None and timeout <= _PRESENT
        try:
            return own.wait(timeout if at_once else _PRESENT) or not at_once
        finally:
            del self._waiting[own]

    def notify_all(self) -> None:
        """Wake whom a change may concern."""
        for own, keys in self._waiting.items():
            if self._changed is None or keys is None or self._changed in keys:
                own.notify()


def _ready(timeout: float | None, *ends: Any, event: int = select.POLLIN) -> list[int]:
    """Wait for one of these, at most so many seconds, and return the descriptors of which something can be said."""
    poll = select.poll()  # a select would know the first thousand descriptors of a process only
    for end in ends:
        poll.register(end, event)
    return [descriptor for descriptor, _ in poll.poll(None if timeout is None else timeout * 1000)]


def _has_gone(connection: Any) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


class _Bell:
    """Rings in the thread of a subscriber, which makes it, when another thread has something for it."""

    def __init__(self, subscriber: Any) -> None:
        self.inside, self._outside = socket.socketpair()
        for end in (self.inside, self._outside):
            end.settimeout(0)
        put, owner = subscriber.put_response, threading.get_ident()

        def put_response(message: Any) -> None:
            put(message)
            if threading.get_ident() != owner:
                with suppress(OSError):  # it has rung often enough, or nobody is there any more
                    self._outside.send(b"!")

        subscriber.put_response = put_response

    def hush(self) -> None:
        """Let it ring anew."""
        self.inside.recv(_CHUNK)

    def close(self) -> None:
        """Take it down."""
        self.inside.close()
        self._outside.close()


class _Commands:
    """Reads a command at a time from a socket that does not block.

    The server asks for lines, goes through its whole loop for each of them, and copies all that is left of a command
    with each. So the content of a large field comes by itself, after all that is before it. The server would also look
    up a hundred times a second for each connection that has nothing to do. Here, it waits until there is something.
    """

    def __init__(self, connection: Any, client: Any) -> None:
        self._connection = connection
        self._client = client
        self._bell: _Bell | None = None
        self._buffer = bytearray()
        self._pieces: list[bytes] = []

    def readline(self) -> bytes:
        """Return the next piece of a command; empty if something else is to be looked at, or nothing will come."""
        waited = False
        while not self._pieces:
            ends = _ends(self._buffer)
            if ends:
                self._pieces = [bytes(self._buffer[begin:end]) for begin, end in pairwise((0, *ends))]
                del self._buffer[: ends[-1]]
                break
            try:
                read = self._connection.recv(_CHUNK)
            except BlockingIOError:
                if not self._buffer:
                    if waited or not self._wait():
                        return b""
                    waited = True
                    continue
                _ready(None, self._connection)  # the rest of a command is on its way
                continue
            if not read:
                return b""
            self._buffer += read
        return self._pieces.pop(0)

    def _wait(self) -> bool:
        """Wait until something comes from the client, and return whether it may have; or until there is something for it."""
        if self._bell is None:
            if not self._client._pubsub:  # noqa: SLF001 - no other way in
                return bool(_ready(_IDLE, self._connection))
            self._bell = _Bell(self._client)
            return False  # something may have come for it just before
        ready = _ready(_IDLE, self._connection, self._bell.inside)
        if self._bell.inside.fileno() in ready:
            self._bell.hush()
            return False
        return bool(ready)

    def close(self) -> None:
        """Take down the bell: nothing else is held that is not the server's."""
        if self._bell is not None:
            self._bell.close()


def _ends(data: bytearray) -> list[int]:
    """Return where the pieces of the first command in ``data`` end: none if its end is yet to come."""
    ends = []
    at = data.find(b"\r\n") + 2
    if at < 2:
        return []
    try:
        for _ in range(int(data[1 : at - 2])):
            line = data.find(b"\r\n", at) + 2
            if line < 2:
                return []
            length = int(data[at + 1 : line - 2])
            if length < 0:  # it would lead back here
                at = len(data)
                break
            if length > _CHUNK:
                ends.append(line)
            at = line + length + 2
    except ValueError:
        at = len(data)  # this is no command: the server says what is wrong with it
    return [*ends, at] if at <= len(data) else []


class _Patient:
    """Writes to a socket that does not block, and waits while it is full. The server itself would hang up on us."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._connection.send(view) :]
            except BlockingIOError:
                _ready(1.0, self._connection, event=select.POLLOUT)

    def flush(self) -> None:
        """Nothing is kept back."""


def main() -> None:
    """Serve until standard input ends, which it does however the parent goes."""
    server = make_server()
    # Its connections wait where they read, and need not do so again. It is a setting of the module: any other server in
    # this process would never rest, but here there is none.
    vars(sys.modules[type(server).__module__])["_POLL_INTERVAL"] = 0.0
    threading.Thread(target=server.serve_forever, name="embedded-redis", daemon=True).start()
    sys.stdout.write(f"kombu+redis://127.0.0.1:{server.server_address[1]}/0\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
