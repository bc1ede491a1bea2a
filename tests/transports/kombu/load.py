"""A service that is called all the time, by several threads, whatever happens to the broker."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from treaty import Client, Incoming, Pending, Service, TreatyError

from .outside import eventually, seconds

_SECRET = "a secret of these tests, long enough"
#: Seconds that a call may take, and what a broker that says nothing may cost on top, as the README says.
TIMEOUT, GRACE = 2.0, 1.2


class Echo(Service):
    name = "echo"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.released = threading.Event()

    def on_echo(self, message: Incoming, text: str) -> str:
        return text

    def on_hold(self, message: Incoming) -> None:
        self.released.wait()


class Load:
    """Calls without end; what became of them, and how long each took."""

    def __init__(self, service: Echo, client: Client) -> None:
        self.service, self.client = service, client
        #: Seconds of each call, by what became of it: "served" or the name of an error.
        self.outcomes: defaultdict[str, list[float]] = defaultdict(list)
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            started = time.monotonic()
            what = self._call()
            self.outcomes[what].append(time.monotonic() - started)
            if what != "served":
                self._stopped.wait(0.01)

    def _call(self) -> str:
        try:
            assert self.client.call("echo.echo", {"text": "hi"}, timeout=TIMEOUT) == "hi"
        except TreatyError as error:
            return type(error).__name__
        return "served"

    @contextmanager
    def held(self) -> Iterator[Pending]:
        """A call that is not answered in here."""
        try:
            yield self.client.send("echo.hold", timeout=30)
        finally:
            self.service.released.set()

    def serves(self) -> bool:
        """Whether a call is answered now."""
        return self._call() == "served"

    def end(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def under_load(url: str) -> Iterator[Load]:
    """A service and calls to it. In the end it serves again in time, no call was late, and closing takes no time."""
    service = Echo(url, secret=_SECRET, concurrency=5)
    service.start()
    client = Client(url, secret=_SECRET)
    load = Load(service, client)
    try:
        eventually(load.serves)
        yield load
        eventually(load.serves, within=5)
    finally:
        load.end()
        closing = [seconds(client.close), seconds(service.stop)]
    assert max(closing) < GRACE + 1
    assert max(map(max, filter(None, load.outcomes.values()))) < TIMEOUT + GRACE
    assert {what for what, took in load.outcomes.items() if took} <= {
        "served",
        "ConnectionLost",
        "Unavailable",
        "DeadlineExceeded",
    }
