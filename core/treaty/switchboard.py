"""The caller's driver: one line, one engine, and the threads that wait for answers on it.

How requests are made and sent is here; who reads what comes back is in ``reading``. What frames mean is decided in the
engine.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from treaty.closing import Finish
from treaty.driving import Errands, Randomness, WakeUp, hand_through, held_here, in_the_middle, left_until, present
from treaty.engine import Caller, Outgoing
from treaty.errors import (
    Cancelled,
    ClosedError,
    ForkedError,
    TransportError,
    TreatyError,
    Unavailable,
)
from treaty.logs import logger
from treaty.messages import Params
from treaty.pending import Pending, report
from treaty.reading import Reading
from treaty.sealing import MAX_FRAME, Keyring
from treaty.transport import Line, Transport
from treaty.values import kept

_LOG: Final = logger("treaty.client")
#: How long before its end a request is given up that nobody takes: this says more than that the time is up.
_VERDICT: Final = 0.05
_TOO_LATE: Final = "not sent: the time ran out while the line was opened"
_INTERRUPTS: Final = "not sent: a signal's handler or a __del__ cannot wait for a call of the client that it interrupts"


class Switchboard:
    """Makes requests, sends them, and settles the calls that they open.

    Args:
        transport: is dialled when the first request is made.
        keyring: seals requests and opens answers.
        max_open: how many calls may be open at once.
    """

    def __init__(self, transport: Transport, keyring: Keyring, *, max_open: int) -> None:
        self._transport = transport
        self._caller = Caller(
            keyring,
            sender=os.urandom(8).hex(),
            random=Randomness(),
            max_frame=min(MAX_FRAME, transport.guarantees.max_frame),
            max_open=max_open,
        )
        self._line: Line | None = None
        #: Around the engine. Whoever comes back here in the middle of a step, as a signal's handler or a ``__del__`` may,
        #: finds that out by it, and has done what can be done later.
        self._lock = threading.RLock()
        self._dialling = threading.RLock()
        self._reading = Reading(self._caller, self._lock)
        self._sender = Errands("treaty-client-sender")
        #: The requests that wait for the line to be opened, in a thread of its own, and who is not to overtake them.
        self._first: set[Pending] = set()
        self._behind: list[WakeUp] = []
        self._closed = False

    @property
    def dialled(self) -> bool:
        """Whether the line is open, and what waited for that is sent, so that a request can be made without waiting."""
        return self._line is not None and not self._first and not held_here(self._lock)

    @property
    def in_use(self) -> bool:
        """Whether there is anything to close: the line, or a thread that may open it."""
        return not self._closed and (self._line is not None or self._sender.started)

    @property
    def in_the_middle(self) -> bool:
        """Whether this very thread is in the middle of something here, and interrupted."""
        return in_the_middle(self, self._reading)

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened, by name."""
        with self._lock:
            return dict(self._caller.counters)

    @property
    def open_calls(self) -> int:
        """How many calls wait for their answer."""
        return self._caller.open_calls

    # Sending

    @property
    def _interrupted(self) -> bool:
        """Whether this thread comes back into the middle of a step, which cannot be taken a second time now."""
        return held_here(self._lock) or held_here(self._dialling)

    def admit(self, target: str) -> None:
        """Refuse a call that would wait for what this very thread was doing when it was interrupted.

        Raises:
            Unavailable: it would.
        """
        if self._interrupted or ((self.open_calls or self._reading.busy) and in_the_middle(self, self._reading)):
            raise Unavailable(f"{target}: {_INTERRUPTS}")

    def begin(
        self,
        target: str,
        params: Params,
        *,
        timeout: float,
        headers: dict[str, str] | None,
        deferred: bool = False,
        pending: Pending | None = None,
    ) -> tuple[Pending, Outgoing]:
        """Make a request and open its call; dial first if need be. The answer to a deferred one is seen to, though no
        thread may ever wait for it.

        """
        line = self._line
        if line is None:
            until = time.monotonic() + timeout
            line = self._dial()
            timeout = left_until(until, f"{target}: {_TOO_LATE}")
        if pending is None:
            pending = Pending(self, target)
        with self._lock:
            self._check()
            outgoing = self._caller.request(
                target,
                params,
                timeout=timeout,
                headers=headers,
                reply=line.address,
                now=present(),
                deferred=deferred,
            )
            call = outgoing.call
            assert call is not None
            pending.call, call.waiter = call, pending
            first = deferred and self._caller.deferred_calls == 1
        if first:
            self._reading.begin()
        return pending, outgoing

    def dial_soon(self, pending: Pending, params: Params, *, timeout: float, headers: dict[str, str] | None) -> None:
        """Make and send a request as soon as the line is open, without ever blocking: as it is now.

        Raises:
            EncodingError: JSON cannot carry the parameters.
        """
        until, target = time.monotonic() + timeout, pending.target
        params, headers = kept(params), dict(headers) if isinstance(headers, dict) else headers

        def send() -> None:
            if pending.done:
                return
            try:
                left = left_until(until, f"{target}: not sent in time")
                _, outgoing = self.begin(target, params, timeout=left, headers=headers, deferred=True, pending=pending)
            except TreatyError as error:
                pending.settle(error)
            except Exception as error:
                # Not ours to let through, and nobody else would end the call.
                failure = TransportError(f"{target}: not sent: {error!r}")
                failure.__cause__ = error
                pending.settle(failure)
            else:
                self.deliver(pending, outgoing)

        def errand() -> None:
            try:
                send()
            finally:
                self._first.discard(pending)
                for one in [] if self._first else list(self._behind):
                    one.wake()

        try:
            self._first.add(pending)
            self.do_soon(errand)
        except BaseException:
            self._first.discard(pending)  # Ctrl-C: nobody else would, and whoever calls would wait for it
            raise

    def let_first_go(self, timeout: float, target: str) -> float:
        """Wait for what was to be sent before the line was open, as order is kept from the first request on. Return what
        is left of the timeout.

        Raises:
            DeadlineExceeded: nothing is.
        """
        if not self._first or self._sender.own_thread:
            return timeout
        me, until = WakeUp(), time.monotonic() + timeout
        self._behind.append(me)
        try:
            while self._first and time.monotonic() < until:
                me.sleep(until - time.monotonic())
        finally:
            self._behind.remove(me)
        return left_until(until, f"{target}: {_TOO_LATE}")

    def deliver(self, pending: Pending, outgoing: Outgoing) -> None:
        """Send a request; what is in the way ends the call."""
        call = outgoing.call
        assert call is not None
        try:
            left = max(0.0, call.deadline - time.monotonic())
            self._send(outgoing, left - min(left / 20, _VERDICT))
        except Unavailable as error:
            self._fail(pending, Unavailable(f"{pending.target}: not executed: {error}"))
        except TreatyError as error:
            self._fail(pending, error)

    def deliver_soon(self, pending: Pending, outgoing: Outgoing) -> None:
        """Send a request without ever blocking: at once if possible, else in a thread of its own."""
        try:
            self._send(outgoing, 0)
        except Unavailable:
            # Nothing was delivered. The verdict is worth waiting for, but not here.
            self.do_soon(lambda: self.deliver(pending, outgoing))
        except TreatyError as error:
            self._fail(pending, error)

    def _send(self, outgoing: Outgoing, timeout: float) -> None:
        call = outgoing.call
        assert self._line is not None and call is not None
        call.loss = None  # what was told before this cannot be of this
        try:
            self._line.send(outgoing.service, outgoing.frame, timeout)
        except TransportError as error:
            hand_through(error)
            raise
        call.sent = True
        if call.loss is not None:
            with self._lock:
                self._caller.sent_beside_loss(call, present())

    def do_soon(self, job: Callable[[], object]) -> None:
        """Have something done that may block, by the thread that sends what cannot be sent at once."""

        def errand() -> None:
            try:
                job()
            except Exception:
                # A transport that breaks the law of the interface must not take this thread with it.
                _LOG.exception("a request could not be sent")
            self._reading.wake()

        self._sender.add(errand)

    def post(self, target: str, params: Params, *, timeout: float, headers: dict[str, str] | None) -> None:
        """Make and send a one-way request: at once, or in a thread of its own where this one is in the middle of another."""
        if self._interrupted or (self._first and in_the_middle(self, self._reading)):
            asked, told = kept(params), dict(headers) if isinstance(headers, dict) else headers
            self.do_soon(lambda: self.post(target, asked, timeout=timeout, headers=told))
            return
        timeout = self.let_first_go(timeout, target)
        line = self._dial()
        with self._lock:
            self._check()
            outgoing = self._caller.request(
                target, params, timeout=timeout, headers=headers, now=present(), one_way=True
            )
        line.send(outgoing.service, outgoing.frame, timeout)

    def _dial(self) -> Line:
        self._check()
        line = self._line
        if line is None:
            with self._dialling:
                self._check()
                if self._line is None:
                    made = self._transport.dial()
                    self._reading.line = made  # first: who finds the line goes on to wait for its answer there
                    self._line = made
                line = self._line
        return line

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the client is closed")

    def _fail(self, pending: Pending, error: TreatyError) -> None:
        call = pending.call
        assert call is not None
        with self._lock:
            ended = self._caller.give_up(call, error)
        report(ended)

    # Waiting

    def wait(self, pending: Pending, ready: Callable[[], bool], until: float | None) -> bool:
        """Block until ``ready()`` or the steady time ``until``, reading if nobody else does. Return whether it is ready."""
        self._check_process()
        return self._reading.wait(pending, ready, until)

    def attend(self) -> None:
        """Have the answers read by the reader thread, as soon as nobody else reads."""
        self._check_process()
        self._reading.attend()

    def _check_process(self) -> None:
        if self._transport.foreign:
            raise ForkedError("this call was made by the parent of this process, which is the one to wait for it")

    def abandon(self, pending: Pending) -> bool:
        """Cancel a call: settle it, and tell the service as well as that can be done."""
        cancelled = Cancelled(f"{pending.target}: cancelled by the caller")
        if held_here(self._lock):
            self.do_soon(partial(self.abandon, pending))
            return True
        with self._lock:
            call = pending.call
            ended = self._caller.give_up(call, cancelled) if call else None
            outgoing = self._caller.cancel(call, present()) if call and ended else None
        if call is None:
            return pending.settle(cancelled)
        report(ended)
        if outgoing is not None and self._line is not None:
            try:
                self._line.send(outgoing.service, outgoing.frame, 0)
            except TreatyError as error:
                _LOG.debug("%s: the service was not told of the cancellation: %s", pending.target, error)
        return ended is not None

    # Life

    def close(self) -> None:
        """End every open call with ``ClosedError``, and leave no thread and no line."""
        with self._lock:
            self._closed = True
            ended = self._caller.close()
        self._reading.end()
        with self._dialling:
            line = self._line
        report(*ended)
        self._sender.end()
        if line is not None:
            line.close()
        left = self._sender.join()
        self._reading.join()
        for errand in left:  # they find the client closed, and end their calls by that
            errand()


