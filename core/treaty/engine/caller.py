"""The end that asks: requests out, and what the frames that come back mean.

It must not know sockets, clocks, threads or waiters, and is not thread-safe: the driver holds a lock around it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

from treaty.codec import addressee, decode, encode
from treaty.engine.instant import MAX_TTL, Instant
from treaty.errors import (
    AuthenticationError,
    ClosedError,
    DeadlineExceeded,
    DecodingError,
    EncodingError,
    FrameRefused,
    InvalidResult,
    TreatyError,
    Unavailable,
)
from treaty.ledger import MAX_OPEN, Ledger, OpenCall
from treaty.messages import Cancel, Params, Request, Response, Status
from treaty.routing import split_target
from treaty.sealing import MAX_FRAME, Keyring, Opened, refused_tag, tag_of


class Outgoing(Struct, frozen=True):
    """A frame to be sent to a service, and the call that it opened, if any."""

    service: str
    frame: bytes
    call: OpenCall | None


class Ended(Struct, frozen=True):
    """A call is over: it was answered, or ``outcome`` is the error that ended it."""

    call: OpenCall
    outcome: Response | TreatyError


class Progressed(Struct, frozen=True):
    """A call that is still running has news."""

    call: OpenCall
    status: Status


class Ignored(Struct, frozen=True):
    """A frame that changed nothing."""

    reason: str


Happened: TypeAlias = Ended | Progressed | Ignored

# What is asked of every message; made once, since it takes as long to make as to ask.
_ANSWERS: Final = Response | Status
_PARAMS: Final = dict | list
#: A thread that has handed its request over may be kept from saying so for as long as this, in seconds, by the others of
#: a busy process; who hands it over later than that after a loss did so on the next connection.
_UNSAID: Final = 0.25
#: How long the answer to a request may take that may have been lost like that, in seconds.
_GRACE: Final = 1.0


class Caller:
    """The end that asks: makes requests, and says what the frames that come back mean.

    Args:
        keyring: seals requests and opens answers.
        sender: a name for this end, sealed into each request.
        random: ``random(n)`` returns n bytes fit for ids.
        max_frame: the largest frame, in bytes.
        max_open: how many calls may be open at once.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        sender: str,
        random: Callable[[int], bytes],
        max_frame: int = MAX_FRAME,
        max_open: int = MAX_OPEN,
    ) -> None:
        self._keyring = keyring
        self._sender = sender
        self._random = random
        self._max_frame = max_frame
        self._ledger = Ledger(max_open)
        #: How often each thing happened, by name.
        self.counters: Counter[str] = Counter()

    @property
    def open_calls(self) -> int:
        """How many calls wait for their answer."""
        return len(self._ledger)

    @property
    def deferred_calls(self) -> int:
        """How many of them are deferred."""
        return self._ledger.deferred

    def request(
        self,
        target: str,
        params: Params,
        *,
        timeout: float,
        now: Instant,
        headers: dict[str, str] | None = None,
        reply: str = "",
        one_way: bool = False,
        deferred: bool = False,
    ) -> Outgoing:
        """Make a request, and open a call unless it is one-way.

        Args:
            target: ``service.method``.
            params: by name or by position.
            timeout: seconds until the call is over, above 0 and at most :data:`MAX_TTL`.
            now: the present.
            headers: text for the handler.
            reply: the address of the line that it will be sent on.
            one_way: nothing is to come back.
            deferred: the caller's thread does not wait for the answer; such calls are counted.

        Raises:
            InvalidTarget: ``target`` is none.
            EncodingError: JSON cannot carry the parameters or headers.
            FrameTooLarge: over the limit.
            Unavailable: too many calls are open.
            ValueError: ``timeout`` is not a number in range.
        """
        service, _ = split_target(target)
        if not 0 < timeout <= MAX_TTL:
            raise ValueError(f"a timeout is a number of seconds above 0 and at most {MAX_TTL:g}, not {timeout!r}")
        if not isinstance(params, _PARAMS):
            raise EncodingError(f"parameters are a dict (by name) or a list (by position), not {type(params).__name__}")
        if headers is not None:
            _check_headers(headers)
        message = Request(
            id=self._random(16).hex(),
            method=target,
            params=params,
            created=now.wall,
            ttl=math.ceil(timeout * 1000),
            sender=self._sender,
            reply=reply,
            headers=headers or {},
            one_way=one_way,
        )
        frame = self._keyring.seal(Request.kind, encode(message), limit=self._max_frame)
        self.counters["requests"] += 1
        if one_way:
            return Outgoing(service, frame, None)
        call = OpenCall(
            id=message.id,
            key=tag_of(frame)[:16].hex(),
            target=target,
            deadline=now.steady + timeout,
            expires=message.created + message.ttl,
            deferred=deferred,
        )
        self._ledger.open(call)
        return Outgoing(service, frame, call)

    def receive(self, frame: bytes) -> Happened:
        """Say what a frame that came back means."""
        happened = self._read(frame)
        if isinstance(happened, Ignored):
            self.counters[f"ignored: {happened.reason}"] += 1
        return happened

    def _read(self, frame: bytes) -> Happened:
        if (tag := refused_tag(frame)) is not None:
            call = self._ledger.settle(tag[:16].hex())
            if call is None:
                return Ignored("refusal of no open call")
            text = f"{call.target}: the service refused our seal: is it the same secret at both ends, and not retired?"
            return Ended(call, AuthenticationError(text))
        try:
            opened = self._keyring.open(frame, b"rs", limit=self._max_frame)
            message = decode(opened.kind, opened.body)
        except FrameRefused as refused:
            return Ignored(refused.reason)
        except DecodingError as error:
            return self._unreadable(opened, error)
        assert isinstance(message, _ANSWERS)
        call = self._ledger.find(message.to)
        if call is None:
            return Ignored("late")
        if message.id and message.id != call.id:
            return Ignored("id")
        if isinstance(message, Response):
            self._ledger.settle(call.key)
            return Ended(call, message)
        if message.seq <= call.seq:
            return Ignored("order")
        call.seq, call.due = message.seq, call.deadline  # it runs, and is not lost
        return Progressed(call, message)

    def _unreadable(self, opened: Opened, error: DecodingError) -> Happened:
        # It is the service's, so nothing better is going to come. JSON can say more than Python holds, such as 1e999.
        call = self._ledger.settle(addressee(opened.body)) if opened.kind == Response.kind else None
        if call is None:
            return Ignored("body")
        return Ended(call, InvalidResult(f"{call.target}: answered, but that cannot be read: {error}"))

    def undelivered(self, frame: bytes, error: TreatyError) -> Ended | None:
        """End the call whose request, or the first bytes of it, came back."""
        call = self._ledger.settle(tag_of(frame)[:16].hex())
        return Ended(call, Unavailable(f"{call.target}: not executed: {error}")) if call else None

    def give_up(self, call: OpenCall, error: TreatyError) -> Ended | None:
        """End a call from this side. ``None`` when it is over already."""
        return Ended(call, error) if self._ledger.settle(call.key) else None

    def lost(self, error: TreatyError, now: Instant) -> list[Ended]:
        """End every call that was sent: the connection on which the answers would have come is gone. A request that is
        still to be sent goes out on the next one.
        """
        return [Ended(call, error) for call in self._ledger.settle_sent(error, now.steady)]

    def sent_beside_loss(self, call: OpenCall, now: Instant) -> None:
        """A request was handed over while a loss was told, and it cannot be known which was first. So its call goes on,
        but ends with that loss if it hears nothing for a second.
        """
        if now.steady - call.told < _UNSAID:
            self._ledger.hasten(call, now.steady + _GRACE)

    def interrupted(self) -> list[OpenCall]:
        """Return the calls that a thread may have taken to end them, when it was interrupted meanwhile."""
        return self._ledger.taken_last()

    def expire(self, now: Instant) -> list[Ended]:
        """End the calls whose deadline has come, and those that were probably lost."""
        return [Ended(call, _overdue(call)) for call in self._ledger.expire(now.steady)]

    def next_deadline(self) -> float | None:
        """Return when :meth:`expire` has something to do, on the steady clock."""
        return self._ledger.next_deadline()

    def cancel(self, call: OpenCall, now: Instant) -> Outgoing:
        """Make the frame that tells the service to stop, or not to start."""
        service, _ = split_target(call.target)
        # As long-lived as the request itself: what it leaves in the service's memory must outlast the request.
        ttl = max(0, call.expires - now.wall)
        message = Cancel(id=call.id, service=service, created=now.wall, ttl=ttl, sender=self._sender)
        return Outgoing(service, self._keyring.seal(Cancel.kind, encode(message)), None)

    def close(self) -> list[Ended]:
        """End every open call because this end closes."""
        error = ClosedError("the client was closed while the call was open")
        return [Ended(call, error) for call in self._ledger.settle_all()]


def _overdue(call: OpenCall) -> TreatyError:
    if call.due < call.deadline and call.loss is not None:
        return call.loss
    return DeadlineExceeded(f"{call.target}: no answer in time")


def _check_headers(headers: dict[str, str]) -> None:
    if not isinstance(headers, dict):
        raise EncodingError(f"headers are a dict of text, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise EncodingError(f"the name and the value of a header are text, not {name!r}: {value!r}")
