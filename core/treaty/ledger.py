"""The caller's open calls: which questions wait for an answer, until when, and how each one ended.

No waiters and no clock live here; ``now`` is a steady clock's reading in seconds. A call is settled exactly once:
whoever takes it out of the ledger is the one who may end it.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

from treaty.errors import TreatyError, Unavailable

#: How many calls may be open at once by default.
MAX_OPEN = 65_536
#: How many of the calls that were taken out last are remembered, for when Ctrl-C strikes the thread that is to end them.
_REMEMBERED = 64


class OpenCall:
    """A call that waits for its answer. ``key`` is the first half of its request's tag, in hexadecimal."""

    __slots__ = (
        "deadline",
        "deferred",
        "due",
        "expires",
        "id",
        "key",
        "loss",
        "sent",
        "seq",
        "target",
        "told",
        "waiter",
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the field's term
        key: str,
        target: str,
        deadline: float,
        expires: int,
        deferred: bool = False,
    ) -> None:
        self.id = id
        self.key = key
        self.target = target
        #: On a steady clock, in seconds; and the same on the wall clock, in milliseconds.
        self.deadline = deadline
        self.expires = expires
        #: When it is over, if nothing comes: at its deadline, or earlier where it may be lost.
        self.due = deadline
        #: Whether somebody else than the caller's thread must see to its answer.
        self.deferred = deferred
        #: Whether the request was handed over, so that what becomes of the connection matters to it.
        self.sent = False
        #: The loss that was told before ``sent`` was set, and when: the request may have been handed over all the same.
        self.loss: TreatyError | None = None
        self.told = 0.0
        #: The last status that was seen.
        self.seq = 0
        #: Whatever the driver hangs here to find who waits; the ledger never looks at it.
        self.waiter: Any = None


class Ledger:
    """The open calls, by key and by deadline."""

    def __init__(self, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        #: How many of the open calls are deferred.
        self.deferred = 0
        self._calls: dict[str, OpenCall] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._taken: deque[OpenCall] = deque(maxlen=_REMEMBERED)

    def __len__(self) -> int:
        return len(self._calls)

    def open(self, call: OpenCall) -> None:
        """Enter a call.

        Raises:
            Unavailable: there are as many open calls as are allowed; nothing was sent.
        """
        if len(self._calls) >= self._limit:
            raise Unavailable(f"not sent: {self._limit:,} calls of this client are open already")
        self._calls[call.key] = call
        self.deferred += call.deferred
        heapq.heappush(self._deadlines, (call.due, call.key))
        # Settled calls leave their deadline behind; clear up before these outnumber the open ones for good.
        if len(self._deadlines) > 2 * len(self._calls) + 64:
            self._deadlines = [(open_.due, key) for key, open_ in self._calls.items()]
            heapq.heapify(self._deadlines)

    def find(self, key: str) -> OpenCall | None:
        """Return the open call with this key, if there is one."""
        return self._calls.get(key)

    def settle(self, key: str) -> OpenCall | None:
        """Take a call out: the caller of this may end it. ``None`` when it was settled before, or never opened."""
        call = self._calls.get(key)
        if call is not None:
            self._taken.append(call)  # first: who is interrupted after the next line is to find it there
            del self._calls[key]
            self.deferred -= call.deferred
        return call

    def taken_last(self) -> list[OpenCall]:
        """Return the calls that were taken out last, when a thread was interrupted while it did so or before it could
        end them; and count the deferred ones anew.
        """
        self.deferred = sum(call.deferred for call in self._calls.values())
        return [call for call in self._taken if call.key not in self._calls]

    def settle_all(self) -> list[OpenCall]:
        """Take every call out, oldest deadline first."""
        calls = sorted(self._calls.values(), key=lambda call: call.deadline)
        self._calls.clear()
        self._deadlines.clear()
        self.deferred = 0
        return calls

    def settle_sent(self, loss: TreatyError, now: float) -> list[OpenCall]:
        """Take out the calls whose request was handed over, oldest first. The others keep the loss that was told now."""
        for call in self._calls.values():
            # Whoever hands a request over first sets ``sent`` and then looks for a loss: one of us sees the other.
            call.told, call.loss = now, loss
        sent = [call for call in self._calls.values() if call.sent]
        for call in sent:
            self.settle(call.key)
        return sent

    def hasten(self, call: OpenCall, due: float) -> None:
        """Have an open call be over at ``due``, if that is earlier than its deadline."""
        if due < call.due and call.key in self._calls:
            call.due = due
            heapq.heappush(self._deadlines, (due, call.key))

    def expire(self, now: float) -> list[OpenCall]:
        """Take out the calls that are due."""
        expired = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, key = heapq.heappop(self._deadlines)
            call = self._calls.get(key)
            if call is None:
                continue
            if call.due > now:  # it was hastened, and is no more
                heapq.heappush(self._deadlines, (call.due, key))
                continue
            self.settle(key)
            expired.append(call)
        return expired

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` has something to do, or ``None`` when nothing is open."""
        while self._deadlines and self._deadlines[0][1] not in self._calls:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None
