"""Who reads a client's line, and until when: the threads that wait for answers, or one of its own.

Whoever blocks reads the line for everybody, so no thread stands between a blocking caller and its answer. The reader
thread is at work only while deferred calls are open and nobody else reads. What frames mean is decided in the engine;
this room must not know how requests are made or sent.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from treaty.driving import Turn, WakeUp, Worker, hand_through, present, raised_by_signal
from treaty.engine import Caller
from treaty.errors import ClosedError, ConnectionLost, DeadlineExceeded, TreatyError, Unavailable
from treaty.logs import logger
from treaty.pending import Pending, report
from treaty.transport import Line

_LOG: Final = logger("treaty.client")
#: How long one read lasts at most, and by how much the deadline of a call that nobody waits for may be missed.
_SLICE: Final = 0.05
#: How long the reader thread waits for others to read before it does so itself, or twice that at most: it looks as
#: seldom as that allows, since each look takes the interpreter away from them.
_PATIENCE: Final = 0.002
#: How long to wait before a line that cannot be read is tried again.
_PAUSE: Final = 0.05
#: What comes within this time was there already, and is seldom alone; where it had to be fetched, as from a broker, to
#: look for more would cost as much again.
_AT_ONCE: Final = 0.000_04
#: How many frames for others a thread reads when its own answer is there.
_IN_A_ROW: Final = 64


class Reading:
    """Reads a line, and settles the calls whose answers it brings, or whose time is over.

    Args:
        caller: the engine.
        lock: what is held around the engine.
    """

    def __init__(self, caller: Caller, lock: AbstractContextManager[bool]) -> None:
        self._caller = caller
        self._lock = lock
        #: There is none before the first request.
        self.line: Line | None = None
        self.closed = False
        self._closing = threading.Event()
        #: Of the one thread that reads the line.
        self._turn = Turn()
        self._followers: dict[int, WakeUp] = {}
        self._reads = 0
        self._read_at = 0.0
        #: Whether the reader thread is asked not to wait for others.
        self._attended = False
        self._wake = WakeUp()  # one thread sleeps on it, and no other, or wake-ups would miss the reader
        self._reader = Worker("treaty-client-reader", self._read_for_deferred)

    @property
    def busy(self) -> bool:
        """Whether somebody reads."""
        return self._turn.taken

    def begin(self) -> None:
        """There is something to read for that nobody may wait for."""
        self._reader.start()
        self.wake()

    def attend(self) -> None:
        """Let the reader thread read as soon as nobody else does: it need not wait for a thread that might."""
        self._attended = True
        self.wake()

    def wake(self) -> None:
        """Let the reader thread look again at what there is to read for."""
        self._wake.wake()

    def end(self) -> None:
        """Let nobody read any more."""
        self.closed = True
        self._closing.set()

    def join(self) -> None:
        """Wait until the reader thread has ended."""
        self.wake()
        self._reader.join()

    def wait(self, pending: Pending, ready: Callable[[], bool], until: float | None) -> bool:
        """Read the line, or sleep while another thread reads it, until ``ready()`` or the time is over."""
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
                        if not pending.done:  # Ctrl-C came between its end and the telling
                            pending.settle(DeadlineExceeded(f"{pending.target}: no answer in time"))
                        continue
                if self.line is not None and self._turn.take(reader):
                    self._read_until(ready, limit)
                    self._turn.leave(reader)
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
            left = self._turn.leave(reader)
            if left:
                self._make_good()
            if me is not None:
                self._followers.pop(id(me), None)
                pending.listen(me.wake, on=False)
            # The wake-up to read may have been ours, and we leave without reading.
            if left or (me is not None and not self._turn.taken):
                self._pass_on()

    def _make_good(self) -> None:
        """Ctrl-C struck whoever was reading, maybe between taking a call that has ended and telling who waits for it."""
        with self._lock:
            calls = self._caller.interrupted()
        for call in calls:
            waiter, call.waiter = call.waiter, None
            if waiter is not None:
                lost = f"{call.target}: it may have been executed: the thread that read its answer was interrupted"
                waiter.settle(ConnectionLost(lost))
        self.wake()

    def _pass_on(self) -> None:
        """Wake a thread that waits for its own call, to read from now on. The reader thread looks by itself."""
        if followers := list(self._followers.values()):
            followers[0].wake()

    # What the one does who has the turn

    def _read_for_deferred(self) -> None:
        seen, away, pause = -1, False, _PATIENCE
        while not self.closed:
            if not self._caller.deferred_calls or self.line is None:
                away, pause = False, _PATIENCE
                self._wake.sleep(3600)
            elif (away or self._attended or seen == self._reads) and self._turn.take(self._reader):
                away, pause, self._attended = False, _PATIENCE, False
                try:
                    self._read_until(self._relieved, None)
                finally:
                    self._turn.leave(self._reader)
                    self._pass_on()
            else:
                # Threads that wait for calls of their own read for us as well; step in only where they stay away.
                seen = self._reads
                self._wake.sleep(pause)
                since = time.monotonic() - self._read_at
                away, pause = since >= _PATIENCE, max(_PATIENCE, 2 * _PATIENCE - since)

    def _relieved(self) -> bool:
        """Whether the reader thread has nothing to read for, or others who can."""
        return not self._caller.deferred_calls or bool(self._followers)

    def _read_until(self, ready: Callable[[], bool], until: float | None) -> None:
        limit, came = 0.0, False
        while not ready() and not self.closed:
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
            came = self._read(limit - now)
        if came and time.monotonic() - now < _AT_ONCE:
            self._read_on()

    def _read_on(self) -> None:
        """Read what is there for other calls: in a row that costs less than each by itself, whoever waits for it."""
        for _ in range(_IN_A_ROW):
            if not self._caller.open_calls or not self._read(0):
                return

    def _expire(self) -> None:
        with self._lock:
            expired = self._caller.expire(present())
        report(*expired)

    def _read(self, timeout: float) -> bool:
        """Read the line once, and return whether it had something."""
        line = self.line
        assert line is not None
        self._reads += 1
        try:
            frame = line.receive(timeout)
        except Unavailable as error:
            if error.frame:
                with self._lock:
                    ended = self._caller.undelivered(error.frame, error)
                report(ended)
            else:
                # Of which call is not said, so it may be any of them.
                self._lose(ConnectionLost(f"a request came back, it is not known which: {error}"))
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
                report(happened)
                return True
        return False

    def _lose(self, error: TreatyError) -> None:
        with self._lock:
            lost = self._caller.lost(error, present())
        report(*lost)
        if not lost:
            # Nobody waits for an answer, so nothing is lost but time.
            self._closing.wait(_PAUSE)
