"""A call under way, as its caller sees it: one object, to be waited for by a thread or awaited by a task.

It holds what came back; it must not know frames or transports. Whoever settles it does so once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from threading import RLock
from typing import Any, Final, Protocol

from msgspec import Struct

from treaty.driving import for_the_program
from treaty.engine import Ended, Happened, Progressed
from treaty.errors import ForkedError, TreatyError
from treaty.landing import landing_of
from treaty.ledger import OpenCall
from treaty.logs import logger
from treaty.messages import Response, Status, StatusLine
from treaty.registry import read_error
from treaty.statuses import KEPT_STATUSES, Statuses

_LOG: Final = logger("treaty.client")
#: Stands for this process; a forked child has another one. Comparing the two asks nothing of the operating system.
_here = object()


def _arrive() -> None:
    global _here
    _here = object()


os.register_at_fork(after_in_child=_arrive)


class Reply(Struct, frozen=True, kw_only=True):
    """An answer: result or error, status, headers and timings."""

    #: What was called, ``service.method``.
    target: str
    status: StatusLine
    headers: dict[str, str]
    #: The typed error that the service answered with, or ``None``.
    error: Exception | None
    #: Seconds between sending and answer, by the caller's clock.
    elapsed: float
    #: Seconds that the handler ran, by the service's clock.
    took: float
    #: Which instance of the service answered.
    sender: str
    #: What the handler registered with ``on_response`` made of a blocking call's answer.
    handled: Any = None
    value: Any = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    @property
    def result(self) -> Any:
        """The result.

        Raises:
            Exception: :attr:`error`, if the service answered with one.
        """
        if self.error is not None:
            raise self.error
        return self.value


class Waits(Protocol):
    """Who drives the call: the client."""

    def wait(self, pending: Pending, ready: Callable[[], bool], until: float | None) -> bool:
        """Block until ``ready()``, or the steady time ``until``. Return whether it is ready."""

    def attend(self) -> None:
        """Have the answers read by somebody else, from now on: whoever asks does not block."""

    def abandon(self, pending: Pending) -> bool:
        """Cancel the call. Return whether it was still open."""


class Pending:
    """A call that was sent. It ends exactly once, by its deadline at the latest, with a reply or an error.

    ``pending.result()`` blocks, ``await pending`` does not; both return the result or raise the error. In a forked child
    a call of the parent that was open there raises ``ForkedError`` whatever is asked of it: its end is not seen there.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_client",
        "_home",
        "_keeper",
        "_listeners",
        "_lock",
        "_outcome",
        "_seen",
        "_started",
        "_statuses",
        "_waiters",
        "call",
        "target",
    )

    def __init__(self, client: Waits, target: str, keeper: object = None) -> None:
        """Begin a call that no request was made for yet.

        Args:
            client: who drives the call.
            target: what is called.
            keeper: whose end would end the call, so that it must not be collected before.
        """
        self.target = target
        #: The engine's record of the call; ``None`` until the request is made. For the client.
        self.call: OpenCall | None = None
        self._client = client
        self._keeper = keeper
        self._home = _here
        self._started = time.monotonic()
        self._outcome: Reply | Exception | None = None
        self._lock = RLock()  # a signal's handler may cancel what this thread is just about to wait for
        # Most calls have none of these, so they are made when they are needed.
        self._callbacks: list[Callable[[Pending], None]] | None = None
        self._listeners: list[Callable[[], None]] | None = None
        self._statuses: deque[Status] | None = None
        self._seen = 0
        #: How many threads and tasks wait for the end.
        self._waiters = 0

    def __repr__(self) -> str:
        state = "done" if self._is_done() else "open" if self._home is _here else "of another process"
        return f"<Pending {self.target} {state}>"

    @property
    def done(self) -> bool:
        """Whether the call is over.

        Raises:
            ForkedError: it was open when this process was forked, so nobody here can know.
        """
        if self._outcome is not None:
            return True
        if self._home is not _here:
            raise ForkedError("this call was made by the parent of this process, which is the one to wait for it")
        return False

    def result(self, timeout: float | None = None) -> Any:
        """Block until the call is over and return its result.

        Args:
            timeout: seconds to wait at most; the call itself goes on after that.

        Raises:
            TimeoutError: not over after ``timeout`` seconds.
            ValueError: ``timeout`` is no number of seconds.
            Exception: whatever ended the call: see :mod:`treaty.errors`, or a registered error.
        """
        return self.reply(timeout).result

    def reply(self, timeout: float | None = None) -> Reply:
        """Block until the call is over and return the reply, be it a result or an error that the service answered.

        Raises:
            TimeoutError: not over after ``timeout`` seconds.
            ValueError: ``timeout`` is no number of seconds.
            TreatyError: the call ended without an answer.
        """
        if not self.done:
            until = None if timeout is None else time.monotonic() + _checked(timeout)
            self._joined(1)
            try:
                over = self._client.wait(self, self._is_done, until)
            finally:
                self._joined(-1)
            if not over:
                raise TimeoutError(f"{self.target} is not over after {timeout:g} s")
        return self._settled()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def replied(self) -> Reply:
        """Await the reply: the asyncio twin of :meth:`reply`. If the task is cancelled, and nobody else waits for the
        call, so is the call.
        """
        if not self.done:
            loop = asyncio.get_running_loop()
            over: asyncio.Future[None] = loop.create_future()
            landing = landing_of(loop)
            self.on_done(lambda _: landing.give(loop, partial(_finish, over)))
            self._client.attend()
            self._joined(1)
            try:
                await over
            except BaseException as error:
                if not self._joined(-1) and isinstance(error, asyncio.CancelledError):
                    self.give_up()
                raise
            self._joined(-1)
        return self._settled()

    async def _awaited(self) -> Any:
        return (await self.replied()).result

    def _joined(self, one: int) -> int:
        with self._lock:
            self._waiters += one
            return self._waiters

    def cancel(self) -> bool:
        """Give the call up: it ends with ``Cancelled`` at once, and the service is told to stop if it can.

        Returns whether the call was still open. It may have been executed all the same.

        Raises:
            ForkedError: this is a forked child, where nothing is cancelled.
        """
        return not self.done and self._client.abandon(self)

    def give_up(self) -> None:
        """Cancel the call if it is open and this process made it. For who passes on another error. For the client."""
        if self._home is _here:
            self.cancel()

    def statuses(self) -> Statuses:
        """Return the status messages so far and to come, for ``for`` and for ``async for``; ends with the call."""
        return Statuses(self, self._client)

    def on_done(self, callback: Callable[[Pending], None]) -> None:
        """Have ``callback(pending)`` called when the call is over: at once if it is, else by the thread that reads
        the answers. That one must not be kept waiting, least of all for another call of the same client, whose answer
        it would have to read; what the callback raises is logged.
        """
        if self.done:
            callback(self)
            return
        with self._lock:
            if self._outcome is None:
                self._callbacks = [*(self._callbacks or ()), callback]
                return
        callback(self)

    def settle(self, outcome: Response | TreatyError) -> bool:
        """End the call, unless it is over; whoever waits is told in any case. For the client."""
        ended: Reply | Exception = outcome if isinstance(outcome, Exception) else self._read(outcome)
        with self._lock:
            first = self._outcome is None
            if first:
                self._outcome = ended
            keeper, self._keeper = self._keeper, None
            callbacks, listeners = self._callbacks, self._listeners
            self._callbacks = None
        interruption: BaseException | None = None
        for callback in callbacks or ():
            try:
                callback(self)
            except BaseException as error:
                # This is the thread that reads the answers of everybody.
                if for_the_program(error):
                    interruption = error
                else:
                    _LOG.exception("%s: a callback failed", self.target)
        for listener in listeners or ():
            listener()
        del keeper  # not under the lock: this may be the end of it
        if interruption is not None:
            raise interruption
        return first

    def progress(self, status: Status) -> None:
        """Keep a status message. For the client."""
        with self._lock:
            if self._statuses is None:
                self._statuses = deque(maxlen=KEPT_STATUSES)
            self._statuses.append(status)
            self._seen += 1
            listeners = self._listeners
        for listener in listeners or ():
            listener()

    def news_after(self, position: int) -> tuple[list[Status], int]:
        """Return the status messages from a position on, and the next position."""
        with self._lock:
            kept = list(self._statuses or ())
            first = max(position, self._seen - len(kept))
            return kept[len(kept) - (self._seen - first) :], self._seen

    def listen(self, listener: Callable[[], None], *, on: bool) -> None:
        """Have ``listener()`` called for each status message and at the end, or not any more."""
        with self._lock:
            others = [one for one in self._listeners or () if one != listener]
            self._listeners = [*others, listener] if on else others

    def _is_done(self) -> bool:
        return self._outcome is not None

    def _read(self, response: Response) -> Reply:
        return Reply(
            target=self.target,
            status=response.status,
            headers=response.headers,
            error=None if response.error is None else read_error(response.error, response.status),
            elapsed=time.monotonic() - self._started,
            took=response.took / 1000,
            sender=response.sender,
            value=response.result,
        )

    def _settled(self) -> Reply:
        outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _checked(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout != timeout:
        raise ValueError(f"how long to wait is a number of seconds, not {timeout!r}")
    return timeout


def report(*events: Happened | None) -> None:
    """Tell those who wait for calls what has happened to these, all of them, also if Ctrl-C comes out of a callback."""
    interruption: BaseException | None = None
    for happened in events:
        try:
            _report(happened)
        except KeyboardInterrupt as error:
            interruption = error
    if interruption is not None:
        raise interruption


def _report(happened: Happened | None) -> None:
    if isinstance(happened, Ended):
        waiter: Pending | None = happened.call.waiter
        if waiter is not None:  # otherwise it ended just now, in another thread
            waiter.settle(happened.outcome)
            happened.call.waiter = None  # the two would keep each other in memory until the collector comes
    elif isinstance(happened, Progressed) and (waiter := happened.call.waiter) is not None:
        waiter.progress(happened.status)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
