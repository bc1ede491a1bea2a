"""The end that is asked: checks what comes in, in one order with no way round it, and writes what goes out.

It must not know sockets, clocks or threads, and runs no handler: it says which one is to run, and with what. It is not
thread-safe: the driver holds a lock around it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any, Final, TypeAlias

from msgspec import Struct

from treaty.codec import decode, encode
from treaty.engine.instant import MAX_TTL, SKEW_MS, Instant
from treaty.errors import (
    ClockSkew,
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
from treaty.guard import Admission, Guard
from treaty.messages import Cancel, ErrorData, ErrorInfo, Request, Response, Status, StatusLine, reason_for
from treaty.registry import answer, is_expected, write_error
from treaty.routing import Bound, HandlerTable
from treaty.sealing import MAX_FRAME, Key, Keyring, refusal

#: How many refusals are sent in a second at most.
REFUSALS_PER_SECOND: Final = 1000.0


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


class Run(Struct, frozen=True):
    """A handler is to run."""

    exchange: Exchange
    bound: Bound


class Answer(Struct, frozen=True):
    """A frame is to be sent back, and nothing is to run. ``None``: the request was one-way."""

    frame: bytes | None
    reason: str


class Stop(Struct, frozen=True):
    """The caller of this request has given up."""

    id: str


class Dropped(Struct, frozen=True):
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
        self._guard = Guard() if guard is None else guard
        self._skew_ms = skew_ms
        self._refusals = REFUSALS_PER_SECOND
        self._refused_at = 0.0
        #: How often each thing happened, by name.
        self.counters: Counter[str] = Counter()

    def receive(
        self,
        frame: bytes,
        *,
        now: Instant,
        reply_to: str = "",
        redelivered: bool = False,
        running: Container[str] = (),
    ) -> Asked:
        """Say what is to be done about a frame.

        Args:
            frame: as it came.
            now: the present.
            reply_to: where the transport believes that the answer goes.
            redelivered: whether another worker may have had it, or this one before.
            running: the ids of the requests that are to be answered yet.
        """
        asked = self._check(frame, now, reply_to, redelivered, running)
        self.counters["requests" if isinstance(asked, Run) else getattr(asked, "reason", "cancels")] += 1
        return asked

    def _check(self, frame: bytes, now: Instant, reply_to: str, redelivered: bool, running: Container[str]) -> Asked:
        try:
            opened = self._keyring.open(frame, b"qc", limit=self._max_frame)
        except FrameRefused as refused:
            return self._refuse(frame, refused.reason, now)
        to = opened.tag[:16].hex()
        try:
            message = decode(opened.kind, opened.body)
        except DecodingError as error:
            written = answer(InvalidRequest(str(error)))
            return Answer(self._error(written, identifier="", to=to, key=opened.key, now=now), "body")
        if isinstance(message, Cancel):
            return self._cancel(message, now)
        assert isinstance(message, Request)
        service, _, name = message.method.partition(".")
        if service != self._service:
            return self._refuse(frame, "audience", now)
        # Before anything is answered: the answer would go to whoever redirected the request.
        if message.reply != reply_to and not message.one_way:
            return Dropped("redirected")
        exchange = Exchange(message, key=opened.key, to=to, deadline=0.0)
        if verdict := self._stale(message, now):
            return self._answer(exchange, verdict, "freshness", now)
        admission = self._guard.admit(message.id, message.created, message.created + message.ttl, now.wall, now.steady)
        if admission is Admission.SEEN and (not redelivered or message.id in running):  # or its answer is to come
            return Dropped("replayed")
        if redelivered:
            lost = ConnectionLost("may have been executed: the worker that had this request died or was cut off")
            return self._answer(exchange, lost, "redelivered", now)
        if admission is Admission.FULL:
            full = ResourceExhausted("not executed: it is older than what the service remembers of those before it")
            return self._answer(exchange, full, "memory full", now)
        left = min(message.ttl, message.created + message.ttl - now.wall)
        exchange.deadline = now.steady + left / 1000
        try:
            return Run(exchange, self._table.find(name).bind(message.params))
        except (UnknownMethod, InvalidParams) as error:
            return self._answer(
                exchange, error, "unknown method" if isinstance(error, UnknownMethod) else "parameters", now
            )

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
        self._guard.admit(message.id, message.created, message.created + message.ttl, now.wall, now.steady)
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
            invalid = InvalidResult(f"{method} was executed, but its result: {error}")
            return self.error(exchange, invalid, now=now, headers=headers)
        except FrameTooLarge as error:
            large = FrameTooLarge(f"{method} was executed, but its result: {error}")
            return self.error(exchange, large, now=now, headers=headers)

    def failure(
        self,
        exchange: Exchange,
        raised: BaseException,
        *,
        now: Instant,
        error_id: str = "",
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """Write the answer for what a handler raised, with the headers that it had set."""
        written = write_error(raised, error_id="" if is_expected(raised) else error_id)
        to, key = exchange.to, exchange.key
        return self._error(written, identifier=exchange.request.id, to=to, key=key, now=now, headers=headers)

    def error(
        self, exchange: Exchange, verdict: TreatyError, *, now: Instant, headers: dict[str, str] | None = None
    ) -> bytes:
        """Write the answer for something that the service itself has to say."""
        written, to, key = answer(verdict), exchange.to, exchange.key
        return self._error(written, identifier=exchange.request.id, to=to, key=key, now=now, headers=headers)

    def status(
        self, exchange: Exchange, code: int, reason: str = "", *, progress: float | None = None, now: Instant
    ) -> bytes:
        """Write a status message.

        Raises:
            EncodingError: JSON cannot carry it, the code is not between 100 and 599, or the progress not between 0
                and 1.
            FrameTooLarge: over the limit.
        """
        if isinstance(code, bool) or not isinstance(code, int) or not 100 <= code <= 599:
            raise EncodingError(f"a status code is a whole number from 100 to 599, not {code!r}")
        if not isinstance(reason, str):
            raise EncodingError(f"the reason of a status is text, not {type(reason).__name__}")
        if isinstance(progress, bool) or not isinstance(progress, int | float | None):
            raise EncodingError(f"progress is a number, not {type(progress).__name__}")
        if progress is not None and not 0 <= progress <= 1:
            raise EncodingError(f"progress is between 0 and 1, not {progress!r}")
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
        self,
        written: tuple[ErrorInfo, StatusLine],
        *,
        identifier: str,
        to: str,
        key: Key,
        now: Instant,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        info, status = written
        text = info.message[:300]
        short = ErrorData(type=info.data.type[:100], args=[text], error_id=info.data.error_id)
        # Where it is too much for a frame, it goes without its fields and headers.
        for attempt, added in ((info, headers), (ErrorInfo(code=info.code, message=text, data=short), None)):
            message = Response(
                id=identifier,
                to=to,
                status=status,
                sender=self._sender,
                created=now.wall,
                error=attempt,
                headers=added or {},
            )
            try:
                return self._keyring.seal(Response.kind, encode(message), key=key, limit=self._max_frame)
            except (EncodingError, FrameTooLarge):
                continue
        raise AssertionError("an error of three hundred characters cannot be sent: max_frame is too small")
