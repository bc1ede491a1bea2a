"""The client as an application sees it: blocking, deferred and asyncio calls on one object.

How requests are sent and answers awaited is in ``switchboard``; here are the arguments, the response handlers and the
proxy spelling. Any number of threads and event loops may share a client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

from treaty.closing import end_if_lost
from treaty.driving import SERVING, Allowance, Errands, check_callback, for_the_program, left_until
from treaty.engine import MAX_TTL
from treaty.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidSecret,
    InvalidTarget,
    TreatyError,
    Unavailable,
)
from treaty.ledger import MAX_OPEN
from treaty.logs import logger
from treaty.messages import Notification, Params
from treaty.pending import Pending, Reply
from treaty.routing import matches, split_target
from treaty.sealing import Keyring, Secret, keyring
from treaty.subscription import Subscription
from treaty.switchboard import Parts, Switchboard
from treaty.transport import Resource, Transport, check_name, open_transport

#: Seconds that a call may take unless it says otherwise.
TIMEOUT: Final = 10.0
_LOG: Final = logger("treaty.client")


class Client(Resource):
    """Calls services over one transport. Keep one for the whole life of a program; it is safe to share.

    One that is collected without having been closed is closed then, with a ``ResourceWarning``. A call that is still
    open keeps it, and so does a subscription that somebody refers to.

    Args:
        transport: a transport, or the URL of one, which the client then closes when it is closed itself.
        secret: what the services hold too: a key from ``treaty keygen``, a :class:`~treaty.Keyring`, or 32 bytes or
            more of anything. Without a usable one every call raises ``AuthenticationError``.
        timeout: seconds that a call may take unless it says otherwise.
        max_open: how many calls may be open at once.

    Raises:
        ConfigurationError: an unusable URL, or number of calls.
        ValueError: an unusable timeout.
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
        check_count("max_open", max_open)
        self._keyring, self._no_secret = _usable(secret)
        self._transport, self._owned = open_transport(transport)
        self._switchboard = (
            Switchboard(self._transport, self._keyring, max_open=max_open) if self._keyring is not None else None
        )
        self._handlers: list[tuple[str, Callable[[Reply], Any]]] = []
        self._handling = Errands("treaty-client-handlers")
        self._subscriptions: list[Subscription] = []
        self._lock = threading.RLock()
        self._parts = Parts(self._transport, self._owned, self._switchboard, self._handling)
        self._unclosed = end_if_lost(self, "client", needed=self._parts.in_use, end=self._parts.close)

    def __repr__(self) -> str:
        return f"<Client {'closed' if self.closed else 'open'}>"

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened, by name: requests, and frames that were ignored, by reason."""
        return self._switchboard.counters if self._switchboard else {}

    @property
    def open_calls(self) -> int:
        """How many calls wait for their answer."""
        return self._switchboard.open_calls if self._switchboard else 0

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
        switchboard = self._usable_switchboard()
        switchboard.admit(target)
        left = switchboard.let_first_go(self._bounded(timeout), target)
        pending, outgoing = switchboard.begin(target, _or_none(params), timeout=left, headers=headers)
        try:
            switchboard.deliver(pending, outgoing)
            reply = pending.reply()
        except BaseException:
            pending.give_up()  # Ctrl-C, or the handler of another signal: nobody waits any more
            raise
        for handler in self._handlers_for(target):
            reply = msgspec.structs.replace(reply, handled=_handled(handler, reply))
        return reply

    def send(
        self,
        target: str,
        params: Params | None = None,
        *,
        timeout: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Pending:
        """Start a call and return at once. See :meth:`call` for the arguments. Never blocks, so it fits into an event
        loop: ``result = await client.send(...)``.

        Raises:
            InvalidTarget, EncodingError, FrameTooLarge: nothing was sent. (Before the line is open, the last is
                raised by the :class:`~treaty.Pending`, as everything else is that ends a call.)
            ClosedError, ForkedError: the client cannot be used here any more.
        """
        switchboard = self._usable_switchboard()
        limit = self._bounded(timeout)
        pending = Pending(switchboard, target, self)
        if self._handlers:
            pending.on_done(self._hand_over)
        if switchboard.dialled:
            try:
                _, outgoing = switchboard.begin(
                    target, _or_none(params), timeout=limit, headers=headers, deferred=True, pending=pending
                )
            except Unavailable as error:  # too many are open
                pending.settle(error)
            else:
                try:
                    switchboard.deliver_soon(pending, outgoing)
                except BaseException:
                    pending.give_up()  # Ctrl-C, or the handler of another signal: nobody has it
                    raise
            return pending
        split_target(target)
        switchboard.dial_soon(pending, _or_none(params), timeout=limit, headers=headers)
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
        self._usable_switchboard().post(target, _or_none(params), timeout=self._bounded(timeout), headers=headers)

    def service(self, name: str) -> Proxy:
        """Return a proxy on which ``proxy.method(...)`` is ``client.call("name.method", ...)``."""
        return Proxy(self, name)

    def on_response(self, pattern: str, handler: Callable[[Reply], Any]) -> Callable[[], None]:
        """Hand the answers of matching calls to a handler as well: in the caller's thread for blocking calls, one
        after the other in a thread of the client's own for deferred ones.

        Args:
            pattern: of targets, such as ``"slow.*"``: see :func:`treaty.matches`.
            handler: takes the :class:`~treaty.Reply`; what it returns for a blocking call is ``reply.handled``. If it
                raises, that is logged, and the call is none the worse.

        Returns:
            A function that unregisters the handler.

        Raises:
            TypeError: the handler cannot be called, or is a coroutine function.
            ClosedError, ForkedError: the client cannot be used here any more.
        """
        self.check()
        check_callback("a response handler", handler)
        if not isinstance(pattern, str) or not pattern:
            raise InvalidTarget(f"{pattern!r} is no pattern of targets: write something like 'slow.*'")
        entry = (pattern, handler)
        self._handlers.append(entry)

        def unregister() -> None:
            if entry in self._handlers:
                self._handlers.remove(entry)

        return unregister

    def subscribe(self, pattern: str, callback: Callable[[Notification], Any] | None = None) -> Subscription:
        """Listen to a channel. Returns when what is published from now on will arrive.

        Args:
            pattern: ``channel.pattern``, such as ``"storage.Host.*"``: see :func:`treaty.matches`.
            callback: called with each :class:`~treaty.Notification` in a thread of the subscription's own. Without
                one, iterate over the subscription, blocking or asynchronously.

        Returns:
            The subscription, which lasts until it is closed, or the client is; or until nobody refers to either.

        Raises:
            Unsupported: the transport carries no notifications.
            TransportError: the publisher or broker cannot be reached.
        """
        subscription = Subscription(self._transport, self._usable_keyring(), pattern, callback, self)
        with self._lock:
            self._subscriptions = [one for one in self._subscriptions if not one.closed]
            self._subscriptions.append(subscription)
        return subscription

    def close(self) -> None:
        """Close the client: open calls end with ``ClosedError``. Idempotent; if Ctrl-C interrupts it, it goes on, and
        another call waits for the rest.
        """
        self._closed = True
        if not self.foreign:
            with self._lock:
                subscriptions = list(self._subscriptions)
            self._parts.close(subscriptions)
        self._unclosed.detach()

    def _usable_keyring(self) -> Keyring:
        self.check()
        if self._keyring is None:
            raise AuthenticationError(f"nothing was sent: {self._no_secret}")
        return self._keyring

    def _usable_switchboard(self) -> Switchboard:
        self.check()
        if self._switchboard is None:
            raise AuthenticationError(f"nothing was sent: {self._no_secret}")
        return self._switchboard

    def _bounded(self, timeout: float | None) -> float:
        limit = self.timeout if timeout is None else _checked_timeout(timeout)
        until = self._until()
        if until is None:
            return limit
        return min(limit, left_until(until, "not sent: the time of the request that is being served has run out"))

    def _until(self) -> float | None:
        """When the request ends that this thread or task is serving, on the steady clock."""
        allowance = SERVING.get()
        return None if allowance is None else allowance.until

    def _hand_over(self, pending: Pending) -> None:
        handlers = self._handlers_for(pending.target)
        if handlers and not self._closed:
            self._handling.add(lambda: _handle(pending, handlers))

    def _handlers_for(self, target: str) -> list[Callable[[Reply], Any]]:
        return [handler for pattern, handler in list(self._handlers) if matches(pattern, target)]


class Nested(Client):
    """A service's client, as the handler of one request sees it: what is left of that request's time bounds its calls
    in whatever thread they are made, and to close it ends nothing.
    """

    def __init__(self, client: Client, allowance: Allowance) -> None:
        vars(self).update(vars(client))
        self._client = client
        self._allowance = allowance

    def subscribe(self, pattern: str, callback: Callable[[Notification], Any] | None = None) -> Subscription:
        """Listen to a channel, for as long as the service runs: see :meth:`Client.subscribe`."""
        return self._client.subscribe(pattern, callback)

    def close(self) -> None:
        """Do nothing: other handlers are calling, too."""

    def _until(self) -> float | None:
        own = self._allowance.until
        return super()._until() if own is None else own


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


def _handle(pending: Pending, handlers: list[Callable[[Reply], Any]]) -> None:
    try:
        reply = pending.reply()
    except TreatyError as error:
        _LOG.warning("%s ended without an answer, so no handler was called: %s", pending.target, error)
        return
    for handler in handlers:
        _handled(handler, reply)


def _handled(handler: Callable[[Reply], Any], reply: Reply) -> Any:
    try:
        return handler(reply)
    except BaseException as error:
        if for_the_program(error):
            raise
        # The answer is there, and must not be lost by what somebody makes of it; neither must the thread.
        _LOG.exception("%s: the response handler %r failed", reply.target, handler)
        return None


def _usable(secret: Secret | None) -> tuple[Keyring | None, str]:
    if secret is None:
        return None, "this client was given no secret"
    try:
        return keyring(secret), ""
    except InvalidSecret as error:
        return None, str(error)


def _or_none(params: Params | None) -> Params:
    return {} if params is None else params


def check_count(name: str, number: int) -> None:
    """Refuse what is no number of things. For ``Service``, too.

    Raises:
        ConfigurationError: it is no whole number, or below 1.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigurationError(f"{name} is a whole number from 1 on, not {number!r}")


def _checked_timeout(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TTL:
        raise ValueError(f"a timeout is a number of seconds above 0 and at most {MAX_TTL:g}, not {timeout!r}")
    return timeout
