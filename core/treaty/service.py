"""The service as its author sees it: a name, handlers, and a life from ``start`` to ``stop``.

How requests are received and run is in ``serving``, which of them may run in the engine.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import deque
from typing import Any, ClassVar, Final, Self

from treaty.client import Client, Nested, check_count
from treaty.driving import Allowance, WakeUp, held_here, present
from treaty.engine import SKEW_MS, Answerer
from treaty.errors import ConfigurationError, ForkedError, InvalidSecret, InvalidTarget, TreatyError
from treaty.guard import CAPACITY, Guard
from treaty.incoming import Incoming
from treaty.logs import logger
from treaty.notices import announce
from treaty.routing import HandlerTable
from treaty.sealing import MAX_FRAME, Secret, keyring
from treaty.serving import BACKLOG, Serving
from treaty.signals import listening
from treaty.transport import Transport, check_name, open_transport

#: Seconds that running handlers have to finish when a service stops.
DRAIN: Final = 20.0
#: How often who runs a service looks up, whatever wakes it, in seconds.
_LOOK: Final = 0.5
_LOG: Final = logger("treaty.service")


class Service:
    """Answers requests. Subclass it, give it a ``name`` and ``on_<method>`` handlers, and ``run()`` it.

    A handler takes the :class:`~treaty.Incoming` message first and then its parameters, which are checked against its
    annotations. It returns the result, or raises. It may be a coroutine.

    Args:
        transport: a transport, or the URL of one, which the service then closes when it stops.
        secret: what the clients hold too: see :class:`~treaty.Client`.
        concurrency: how many handlers run at once.
        drain: seconds that running handlers have to finish when the service stops.
        replay_capacity: how many ids of requests are remembered at once; see :class:`treaty.guard.Guard`.
        skew: by how many seconds the clock of a caller may be ahead.

    Raises:
        ConfigurationError: an unusable name, secret or number.
    """

    name: ClassVar[str] = ""

    def __init__(
        self,
        transport: Transport | str,
        *,
        secret: Secret,
        concurrency: int = 1,
        drain: float = DRAIN,
        replay_capacity: int = CAPACITY,
        skew: float = SKEW_MS / 1000,
    ) -> None:
        if not self.name:
            raise ConfigurationError(f'{type(self).__name__} has no name: write name = "..." in the class')
        check_name(self.name)
        check_count("concurrency", concurrency)
        for name, number, least in (("drain", drain, 0), ("skew", skew, 0), ("replay_capacity", replay_capacity, 1)):
            _check_number(name, number, least)
        if math.isinf(skew):
            raise ConfigurationError("skew is a number of seconds, and the clock of no caller is ahead without end")
        if secret is None:
            raise InvalidSecret("a service needs a secret: make one with 'treaty keygen'")
        self._keyring = keyring(secret)
        self._transport, self._owned = open_transport(transport)
        self._url = transport if isinstance(transport, str) else ""
        self._concurrency = concurrency
        self._drain = drain
        self._skew = skew
        self._sender = os.urandom(8).hex()
        self._guard = Guard(replay_capacity)
        #: Held by who starts or stops the service, who may come again: from ``setup``, or from a signal's handler.
        self._life = threading.RLock()
        self._unwanted = False
        self._half_stopped = False  # a stop has begun, and not come to its end
        self._torn_down = False
        #: Why the service had to stop by itself.
        self._failure: TreatyError | None = None
        self._running: Serving | None = None
        self._over = False  # nobody serves any more, for who runs the service
        self._news = WakeUp()
        self._client_lock = threading.RLock()
        self._client: Client | None = None
        self._started_at = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {'serving' if self.serving else 'stopped'}>"

    @property
    def serving(self) -> bool:
        """Whether the service is registered with its transport."""
        return self._running is not None and self._failure is None and not self._half_stopped

    @property
    def instance(self) -> str:
        """A name for this instance, in every answer's ``sender``."""
        return self._sender

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened, by name: requests that ran, and those that did not, by reason."""
        running = self._running
        return dict(running.answerer.counters) if running else {}

    def setup(self) -> None:
        """Called by :meth:`start` before the first request. Override it to open what the handlers need.

        If it raises, the service does not start. If it calls :meth:`stop`, ``start`` returns with the service stopped.
        """

    def teardown(self) -> None:
        """Called by :meth:`stop` after the last handler. Where Ctrl-C interrupted it, the next stop calls it again."""

    def start(self) -> None:
        """Serve, and return as soon as requests will arrive. Does nothing if the service serves already.

        Raises:
            ConfigurationError: called in :meth:`setup` or :meth:`teardown`.
            ForkedError: the service was made by the parent of this process.
            InvalidHandler: a handler cannot be called as it is written.
            AddressInUse: somebody else serves there.
            TransportError: the broker cannot be reached.
        """
        self._check_process()
        if self._inside:
            raise ConfigurationError(f"{self.name} is being started or stopped: start() has no place in there")
        with self._life:
            if self._half_stopped:
                self._stop_serving(self._drain)
            if self._running is not None:
                return
            self._unwanted, self._failure = False, None
            self._start_serving()
            # Somebody may have called stop() meanwhile, who could not wait for the start.
            if self._unwanted and self._running is not None:
                self._stop_serving(self._drain)

    def _start_serving(self) -> None:
        if self._owned and self._transport.closed:
            self._transport, _ = open_transport(self._url)  # it was stopped before
        self._table = HandlerTable.of(self)
        answerer = Answerer(
            self.name,
            self._keyring,
            self._table.with_handlers({"$ping": self._ping, "$describe": self._describe}),
            sender=self._sender,
            max_frame=min(MAX_FRAME, self._transport.guarantees.max_frame),
            guard=self._guard,
            skew_ms=round(self._skew * 1000),
        )
        # Where nobody else could take a request, all of them are received, to wait here: refusals, cancellations
        # and pings are then heard while every handler is busy.
        reads_ahead = not self._transport.guarantees.competing_workers
        capacity = self._concurrency + (BACKLOG if reads_ahead else 0)
        self._over = False
        self._torn_down = False
        self.setup()
        if self._unwanted:
            self.teardown()
            self._end_run()
            return
        try:
            inbox = self._transport.serve(self.name, capacity)
            self._started_at = time.monotonic()
            try:
                self._running = Serving(
                    answerer,
                    inbox,
                    concurrency=self._concurrency,
                    reads_ahead=reads_ahead,
                    client=self._nested_client,
                    failed=self._serving_failed,
                )
            except BaseException:
                inbox.close()
                raise
        except BaseException:
            self.teardown()
            raise

    def stop(self, drain: float | None = None) -> None:
        """Stop serving: take no new requests, let the running ones finish, answer the rest. Idempotent; where Ctrl-C
        interrupted it, the next one goes on.

        Args:
            drain: seconds to wait for running handlers; the service's own default if ``None``. What still runs then
                is given up: its caller gets ``ConnectionLost``, as it may have been executed.

        Raises:
            ConfigurationError: ``drain`` is no number from 0 on; the service goes on.
        """
        if drain is not None:
            _check_number("drain", drain, 0)
        if self._transport.foreign:
            return  # what is there belongs to the parent, threads and locks as well
        running = self._running
        if running is not None and running.own_thread:
            # A handler that stops its own service must return before the service can have drained.
            threading.Thread(target=self.stop, args=(drain,), name="treaty-service-stop").start()
            return
        if self._inside:
            self._unwanted = True  # this very thread is inside start(), which sees to it, or in another stop()
            return
        with self._life:
            if self._running is not None or self._half_stopped:
                self._stop_serving(self._drain if drain is None else drain)

    @property
    def _inside(self) -> bool:
        """Whether this very thread is starting or stopping the service, and comes here from within."""
        return held_here(self._life)

    def _stop_serving(self, drain: float) -> None:
        """Do what is left to do: Ctrl-C, or what the teardown raises, may have interrupted it before."""
        self._half_stopped = True
        if self._running is not None:
            self._running.stop(drain)
            self._running = None
        with self._client_lock:
            client = self._client
        if client is not None:
            client.close()
            self._client = None
        if not self._torn_down:
            try:
                self.teardown()
            except Exception:
                self._torn_down = True
                raise
            self._torn_down = True  # where Ctrl-C interrupted it, it is called again: what it closes must not stay open
        if self._owned:
            self._transport.close()
        self._half_stopped = False
        self._end_run()

    def run(self) -> None:
        """Serve until SIGTERM, Ctrl-C or :meth:`stop`; then drain. A second signal ends the drain at once.

        Signals are looked after only in the main thread; elsewhere it takes a :meth:`stop`.

        Raises:
            ClosedError: somebody closed the transport. The service was stopped.
            TreatyError: as :meth:`start` does; or the service had to stop, and its cause says why.
        """
        self.start()
        if threading.current_thread() is threading.main_thread():
            self._await_end()
        else:
            while not self._over:
                self._news.sleep(_LOOK)
        failure = self._failure
        if failure is not None:
            self.stop()
            raise failure

    def _await_end(self) -> None:
        """Wait for a signal or a stop, and see the service stopped."""
        signals: deque[int] = deque()

        def note(number: int, _: object) -> None:
            signals.append(number)
            self._news.wake()
            if len(signals) > 1 and self._running is not None:
                self._running.hurry()

        with listening(note, signal.SIGTERM, signal.SIGINT):
            _LOG.info("%s: serving", self.name)
            while not signals and not self._over:
                self._news.sleep(_LOOK)
            _LOG.info("%s: stopping", self.name)
            self.stop()

    def publish(self, topic: str, data: Any) -> None:
        """Tell every subscriber of the service's channel.

        Args:
            topic: below the channel, such as ``"Host.created"``.
            data: any value that JSON can carry.

        Raises:
            InvalidTarget, EncodingError, FrameTooLarge: nothing was sent.
            TransportError: it may not have been sent to everybody.
        """
        if not isinstance(topic, str):
            raise InvalidTarget(f"a topic is text such as 'Host.created', not {type(topic).__name__}")
        frame = announce(
            self._keyring,
            f"{self.name}.{topic}",
            data,
            sender=self._sender,
            random=os.urandom,
            wall=present().wall,
            max_frame=min(MAX_FRAME, self._transport.guarantees.max_frame),
        )
        self._transport.publish(self.name, frame)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _check_process(self) -> None:
        if self._transport.foreign:
            raise ForkedError(f"{type(self).__name__} was made by another process: make a new one in this process")

    def _ping(self, _: Incoming) -> dict[str, Any]:
        """Say that the service is there."""
        uptime = round(time.monotonic() - self._started_at, 3)
        return {"service": self.name, "instance": self._sender, "uptime": uptime, "concurrency": self._concurrency}

    def _describe(self, _: Incoming) -> list[dict[str, Any]]:
        """List the methods."""
        return self._table.describe()

    def _end_run(self) -> None:
        self._over = True
        self._news.wake()

    def _serving_failed(self, failure: TreatyError) -> None:
        self._failure = failure
        try:
            threading.Thread(target=self.stop, name="treaty-service-stop").start()
        except RuntimeError:  # there can be no more threads: whoever runs the service stops it
            self._end_run()
            raise

    def _nested_client(self, allowance: Allowance) -> Client:
        with self._client_lock:
            if self._client is None:
                self._client = Client(self._transport, secret=self._keyring)
            return Nested(self._client, allowance)


def _check_number(name: str, number: float, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not number >= least:
        raise ConfigurationError(f"{name} is a number from {least} on, not {number!r}")