class Closes(Protocol):
    """What can be closed: a subscription."""

    def close(self) -> None:
        """End it."""


class Parts:
    """What a client is made of, to be ended with it: also when nobody closed the client and there is none any more.

    Args:
        transport: what it calls over.
        owned: whether the client made the transport, which is then closed with it.
        switchboard: its calls, if it has a secret to make any.
        handling: the errands of its response handlers.
    """

    def __init__(self, transport: Transport, owned: bool, switchboard: Switchboard | None, handling: Errands) -> None:
        self._transport = transport
        self._owned = owned
        self._switchboard = switchboard
        self._handling = handling
        self._finish = Finish()

    def in_use(self) -> bool:
        """Whether there is anything to end, in this process. Takes no lock."""
        return self._switchboard is not None and self._switchboard.in_use and not self._transport.foreign

    def close(self, subscriptions: Iterable[Closes] = ()) -> None:
        """End everything, and these before, and wait for it, unless this thread comes out of the middle of a call, which
        ends when it goes on. Does so once.
        """

        def end() -> None:
            for subscription in subscriptions:
                subscription.close()
            if self._switchboard is not None:
                self._switchboard.close()
            self._handling.end()
            self._handling.join()
            if self._owned:
                self._transport.close()

        self._finish(end, waits=self._switchboard is None or not self._switchboard.in_the_middle)
