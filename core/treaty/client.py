"""The caller's driver: blocking, deferred and asyncio calls on one object, which any number of threads may share.

Whoever blocks reads the line for everybody: no thread stands between a blocking caller and the answer. A reader thread
exists only while deferred calls are open and nobody else reads. The protocol is the engine's; here are only the waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

import msgspec

from treaty.driving import SERVING_UNTIL, WakeUp, present
from treaty.engine import MAX_TTL, Caller, Ended, Happened, Outgoing, Progressed
from treaty.errors import (
    AuthenticationError,
    Cancelled,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    InvalidSecret,
    TransportError,
    TreatyError,
    Unavailable,
)
from treaty.ledger import MAX_OPEN
from treaty.messages import Notification, Params, Status
from treaty.pending import Pending, Reply
from treaty.routing import matches, split_target
from treaty.sealing import MAX_FRAME, Keyring, Secret, keyring
from treaty.subscription import Subscription
from treaty.transport import Line, Resource, Transport, check_name, connect

#: Seconds that a call may take unless it says otherwise.
TIMEOUT: Final = 10.0
_LOG: Final = logging.getLogger("treaty.client")
_IDLE_READ: Final = 0.5


class Client(Resource):
    """Calls services over one transport. Keep one for the whole life of a program; it is safe to share.

    Args:
        transport: a transport, or the URL of one, which the client then closes when it is closed itself.
        secret: what the services hold too: a key from ``treaty keygen``, a :class:`~treaty.Keyring`, or 32 bytes or
            more of anything. Without a usable one every call raises ``AuthenticationError``.
        timeout: seconds that a call may take unless it says otherwise.
        max_open: how many calls may be open at once.
    """

    def __init__(
        self,
        transport: Transport | str,
        *,
        secret: Secret | None = None,
        timeout: float = TIMEOUT,
        max_open: int = MAX_OPEN,
    ) -> None:
        super().__init__()
        self.timeout = _checked_timeout(timeout)
        self._owned = connect(transport) if isinstance(transport, str) else None
        self._transport = self._owned or transport
        assert isinstance(self._transport, Transport), "a client needs a transport or the URL of one"
        self._keyring, self._no_secret = _usable(secret)
        self._max_open = max_open
        self._caller: Caller | None = None
        self._line: Line | None = None
        self._lock = threading.Lock()
        self._dialing = threading.Lock()
        self._reading = threading.Lock()
        self._followers: dict[int, WakeUp] = {}
        self._deferred = 0
        self._reader = _Worker("treaty-client-reader", self._read_for_deferred)
        self._outbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._sender = _Worker("treaty-client-sender", self._send_queued)
        self._handed: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._handler_runner = _Worker("treaty-client-handlers", self._run_handlers)
        self._reader_wake = WakeUp()
        self._handlers: list[tuple[str, Callable[[Reply], Any]]] = []
        self._subscriptions: list[Subscription] = []

    def __repr__(self) -> str:
        return f"<Client {'closed' if self.closed else 'open'}>"

    # Calls

    def call(
        self,
        target: str,
        params: Params | None = None,
        *,
        timeout: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Call a method, block until it has answered, and return its result.

        Args:
            target: ``service.method``.
            params: by name (a dict) or by position (a list).
            timeout: seconds; the client's default if ``None``. While a request is served, what is left of its time
                is the most that a nested call can have.
            headers: text for the handler.

        Raises:
            InvalidTarget, EncodingError, FrameTooLarge: nothing was sent.
            Unavailable: certainly not executed.
            ConnectionLost: may have been executed.
            DeadlineExceeded: the time ran out; may have been executed.
            AuthenticationError: the service refused our seal; not executed.
            RemoteError: the service answered with an error; or the registered class of that error.
            ClosedError, ForkedError: the client cannot be used here any more.
        """
        return self.request(target, params, timeout=timeout, headers=headers).result

    def request(
        self,
        target: str,
        params: Params | None = None,
        *,
        timeout: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Call a method, block until it has answered, and return the whole reply, whose ``result`` raises if the
        answer is an error. ``reply.handled`` is what the handler registered for the method made of it.

        Raises:
            TreatyError: the call ended without an answer: see :meth:`call`.
        """
        pending, outgoing = self._begin(target, params, timeout, headers)
        self._deliver(pending, outgoing)
        reply = pending.reply()
        for handler in self._handlers_for(target):
            reply = msgspec.structs.replace(reply, handled=handler(reply))
        return reply

    def send(
        self,
        target: str,
        params: Params | None = None,
        *,
        timeout: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Pending:
        """Start a call and return at once. See :meth:`call` for arguments; what is wrong with these is raised here,
        everything else by the :class:`~treaty.Pending`. Never blocks, so it fits into an event loop.
        """
        if self._line is not None:
            pending, outgoing = self._begin(target, params, timeout, headers)
            self._defer(pending)
            self._send_or_queue(pending, outgoing)
            return pending
        self._check_usable()
        split_target(target)
        pending = Pending(self, target)
        limit = self._bounded(timeout)
        started = time.monotonic()
        self._defer(pending)

        def dial_and_send() -> None:
            if pending.done:
                return
            try:
                left = limit - (time.monotonic() - started)
                _, outgoing = self._begin(target, params, max(left, 0.001), headers, pending)
            except TreatyError as error:
                pending.settle(error)
            else:
                self._deliver(pending, outgoing)

        self._queue(dial_and_send)
        return pending

    def notify(
        self,
        target: str,
        params: Params | None = None,
        *,
        timeout: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Call a method one way: nothing comes back, not even an error. The request expires as any other does.

        Raises:
            TransportError: it could not be handed over.
            TreatyError: as :meth:`call` does before anything is sent.
        """
        line = self._dialed()
        limit = self._bounded(timeout)
        with self._lock:
            outgoing = self._engine().request(
                target, params or {}, timeout=limit, headers=headers, now=present(), one_way=True
            )
        line.send(outgoing.service, outgoing.frame, limit)

    def service(self, name: str) -> Proxy:
        """Return a proxy on which ``proxy.method(...)`` is ``client.call("name.method", ...)``."""
        return Proxy(self, name)

    def on_response(self, pattern: str, handler: Callable[[Reply], Any]) -> Callable[[], None]:
        """Hand the answers of matching calls to a handler as well: in the caller's thread for blocking calls, one
        after the other in a thread of the client's own for deferred ones.

        Args:
            pattern: of targets, such as ``"slow.*"``: see :func:`treaty.routing.matches`.
            handler: takes the :class:`~treaty.Reply`; what it returns for a blocking call is ``reply.handled``.

        Returns:
            A function that unregisters the handler.
        """
        if not callable(handler):
            raise TypeError(f"a response handler is callable, not {type(handler).__name__}")
        entry = (pattern, handler)
        self._handlers.append(entry)

        def unregister() -> None:
            if entry in self._handlers:
                self._handlers.remove(entry)

        return unregister

    # Notifications

    def subscribe(self, pattern: str, callback: Callable[[Notification], Any] | None = None) -> Subscription:
        """Listen to a channel. Returns when what is published from now on will arrive.

        Args:
            pattern: ``channel.pattern``, such as ``"storage.Host.*"``.
            callback: called with each :class:`~treaty.Notification` in a thread of the subscription's own. Without
                one, iterate over the subscription, blocking or asynchronously.

        Raises:
            Unsupported: the transport carries no notifications.
            TransportError: the publisher or broker cannot be reached.
        """
        subscription = Subscription(self._transport, self._usable_keyring(), pattern, callback)
        with self._lock:
            self._subscriptions = [s for s in self._subscriptions if not s.closed]
            self._subscriptions.append(subscription)
        return subscription

    # Life

    def close(self) -> None:
        """Close the client: open calls end with ``ClosedError``. Idempotent."""
        if self.foreign:
            self._closed = True
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            line, caller = self._line, self._caller
            ended = caller.close() if caller else []
            subscriptions = list(self._subscriptions)
        for one in ended:
            self._end(one)
        for subscription in subscriptions:
            subscription.close()
        self._outbox.put(None)
        self._handed.put(None)
        self._reader_wake.wake()
        if line is not None:
            line.close()
        self._pass_on()
        for worker in (self._reader, self._sender, self._handler_runner):
            worker.join()
        if self._owned is not None:
            self._owned.close()

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened, by name: requests, and frames that were ignored, by reason."""
        caller = self._caller
        return dict(caller.counters) if caller else {}

    @property
    def open_calls(self) -> int:
        """How many calls wait for their answer."""
        caller = self._caller
        return caller.open_calls if caller else 0

    # What Pending needs

    def wait(self, pending: Pending, ready: Callable[[], bool], until: float | None) -> bool:
        """Read the line, or sleep while another thread reads it, until ``ready()`` or the time is over."""
        me: WakeUp | None = None
        try:
            while not ready():
                left = 3600.0 if until is None else until - time.monotonic()
                if left <= 0:
                    return False
                if self._caller is not None and self._reading.acquire(blocking=False):
                    try:
                        self._read_until(ready, until)
                    finally:
                        self._reading.release()
                        self._pass_on()
                elif me is None:
                    # Be in the list before trying again, so that a reader who leaves in between finds us there.
                    me = WakeUp()
                    pending.listen(me.wake, on=True)
                    self._followers[id(me)] = me
                else:
                    me.sleep(left)
            return True
        finally:
            if me is not None:
                self._followers.pop(id(me), None)
                pending.listen(me.wake, on=False)
                # The wake-up to read may have been ours, and we leave without reading.
                if not self._reading.locked():
                    self._pass_on()

    def abandon(self, pending: Pending) -> bool:
        """Cancel a call: settle it, and tell the service as well as that can be done."""
        with self._lock:
            caller, line, call = self._caller, self._line, pending.call
            text = f"{pending.target}: cancelled by the caller"
            if call is None or caller is None:
                ended = None
            else:
                ended = caller.give_up(call, Cancelled(text))
                outgoing = caller.cancel(call, present()) if ended else None
        if call is None:
            return pending.settle(Cancelled(text))
        if ended is None:
            return False
        self._end(ended)
        if line is not None and outgoing is not None:
            try:
                line.send(outgoing.service, outgoing.frame, 0)
            except TreatyError as error:
                _LOG.debug("%s: the service was not told of the cancellation: %s", pending.target, error)
        return True

    # Sending

    def _begin(
        self,
        target: str,
        params: Params | None,
        timeout: float | None,
        headers: dict[str, str] | None,
        pending: Pending | None = None,
    ) -> tuple[Pending, Outgoing]:
        line = self._dialed()
        limit = self._bounded(timeout)
        with self._lock:
            self.check()
            outgoing = self._engine().request(
                target, {} if params is None else params, timeout=limit, headers=headers, reply=line.address, now=present()
            )
            call = outgoing.call
            assert call is not None
            pending = pending or Pending(self, target)
            pending.call, call.waiter = call, pending
        return pending, outgoing

    def _deliver(self, pending: Pending, outgoing: Outgoing) -> None:
        assert self._line is not None and pending.call is not None
        try:
            self._line.send(outgoing.service, outgoing.frame, pending.call.deadline - time.monotonic())
        except TransportError as error:
            late = isinstance(error, Unavailable) and time.monotonic() >= pending.call.deadline
            self._fail(pending, DeadlineExceeded(f"{pending.target}: not sent in time: {error}") if late else error)
        except TreatyError as error:
            self._fail(pending, error)

    def _send_or_queue(self, pending: Pending, outgoing: Outgoing) -> None:
        assert self._line is not None
        try:
            self._line.send(outgoing.service, outgoing.frame, 0)
        except Unavailable:
            # Nothing was delivered. The verdict is worth waiting for, but not here.
            self._queue(lambda: self._deliver(pending, outgoing))
        except TreatyError as error:
            self._fail(pending, error)

    def _queue(self, job: Callable[[], None]) -> None:
        self._outbox.put(job)
        self._sender.start()

    def _send_queued(self) -> None:
        while (job := self._outbox.get()) is not None:
            job()
            self._reader_wake.wake()

    def _fail(self, pending: Pending, error: TreatyError) -> None:
        with self._lock:
            caller, call = self._caller, pending.call
            ended = caller.give_up(call, error) if caller and call else None
        if ended:
            self._end(ended)

    def _dialed(self) -> Line:
        self._check_usable()
        line = self._line
        if line is None:
            with self._dialing:
                if self._line is None:
                    self._line = self._transport.dial()
                line = self._line
        return line

    def _engine(self) -> Caller:
        if self._caller is None:
            self._caller = Caller(
                self._usable_keyring(),
                sender=os.urandom(8).hex(),
                random=os.urandom,
                max_frame=min(MAX_FRAME, self._transport.guarantees.max_frame),
                max_open=self._max_open,
            )
        return self._caller

    def _check_usable(self) -> None:
        self.check()
        self._usable_keyring()

    def _usable_keyring(self) -> Keyring:
        if self._keyring is None:
            raise AuthenticationError(f"nothing was sent: {self._no_secret}")
        return self._keyring

    def _bounded(self, timeout: float | None) -> float:
        limit = self.timeout if timeout is None else _checked_timeout(timeout)
        until = SERVING_UNTIL.get()
        if until is None:
            return limit
        left = until - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("not sent: the time of the request that is being served has run out")
        return min(limit, left)

    # Reading

    def _read_until(self, ready: Callable[[], bool], until: float | None) -> None:
        caller = self._caller
        while not ready() and not self._closed and caller is not None:
            now = time.monotonic()
            limit = now + _IDLE_READ if until is None else until
            with self._lock:
                deadline = caller.next_deadline()
            if deadline is not None:
                limit = min(limit, deadline)
            if limit > now:
                self._read(limit - now)
            if deadline is not None and time.monotonic() >= deadline:
                with self._lock:
                    expired = caller.expire(present())
                for one in expired:
                    self._end(one)
            if until is not None and time.monotonic() >= until:
                return

    def _read(self, timeout: float) -> None:
        line, caller = self._line, self._caller
        assert line is not None and caller is not None
        try:
            frame = line.receive(timeout)
        except Unavailable as error:
            with self._lock:
                one = caller.undelivered(error.frame, error) if error.frame else None
            if one:
                self._end(one)
            return
        except ClosedError:
            return
        except TransportError as error:
            lost = error if isinstance(error, ConnectionLost) else ConnectionLost(f"may have been executed: {error}")
            with self._lock:
                ended = caller.lost(lost)
            for one in ended:
                self._end(one)
            return
        if frame is None:
            return
        with self._lock:
            happened = caller.receive(frame)
        self._report(happened)

    def _report(self, happened: Happened) -> None:
        if isinstance(happened, Ended):
            self._end(happened)
        elif isinstance(happened, Progressed):
            waiter: Pending = happened.call.waiter
            waiter.progress(happened.status)

    def _end(self, ended: Ended) -> None:
        waiter: Pending = ended.call.waiter
        waiter.settle(ended.outcome)

    def _pass_on(self) -> None:
        """Wake somebody who reads from now on: a thread that waits for its own call, else the reader thread."""
        for follower in list(self._followers.values()):
            follower.wake()
            return
        if self._deferred > 0:
            self._reader_wake.wake()

    def _defer(self, pending: Pending) -> None:
        with self._lock:
            self.check()
            self._deferred += 1
        self._reader.start()
        pending.on_done(self._deferred_done)
        self._reader_wake.wake()

    def _deferred_done(self, pending: Pending) -> None:
        with self._lock:
            self._deferred -= 1
        handlers = self._handlers_for(pending.target)
        if handlers and not self._closed:
            self._handed.put(lambda: _hand_over(pending, handlers))
            self._handler_runner.start()

    def _read_for_deferred(self) -> None:
        while not self._closed:
            if self._deferred > 0 and self._caller is not None and self._reading.acquire(blocking=False):
                try:
                    self._read_until(lambda: self._deferred <= 0, None)
                finally:
                    self._reading.release()
                    self._pass_on_to_followers()
            else:
                self._reader_wake.sleep(3600)

    def _pass_on_to_followers(self) -> None:
        for follower in list(self._followers.values()):
            follower.wake()
            return

    def _handlers_for(self, target: str) -> list[Callable[[Reply], Any]]:
        return [handler for pattern, handler in list(self._handlers) if matches(pattern, target)]

    def _run_handlers(self) -> None:
        while (job := self._handed.get()) is not None:
            job()


class Proxy:
    """The methods of one service, spelled as methods: ``client.service("slow").echo(text="hi")``."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = check_name(name)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("__"):
            raise AttributeError(method)
        target = f"{self._name}.{method}"

        def call(*args: Any, **kwargs: Any) -> Any:
            if args and kwargs:
                raise TypeError(f"{target}: JSON-RPC takes parameters by position or by name, not both in one call")
            return self._client.call(target, list(args) if args else kwargs)

        return call

    def __repr__(self) -> str:
        return f"<Proxy {self._name}>"


class _Worker:
    """A daemon thread that is started when it is first needed."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                    self._thread.start()

    def join(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()


def _hand_over(pending: Pending, handlers: list[Callable[[Reply], Any]]) -> None:
    try:
        reply = pending.reply()
    except TreatyError as error:
        _LOG.warning("%s ended without an answer, so no handler was called: %s", pending.target, error)
        return
    for handler in handlers:
        try:
            handler(reply)
        except Exception:
            _LOG.exception("%s: the response handler %r failed", pending.target, handler)


def _usable(secret: Secret | None) -> tuple[Keyring | None, str]:
    if secret is None:
        return None, "this client was given no secret"
    try:
        return keyring(secret), ""
    except InvalidSecret as error:
        return None, str(error)


def _checked_timeout(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TTL:
        raise ValueError(f"a timeout is a number of seconds above 0 and at most {MAX_TTL:g}, not {timeout!r}")
    return timeout


__all__ = ["TIMEOUT", "Client", "Proxy", "Status"]
