"""The two pumps: :class:`Caller` for the end that asks, :class:`Answerer` for the end that is asked.

Bytes and ``now`` go in, events and bytes come out. No socket, clock, thread or waiter lives here, and nothing is
thread-safe: the driver holds one lock around each pump. Every rule of the protocol is in this room or above it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from treaty.codec import decode, encode
from treaty.errors import (
    AuthenticationError,
    ClockSkew,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    DecodingError,
    EncodingError,
    FrameRefused,
    FrameTooLarge,
    InvalidParams,
    InvalidRequest,
    InvalidResult,
    ResourceExhausted,
    TreatyError,
    UnknownMethod,
)
from treaty.guard import CAPACITY, Admission, Guard
from treaty.ledger import MAX_OPEN, Ledger, OpenCall
from treaty.messages import Cancel, ErrorInfo, Params, Request, Response, Status, StatusLine, reason_for
from treaty.registry import answer, is_expected, write_error
from treaty.routing import Bound, HandlerTable, split_target
from treaty.sealing import MAX_FRAME, Key, Keyring, refusal, refused_tag, tag_of

#: How far two clocks may be apart, in milliseconds.
SKEW_MS: Final = 30_000
#: The longest time that a call may take, in seconds.
MAX_TTL: Final = 86_400.0
#: How many refusals are sent in a second at most.
REFUSALS_PER_SECOND: Final = 1000.0


class Instant(NamedTuple):
    """The present, on two clocks: ``wall`` in milliseconds since the epoch, ``steady`` in seconds from anywhere."""

    wall: int
    steady: float


class Outgoing(NamedTuple):
    """A frame to be sent to a service, and the call that it opened, if any."""

    service: str
    frame: bytes
    call: OpenCall | None


class Ended(NamedTuple):
    """A call is over: it was answered, or ``outcome`` is the error that ended it."""

    call: OpenCall
    outcome: Response | TreatyError


class Progressed(NamedTuple):
    """A call that is still running has news."""

    call: OpenCall
    status: Status


class Ignored(NamedTuple):
    """A frame that changed nothing."""

    reason: str


Happened: TypeAlias = Ended | Progressed | Ignored


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
        if not isinstance(params, dict | list):
            raise EncodingError(f"parameters are a dict (by name) or a list (by position), not {type(params).__name__}")
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
        except DecodingError:
            return Ignored("body")
        if not isinstance(message, Response | Status):
            return Ignored("kind")
        call = self._ledger.find(message.to)
        if call is None:
            return Ignored("late")
        if message.id not in (call.id, ""):
            return Ignored("id")
        if isinstance(message, Response):
            self._ledger.settle(call.key)
            return Ended(call, message)
        if message.seq <= call.seq:
            return Ignored("order")
        call.seq = message.seq
        return Progressed(call, message)

    def undelivered(self, frame: bytes, error: TreatyError) -> Ended | None:
        """End the call whose request, or the first bytes of it, came back."""
        call = self._ledger.settle(tag_of(frame)[:16].hex())
        return Ended(call, error) if call else None

    def give_up(self, call: OpenCall, error: TreatyError) -> Ended | None:
        """End a call from this side. ``None`` when it is over already."""
        return Ended(call, error) if self._ledger.settle(call.key) else None

    def lost(self, error: TreatyError) -> list[Ended]:
        """End every open call: the connection on which the answers would have come is gone."""
        return [Ended(call, error) for call in self._ledger.settle_all()]

    def expire(self, now: Instant) -> list[Ended]:
        """End the calls whose deadline has come."""
        return [
            Ended(call, DeadlineExceeded(f"{call.target}: no answer in time")) for call in self._ledger.expire(now.steady)
        ]

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
        return self.lost(ClosedError("the client was closed while the call was open"))


class Exchange:
    """One request that is being answered."""

    __slots__ = ("deadline", "key", "request", "seq", "to")

    def __init__(self, request: Request, *, key: Key, to: str, deadline: float) -> None:
        self.request = request
        self.key = key
        self.to = to
        #: On the steady clock.
        self.deadline = deadline
        self.seq = 0


class Run(NamedTuple):
    """A handler is to run."""

    exchange: Exchange
    bound: Bound


class Answer(NamedTuple):
    """A frame is to be sent back, and nothing is to run. ``None``: the request was one-way."""

    frame: bytes | None
    reason: str


class Stop(NamedTuple):
    """The caller of this request has given up."""

    id: str


class Dropped(NamedTuple):
    """A frame that gets no answer."""

    reason: str


Asked: TypeAlias = Run | Answer | Stop | Dropped


class Answerer:
    """The end that is asked: checks what comes in, in one order with no way round it, and writes what goes out.

    Args:
        service: the name that requests must be addressed to.
        keyring: opens requests; each answer is sealed with the key of its question.
        table: the methods.
        sender: a name for this end, sealed into each answer.
        max_frame: the largest frame, in bytes.
        guard: the memory of ids.
        skew_ms: how far in the future a request may have been made.
    """

    def __init__(
        self,
        service: str,
        keyring: Keyring,
        table: HandlerTable,
        *,
        sender: str,
        max_frame: int = MAX_FRAME,
        guard: Guard | None = None,
        skew_ms: int = SKEW_MS,
    ) -> None:
        self._service = service
        self._keyring = keyring
        self._table = table
        self._sender = sender
        self._max_frame = max_frame
        self._guard = guard or Guard(CAPACITY)
        self._skew_ms = skew_ms
        self._refusals = REFUSALS_PER_SECOND
        self._refused_at = 0.0
        #: How often each thing happened, by name.
        self.counters: Counter[str] = Counter()

    def receive(self, frame: bytes, *, now: Instant, reply_to: str = "", redelivered: bool = False) -> Asked:
        """Say what is to be done about a frame.

        Args:
            frame: as it came.
            now: the present.
            reply_to: where the transport believes that the answer goes.
            redelivered: whether another worker may have had it.
        """
        asked = self._check(frame, now, reply_to, redelivered)
        self.counters["requests" if isinstance(asked, Run) else getattr(asked, "reason", "cancels")] += 1
        return asked

    def _check(self, frame: bytes, now: Instant, reply_to: str, redelivered: bool) -> Asked:  # noqa: PLR0911
        try:
            opened = self._keyring.open(frame, b"qc", limit=self._max_frame)
        except FrameRefused as refused:
            return self._refuse(frame, refused.reason, now)
        to = opened.tag[:16].hex()
        try:
            message = decode(opened.kind, opened.body)
        except DecodingError as error:
            verdict = InvalidRequest(str(error))
            return Answer(self._error(answer(verdict), identifier="", to=to, key=opened.key, now=now), "body")
        if isinstance(message, Cancel):
            return self._cancel(message, now)
        assert isinstance(message, Request)
        if message.service != self._service:
            return self._refuse(frame, "audience", now)
        exchange = Exchange(message, key=opened.key, to=to, deadline=0.0)
        if verdict := self._stale(message, now):
            return self._answer(exchange, verdict, "freshness", now)
        if message.reply != reply_to and not message.one_way:
            return Dropped("redirected")
        admission = self._guard.admit(message.id, message.created + message.ttl, now.wall)
        if admission is Admission.SEEN:
            return Dropped("replayed")
        if admission is Admission.FULL:
            full = ResourceExhausted("not executed: the service remembers as many requests as it may")
            return self._answer(exchange, full, "memory full", now)
        if redelivered:
            lost = ConnectionLost("may have been executed: the worker that had this request died or was cut off")
            return self._answer(exchange, lost, "redelivered", now)
        left = min(message.ttl, message.created + message.ttl - now.wall)
        exchange.deadline = now.steady + left / 1000
        try:
            return Run(exchange, self._table.find(message.name).bind(message.params))
        except (UnknownMethod, InvalidParams) as error:
            return self._answer(exchange, error, "unknown method" if isinstance(error, UnknownMethod) else "parameters", now)

    def _stale(self, message: Request, now: Instant) -> TreatyError | None:
        ahead = message.created - now.wall
        if ahead > self._skew_ms:
            return ClockSkew(
                f"not executed: made {ahead / 1000:.3f} s in the future by the service's clock, "
                f"where {self._skew_ms / 1000:g} s are allowed"
            )
        late = now.wall - (message.created + message.ttl)
        if late >= 0:
            return DeadlineExceeded(
                f"{message.method}: not executed: by the service's clock it expired {late / 1000:.3f} s before it "
                "was read (if it was not under way for that long, the two clocks disagree)"
            )
        if message.ttl > MAX_TTL * 1000:
            return InvalidRequest(f"not executed: a call may take {MAX_TTL:g} s at most")
        return None

    def _refuse(self, frame: bytes, reason: str, now: Instant) -> Asked:
        gained = (now.steady - self._refused_at) * REFUSALS_PER_SECOND
        self._refusals = min(REFUSALS_PER_SECOND, self._refusals + max(0.0, gained))
        self._refused_at = now.steady
        fixed = refusal(frame)
        if fixed is None or self._refusals < 1:
            return Dropped(reason)
        self._refusals -= 1
        return Answer(fixed, reason)

    def _cancel(self, message: Cancel, now: Instant) -> Asked:
        if message.service != self._service:
            return Dropped("audience")
        if not -self._skew_ms <= now.wall - message.created <= min(message.ttl, MAX_TTL * 1000):
            return Dropped("freshness")
        # Should the cancel have overtaken its request, the request finds its id taken, and does not run.
        self._guard.admit(message.id, message.created + message.ttl, now.wall)
        return Stop(message.id)

    def result(
        self,
        exchange: Exchange,
        value: Any,
        *,
        now: Instant,
        status: StatusLine | None = None,
        headers: dict[str, str] | None = None,
        took: float = 0.0,
    ) -> bytes:
        """Write the answer: the result, or the typed error that says why it cannot be sent.

        Args:
            exchange: what is answered.
            value: what the handler returned.
            now: the present.
            status: what the handler set, or 200.
            headers: what the handler set.
            took: seconds.
        """
        message = Response(
            id=exchange.request.id,
            to=exchange.to,
            status=status or StatusLine(),
            sender=self._sender,
            created=now.wall,
            result=value,
            headers=headers or {},
            took=round(took * 1000, 3),
        )
        method = exchange.request.method
        try:
            return self._keyring.seal(Response.kind, encode(message), key=exchange.key, limit=self._max_frame)
        except EncodingError as error:
            return self.error(exchange, InvalidResult(f"{method} was executed, but its result {error}"), now=now)
        except FrameTooLarge as error:
            return self.error(exchange, FrameTooLarge(f"{method} was executed, but its result is {error}"), now=now)

    def failure(self, exchange: Exchange, raised: BaseException, *, now: Instant, error_id: str = "") -> bytes:
        """Write the answer for what a handler raised."""
        written = write_error(raised, error_id="" if is_expected(raised) else error_id)
        return self._error(written, identifier=exchange.request.id, to=exchange.to, key=exchange.key, now=now)

    def error(self, exchange: Exchange, verdict: TreatyError, *, now: Instant) -> bytes:
        """Write the answer for something that the service itself has to say."""
        return self._error(answer(verdict), identifier=exchange.request.id, to=exchange.to, key=exchange.key, now=now)

    def status(
        self, exchange: Exchange, code: int, reason: str = "", *, progress: float | None = None, now: Instant
    ) -> bytes:
        """Write a status message.

        Raises:
            EncodingError: JSON cannot carry it, or the code is not between 100 and 599.
            FrameTooLarge: over the limit.
        """
        if isinstance(code, bool) or not isinstance(code, int) or not 100 <= code <= 599:
            raise EncodingError(f"a status code is a whole number from 100 to 599, not {code!r}")
        exchange.seq += 1
        message = Status(
            id=exchange.request.id,
            to=exchange.to,
            seq=exchange.seq,
            code=code,
            reason=reason or reason_for(code),
            progress=progress,
            sender=self._sender,
            created=now.wall,
        )
        return self._keyring.seal(Status.kind, encode(message), key=exchange.key, limit=self._max_frame)

    def _answer(self, exchange: Exchange, verdict: TreatyError, reason: str, now: Instant) -> Answer:
        return Answer(None if exchange.request.one_way else self.error(exchange, verdict, now=now), reason)

    def _error(
        self, written: tuple[ErrorInfo, StatusLine], *, identifier: str, to: str, key: Key, now: Instant
    ) -> bytes:
        info, status = written
        for attempt in (info, ErrorInfo(code=info.code, message=info.message[:1000])):
            message = Response(
                id=identifier, to=to, status=status, sender=self._sender, created=now.wall, error=attempt
            )
            try:
                return self._keyring.seal(Response.kind, encode(message), key=key, limit=self._max_frame)
            except (EncodingError, FrameTooLarge):
                continue
        raise AssertionError("an error of a thousand characters cannot be sent: max_frame is too small")
