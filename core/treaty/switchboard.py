"""The caller's driver: one line, one engine, and the threads that wait for answers on it.

Whoever blocks reads the line for everybody, so no thread stands between a blocking caller and its answer. A reader
thread is at work only while deferred calls are open and nobody else reads. What frames mean is decided in the engine.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from treaty.driving import Errands, Randomness, Turn, WakeUp, Worker, hand_through, present, raised_by_signal
from treaty.engine import Caller, Ended, Happened, Outgoing, Progressed
from treaty.errors import (
    Cancelled,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    ForkedError,
    TransportError,
    TreatyError,
    Unavailable,
)
from treaty.logs import logger
from treaty.messages import Params
from treaty.pending import Pending
from treaty.sealing import MAX_FRAME, Keyring
from treaty.transport import Line, Transport

_LOG: Final = logger("treaty.client")
#: How long one read lasts at most, and by how much the deadline of a call that nobody waits for may be missed.
_SLICE: Final = 0.05
#: How long the reader thread waits for others to read before it does so itself, or twice that at most: it looks as
#: seldom as that allows, since each look takes the interpreter away from them.
_PATIENCE: Final = 0.002
#: How long to wait before a line that cannot be read is tried again.
_PAUSE: Final = 0.05
#: How long before its end a request is given up that nobody takes: this says more than that the time is up.
_VERDICT: Final = 0.05


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
        #: Around the engine.
        self._lock = threading.Lock()
        self._dialling = threading.Lock()
        #: Of the one thread that reads the line.
        self._reading = Turn()
        self._followers: dict[int, WakeUp] = {}
        self._reads = 0
        self._read_at = 0.0
        #: Whether the reader thread is asked not to wait for others.
        self._attended = False
        self._reader_wake = WakeUp()  # one thread sleeps on it, and no other, or wake-ups would miss the reader
        self._reader = Worker("treaty-client-reader", self._read_for_deferred)
        self._sender = Errands("treaty-client-sender")
        self._closed = False
        self._closing = threading.Event()

    @property
    def dialled(self) -> bool:
        """Whether the line is open, so that a request can be made without waiting."""
        return self._line is not None

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
            started = time.monotonic()
            line = self._dial()
            timeout -= time.monotonic() - started
            if timeout <= 0:
                raise DeadlineExceeded(f"{target}: not sent: the time ran out while the line was opened")
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
            self._reader.start()
            self._reader_wake.wake()
        return pending, outgoing

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
        assert self._line is not None and outgoing.call is not None
        try:
            self._line.send(outgoing.service, outgoing.frame, timeout)
        except TransportError as error:
            hand_through(error)
            raise
        outgoing.call.sent = True

    def do_soon(self, job: Callable[[], None]) -> None:
        """Have something done that may block, by the thread that sends what cannot be sent at once."""

        def errand() -> None:
            try:
                job()
            except Exception:
                # A transport that breaks the law of the interface must not take this thread with it.
                _LOG.exception("a request could not be sent")
            self._reader_wake.wake()

        self._sender.add(errand)

    def post(self, target: str, params: Params, *, timeout: float, headers: dict[str, str] | None) -> None:
        """Make and send a one-way request."""
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
                    self._line = self._transport.dial()
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
        self._report(ended)

    # Waiting

    def wait(self, pending: Pending, ready: Callable[[], bool], until: float | None) -> bool:
        """Read the line, or sleep while another thread reads it, until ``ready()`` or the time is over."""
        self._check_process()
        me: WakeUp | None = None
        reader = object()
        try:
            while not ready():
                now = time.monotonic()
                if until is not None and until <= now:
                    return False
                limit = until
                if pending.call is not None and (limit is None or pending.call.deadline < limit):
                    limit = pending.call.deadline
                    if limit <= now:
                        self._expire()
                        continue
                if self._line is not None and self._reading.take(reader):
                    self._read_until(ready, until)
                    self._reading.leave(reader)
                    self._pass_on()
                elif me is None:
                    # Be in the list before trying again, so that a reader who leaves in between finds us there.
                    me = WakeUp()
                    pending.listen(me.wake, on=True)
                    self._followers[id(me)] = me
                else:
                    me.sleep(3600 if limit is None else limit - now)
            return True
        finally:
            # Whatever was raised, and wherever: nobody else reads while this one has the turn.
            left = self._reading.leave(reader)
            if me is not None:
                self._followers.pop(id(me), None)
                pending.listen(me.wake, on=False)
            # The wake-up to read may have been ours, and we leave without reading.
            if left or (me is not None and not self._reading.taken):
                self._pass_on()

    def attend(self) -> None:
        """Let the reader thread read as soon as nobody else does: it need not wait for a thread that might."""
        self._check_process()
        self._attended = True
        self._reader_wake.wake()

    def _check_process(self) -> None:
        if self._transport.foreign:
            raise ForkedError("this call was made by the parent of this process, which is the one to wait for it")

    def abandon(self, pending: Pending) -> bool:
        """Cancel a call: settle it, and tell the service as well as that can be done."""
        cancelled = Cancelled(f"{pending.target}: cancelled by the caller")
        with self._lock:
            call = pending.call
            ended = self._caller.give_up(call, cancelled) if call else None
            outgoing = self._caller.cancel(call, present()) if call and ended else None
        if call is None:
            return pending.settle(cancelled)
        self._report(ended)
        if outgoing is not None and self._line is not None:
            try:
                self._line.send(outgoing.service, outgoing.frame, 0)
            except TreatyError as error:
                _LOG.debug("%s: the service was not told of the cancellation: %s", pending.target, error)
        return ended is not None

    def _pass_on(self) -> None:
        """Wake a thread that waits for its own call, to read from now on. The reader thread looks by itself."""
        if followers := list(self._followers.values()):
            followers[0].wake()

    # Reading: all of it by the one who has the turn

    def _read_for_deferred(self) -> None:
        seen, away, pause = -1, False, _PATIENCE
        while not self._closed:
            if not self._caller.deferred_calls or self._line is None:
                away, pause = False, _PATIENCE
                self._reader_wake.sleep(3600)
            elif (away or self._attended or seen == self._reads) and self._reading.take(self._reader):
                away, pause, self._attended = False, _PATIENCE, False
                try:
                    self._read_until(self._relieved, None)
                finally:
                    self._reading.leave(self._reader)
                    self._pass_on()
            else:
                # Threads that wait for calls of their own read for us as well; step in only where they stay away.
                seen = self._reads
                self._reader_wake.sleep(pause)
                since = time.monotonic() - self._read_at
                away, pause = since >= _PATIENCE, max(_PATIENCE, 2 * _PATIENCE - since)

    def _relieved(self) -> bool:
        """Whether the reader thread has nothing to read for, or others who can."""
        return not self._caller.deferred_calls or bool(self._followers)

    def _read_until(self, ready: Callable[[], bool], until: float | None) -> None:
        limit = 0.0
        while not ready() and not self._closed:
            now = self._read_at = time.monotonic()
            if now >= limit:
                if until is not None and now >= until:
                    return
                with self._lock:
                    deadline = self._caller.next_deadline()
                if deadline is not None and deadline <= now:
                    self._expire()
                    continue
                # In slices, as a call with an earlier deadline may begin meanwhile.
                limit = min(now + _SLICE, deadline or math.inf, until or math.inf)
            self._read(limit - now)

    def _expire(self) -> None:
        with self._lock:
            expired = self._caller.expire(present())
        self._report(*expired)

    def _read(self, timeout: float) -> None:
        line = self._line
        assert line is not None
        self._reads += 1
        try:
            frame = line.receive(timeout)
        except Unavailable as error:
            with self._lock:
                ended = self._caller.undelivered(error.frame, error) if error.frame else None
            self._report(ended)
        except ClosedError:
            self._lose(ConnectionLost("the line was closed; the request may have been executed"))
        except Exception as error:
            if raised_by_signal(error) is error:
                raise
            loss = error if isinstance(error, ConnectionLost) else None
            if loss is None:
                # What a transport may not raise must not end the thread that reads for everybody.
                _LOG.warning("the line cannot be read: %r", error)
                loss = ConnectionLost(f"the request may have been executed: {error}")
            self._lose(loss)
            hand_through(error)
        else:
            if frame is not None:
                with self._lock:
                    happened = self._caller.receive(frame)
                self._report(happened)

    def _lose(self, error: TreatyError) -> None:
        with self._lock:
            lost = self._caller.lost(error)
        self._report(*lost)
        if not lost:
            # Nobody waits for an answer, so nothing is lost but time.
            self._closing.wait(_PAUSE)

    def _report(self, *events: Happened | None) -> None:
        for happened in events:
            if isinstance(happened, Ended):
                waiter: Pending | None = happened.call.waiter
                happened.call.waiter = None  # the two would keep each other in memory until the collector comes
                if waiter is not None:  # otherwise it ended just now, in another thread
                    waiter.settle(happened.outcome)
            elif isinstance(happened, Progressed) and (waiter := happened.call.waiter) is not None:
                waiter.progress(happened.status)

    # Life

    def close(self) -> None:
        """End every open call with ``ClosedError``, and leave no thread and no line."""
        with self._lock:
            self._closed = True
            ended = self._caller.close()
        self._closing.set()
        with self._dialling:
            line = self._line
        self._report(*ended)
        self._sender.end()
        if line is not None:
            line.close()
        self._reader_wake.wake()
        left = self._sender.join()
        self._reader.join()
        for errand in left:  # they find the client closed, and end their calls by that
            errand()
