"""A broker far away: a way to it on which every byte takes its time, and which can break."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from contextlib import suppress


class Far:
    """Listens on a free port, and carries what comes to another one and back.

    Args:
        address: of the broker.
        delay: seconds that each byte takes, one way.
    """

    def __init__(self, address: tuple[str, int], delay: float) -> None:
        self._address = address
        self._delay = delay
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        #: How many connections were made.
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: object, *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)  # type: ignore[arg-type]  # it is callable
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._server.accept()
                self.accepted += 1
                beyond = socket.create_connection(self._address)
                self._sockets += [near, beyond]
                for source, sink in ((near, beyond), (beyond, near)):
                    flow = _Flow(source, sink, self._delay)
                    self._start(flow.read)
                    self._start(flow.write)

    def cut(self) -> None:
        """Break every connection; new ones can be made at once."""
        sockets, self._sockets = self._sockets, []
        for end in sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Break everything, and leave no thread."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()


class _Flow:
    def __init__(self, source: socket.socket, sink: socket.socket, delay: float) -> None:
        self._source, self._sink, self._delay = source, sink, delay
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._changed = threading.Condition()

    def read(self) -> None:
        while True:
            try:
                data = self._source.recv(65_536)
            except OSError:
                data = b""
            with self._changed:
                self._waiting.append((time.monotonic() + self._delay, data))
                self._changed.notify()
            if not data:
                return

    def write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                due, data = self._waiting.popleft()
            threading.Event().wait(max(0.0, due - time.monotonic()))
            with suppress(OSError):
                if not data:
                    self._sink.shutdown(socket.SHUT_WR)
                    return
                self._sink.sendall(data)
                continue
            return
