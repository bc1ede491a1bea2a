"""Cores that are broken where calls begin and end: no transport could do what these do.

Each has one defect and no other. It must not know rules.
"""

# ruff: noqa: SLF001 - a core is broken from inside

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

import treaty.engine.answerer as answerer_module
import treaty.engine.caller as caller_module
from treaty import DeadlineExceeded, Request, Response, Status, TreatyError, Unavailable, UnknownMethod
from treaty.codec import decode, encode
from treaty.driving import present
from treaty.engine import Answer, Answerer, Caller, Ended, Happened, Ignored, Progressed
from treaty.engine.answerer import Exchange
from treaty.ledger import Ledger, OpenCall
from treaty.messages import Params
from treaty.pending import Pending
from treaty.sealing import PREFIX
from treaty_contracts.zoo.animals import broken_core
from treaty_contracts.zoo.patching import patched

#: Beyond this a number of double precision does not tell whole numbers apart.
_EXACT: Final = 2**53


@broken_core("late-answers-count", kills=("CALL-006",), shows="the result of the call after the late one")
def late_answers_count() -> Iterator[None]:
    """An answer to a call that missed its deadline is taken for the answer to the oldest open one."""
    expire, before = Ledger.expire, Caller._read
    missed: set[str] = set()

    def remembering(self: Ledger, now: float) -> list[OpenCall]:
        expired = expire(self, now)
        missed.update(call.key for call in expired)
        return expired

    def read(self: Caller, frame: bytes) -> Happened:
        happened = before(self, frame)
        if isinstance(happened, Ignored) and happened.reason == "late" and frame[3:4] == b"r" and self._ledger._calls:
            message = decode(b"r", frame[PREFIX:])
            if isinstance(message, Response) and message.to in missed:
                call = self._ledger.settle(next(iter(self._ledger._calls)))
                assert call is not None
                return Ended(call, message)
        return happened

    with patched(Ledger, "expire", remembering), patched(Caller, "_read", read):
        yield


@broken_core("matches-by-order", kills=("CALL-002",), shows="the result of the next call")
def matches_by_order() -> Iterator[None]:
    """An answer to no open call is taken for the answer to the oldest one."""
    before = Caller._read

    def read(self: Caller, frame: bytes) -> Happened:
        happened = before(self, frame)
        if isinstance(happened, Ignored) and happened.reason == "late" and frame[3:4] == b"r" and self._ledger._calls:
            call = self._ledger.settle(next(iter(self._ledger._calls)))
            message = decode(b"r", frame[PREFIX:])
            assert call is not None and isinstance(message, Response)
            return Ended(call, message)
        return happened

    with patched(Caller, "_read", read):
        yield


@broken_core("keeps-calls-open", kills=("CALL-002",), shows="how many calls are open")
def keeps_calls_open() -> Iterator[None]:
    """A call that was answered is kept until its deadline."""
    with patched(Ledger, "settle", lambda self, key: self._calls.get(key)):
        yield


@broken_core("hears-late-statuses", kills=("CALL-011",), shows="the statuses of the first call")
def hears_late_statuses() -> Iterator[None]:
    """A status that comes after the answer is heard."""
    before = Caller._read
    answered: dict[str, tuple[OpenCall, Any]] = {}

    def read(self: Caller, frame: bytes) -> Happened:
        happened = before(self, frame)
        if isinstance(happened, Ended):
            answered[happened.call.key] = happened.call, happened.call.waiter
        if isinstance(happened, Ignored) and happened.reason == "late" and frame[3:4] == b"s":
            message = decode(b"s", frame[PREFIX:])
            if isinstance(message, Status) and message.to in answered:
                call, waiter = answered[message.to]
                call.waiter = waiter
                return Progressed(call, message)
        return happened

    with patched(Caller, "_read", read):
        yield


@broken_core("ends-calls-early", kills=("CALL-005", "PLAN-001", "PLAN-003"), shows="not before")
def ends_calls_early() -> Iterator[None]:
    """A call has seven tenths of its time."""
    before = Caller.request

    def request(self: Caller, *args: Any, timeout: float, **more: Any) -> Any:
        return before(self, *args, timeout=timeout * 0.7, **more)

    with patched(Caller, "request", request):
        yield


@broken_core("ends-calls-late", kills=("CALL-005", "PLAN-001", "PLAN-003"), shows="deadline")
def ends_calls_late() -> Iterator[None]:
    """A call has 0.6 s more than its time."""
    before = Ledger.open

    def open_(self: Ledger, call: OpenCall) -> None:
        call.deadline += 0.6
        call.due = call.deadline
        before(self, call)

    with patched(Ledger, "open", open_):
        yield


@broken_core("rounds-large-numbers", kills=("CALL-001",), shows="the result of")
def rounds_large_numbers() -> Iterator[None]:
    """A whole number beyond 2**53 arrives as a number of double precision."""
    before = Pending._read

    def rounded(value: Any) -> Any:
        if isinstance(value, list):
            return [rounded(one) for one in value]
        if isinstance(value, dict):
            return {key: rounded(one) for key, one in value.items()}
        is_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT
        return float(value) if is_large else value

    def read(self: Pending, response: Response) -> Any:
        return msgspec.structs.replace(before(self, response), value=rounded(response.result))

    with patched(Pending, "_read", read):
        yield


@broken_core("ignores-unknown-methods", kills=("CALL-004",), shows="UnknownMethod for")
def ignores_unknown_methods() -> Iterator[None]:
    """A request for a method that is not there gets no answer."""
    before = Answerer._answer

    def answer(self: Answerer, exchange: Exchange, verdict: TreatyError, reason: str, now: Any) -> Answer:
        if isinstance(verdict, UnknownMethod):
            return Answer(None, reason)
        return before(self, exchange, verdict, reason, now)

    with patched(Answerer, "_answer", answer):
        yield


@broken_core("runs-expired-requests", kills=("CALL-008",), shows="the error code of the answer")
def runs_expired_requests() -> Iterator[None]:
    """The service takes every request for one that was made just now."""

    def made_now(kind: bytes, body: bytes) -> Any:
        message = decode(kind, body)
        return msgspec.structs.replace(message, created=present().wall) if isinstance(message, Request) else message

    with patched(answerer_module, "decode", made_now):
        yield


def _values(params: Params) -> Iterable[Any]:
    return params.values() if isinstance(params, dict) else params


@broken_core("shares-objects", kills=("CALL-009",), shows="the caller's parameters after the call")
def shares_objects() -> Iterator[None]:
    """In one process the handler gets the very object that the caller gave."""
    given: dict[str, Any] = {}

    def remembering(message: Any) -> bytes:
        # What was sent before the line was open is JSON already.
        if isinstance(message, Request) and not any(isinstance(one, msgspec.Raw) for one in _values(message.params)):
            given[message.id] = message.params
        return encode(message)

    def sharing(kind: bytes, body: bytes) -> Any:
        message = decode(kind, body)
        if isinstance(message, Request) and message.id in given:
            return msgspec.structs.replace(message, params=given.pop(message.id))
        return message

    with patched(caller_module, "encode", remembering), patched(answerer_module, "decode", sharing):
        yield


@broken_core("reverses-statuses", kills=("CALL-010",), shows="what report(")
def reverses_statuses() -> Iterator[None]:
    """The status that came last is the first that is handed out."""
    before = Pending.progress

    def progress(self: Pending, status: Any) -> None:
        before(self, status)
        assert self._statuses is not None
        self._statuses.rotate(1)

    with patched(Pending, "progress", progress):
        yield


@broken_core("awaiting-forgets-after-news", kills=("ASYNC-001",), shows="how the calls end on the asyncio surface")
def awaiting_forgets_after_news() -> Iterator[None]:
    """Awaiting a call that sent statuses returns nothing."""
    before = Pending._awaited

    async def awaited(self: Pending) -> Any:
        result = await before(self)
        return None if self._statuses else result

    with patched(Pending, "_awaited", awaited):
        yield


@broken_core("cancelling-leaks", kills=("ASYNC-002",), shows="no open call after both were cancelled")
def cancelling_leaks() -> Iterator[None]:
    """A call that is cancelled stays open until its deadline."""

    def give_up(self: Caller, call: OpenCall, error: TreatyError) -> Ended | None:  # noqa: ARG001 - that is the defect
        return Ended(call, error)

    with patched(Caller, "give_up", give_up):
        yield


@broken_core(
    "blocks-the-loop",
    kills=(
        "ASYNC-003",
        "CALL-003",
        "ASYNC-002",
    ),
    shows="the longest time for which the loop stood still",
)
def blocks_the_loop() -> Iterator[None]:
    """Awaiting a call blocks the loop until it is over."""
    before = Pending.replied

    async def replied(self: Pending) -> Any:
        self._client.wait(self, self._is_done, None)
        return await before(self)

    with patched(Pending, "replied", replied):
        yield


@broken_core("belongs-to-a-loop", kills=("ASYNC-004",), shows="attached to a different loop")
def belongs_to_a_loop() -> Iterator[None]:
    """A client belongs to the event loop that used it first."""
    before = Pending.replied
    loops: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    async def replied(self: Pending) -> Any:
        loop = asyncio.get_running_loop()
        if loops.setdefault(self._client, loop) is not loop:
            raise RuntimeError("attached to a different loop")
        return await before(self)

    with patched(Pending, "replied", replied):
        yield


@broken_core(
    "few-open-calls",
    kills=("ASYNC-005",),
    shows="Unavailable",
)
def few_open_calls() -> Iterator[None]:
    """At most thirty calls are open at once on a client."""
    before = Ledger.open

    def open_(self: Ledger, call: OpenCall) -> None:
        if len(self) >= 30:
            raise Unavailable("not sent: thirty calls of this client are open already")
        before(self, call)

    with patched(Ledger, "open", open_):
        yield


@broken_core("forgets-open-calls", kills=("LIFE-002",), shows="ClosedError")
def forgets_open_calls() -> Iterator[None]:
    """Calls that are open when their client is closed are left alone."""
    with patched(Caller, "close", lambda self: []):  # noqa: ARG005 - that is the defect
        yield


@broken_core("calls-it-late", kills=("LIFE-002",), shows="ClosedError")
def calls_it_late() -> Iterator[None]:
    """A call that is open when its client is closed ends as if its deadline had come."""

    def close(self: Caller) -> list[Ended]:
        return self.lost(DeadlineExceeded("the client was closed"), present())

    with patched(Caller, "close", close):
        yield
