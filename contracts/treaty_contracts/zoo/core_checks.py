"""Cores that are broken where seals are checked and errors written: no transport could do what these do.

Each has one defect and no other. It must not know rules.
"""

# ruff: noqa: SLF001 - a core is broken from inside

from __future__ import annotations

import hmac
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

import treaty.engine.answerer as answerer_module
import treaty.pending as pending_module
import treaty.reception as reception_module
import treaty.registry as registry_module
import treaty.serving as serving_module
from treaty import (
    Client,
    ConnectionLost,
    FrameRefused,
    FrameTooLarge,
    InvalidResult,
    Keyring,
    RemoteError,
    Request,
    Response,
    TransportError,
    TreatyError,
)
from treaty.codec import decode
from treaty.engine import Answerer, Asked, Dropped
from treaty.engine.answerer import Exchange
from treaty.messages import ErrorInfo
from treaty.pending import Pending
from treaty.registry import read_error, write_error
from treaty.sealing import PREFIX, Opened
from treaty.serving import Serving
from treaty_contracts.zoo.animals import broken_core
from treaty_contracts.zoo.patching import patched


@contextmanager
def _lenient(kinds: bytes) -> Iterator[None]:
    """Open frames of these kinds whatever their seal."""
    before = Keyring.open

    def open_(self: Keyring, frame: bytes, expected: bytes, **more: Any) -> Opened:
        kind = frame[3:4]
        if len(frame) > PREFIX and kind in kinds and kind in expected:
            named = self._keys.get(frame[4:12], [self.active])[0]
            return Opened(kind, named, frame[12:PREFIX], frame[PREFIX:])
        return before(self, frame, expected, **more)

    with patched(Keyring, "open", open_):
        yield


@broken_core(
    "accepts-any-request",
    kills=(
        "AUTH-002",
        "ERR-005",
    ),
    shows="AuthenticationError for",
)
def accepts_any_request() -> Iterator[None]:
    """The seal of a request is not looked at."""
    with _lenient(b"q"):
        yield


@broken_core("accepts-any-notification", kills=("AUTH-004",), shows="the first notification that is heard")
def accepts_any_notification() -> Iterator[None]:
    """The seal of a notification is not looked at."""
    with _lenient(b"n"):
        yield


@broken_core("accepts-any-status", kills=("AUTH-004",), shows="good")
def accepts_any_status() -> Iterator[None]:
    """The seal of a status message is not looked at."""
    with _lenient(b"s"):
        yield


@broken_core("accepts-any-answer", kills=("AUTH-004",), shows="good")
def accepts_any_answer() -> Iterator[None]:
    """The seal of an answer is not looked at."""
    with _lenient(b"r"):
        yield


@broken_core("accepts-the-active-key-only", kills=("AUTH-001",), shows="a result")
def accepts_the_active_key_only() -> Iterator[None]:
    """A keyring opens what its active key has sealed, and nothing else."""
    before = Keyring.open

    def open_(self: Keyring, frame: bytes, kinds: bytes, **more: Any) -> Opened:
        opened = before(self, frame, kinds, **more)
        if not hmac.compare_digest(opened.key.id, self.active.id):
            raise FrameRefused("key")
        return opened

    with patched(Keyring, "open", open_):
        yield


@broken_core("refuses-in-silence", kills=("AUTH-002",), shows="AuthenticationError for")
def refuses_in_silence() -> Iterator[None]:
    """A request with a wrong seal gets no refusal."""

    def refuse(self: Answerer, frame: bytes, reason: str, now: Any) -> Asked:  # noqa: ARG001 - that is the defect
        return Dropped(reason)

    with patched(Answerer, "_refuse", refuse):
        yield


@broken_core(
    "runs-before-it-checks",
    kills=(
        "AUTH-003",
        "ERR-005",
    ),
    shows="no handler for a refused request",
)
def runs_before_it_checks() -> Iterator[None]:
    """The handler of a request runs before the seal is checked."""
    before = Answerer._refuse

    def refuse(self: Answerer, frame: bytes, reason: str, now: Any) -> Asked:
        try:
            message = decode(frame[3:4], frame[PREFIX:])
            if isinstance(message, Request):
                bound = self._table.find(message.name).bind(message.params)
                bound.handler.function(None, *bound.args, **bound.kwargs)
        except Exception:
            # Garbage is refused as ever.
            return before(self, frame, reason, now)
        return before(self, frame, reason, now)

    with patched(Answerer, "_refuse", refuse):
        yield


@broken_core("shows-its-secret", kills=("AUTH-005",), shows="<SECRET>")
def shows_its_secret() -> Iterator[None]:
    """The repr of a keyring holds the secret."""
    with patched(Keyring, "__repr__", lambda self: f"<Keyring {self.active.text()}>"):
        yield


@broken_core("logs-its-secret", kills=("AUTH-005",), shows="<SECRET>")
def logs_its_secret() -> Iterator[None]:
    """A client logs what it was made of."""
    before = Client.__init__

    def init(self: Client, *args: Any, **more: Any) -> None:
        logging.getLogger("treaty.client").debug("made with %r", more)
        before(self, *args, **more)

    with patched(Client, "__init__", init):
        yield


class _ErrorFrame(bytes):
    """The frame of an error."""


@broken_core("drops-errors", kills=("CALL-004",), shows="UnknownMethod for")
def drops_errors() -> Iterator[None]:
    """An answer that is an error is not sent."""
    write, reply = Answerer._error, reception_module.reply

    def error(self: Answerer, *args: Any, **more: Any) -> bytes:
        return _ErrorFrame(write(self, *args, **more))

    def send(delivery: Any, frame: bytes | None) -> bool:
        return not isinstance(frame, _ErrorFrame) and reply(delivery, frame)

    with patched(Answerer, "_error", error), patched(serving_module, "reply", send):
        yield


@broken_core("forgets-registered-errors", kills=("ERR-001",), shows="the class of a registered error")
def forgets_registered_errors() -> Iterator[None]:
    """A registered error arrives as RemoteError."""

    def read(info: ErrorInfo, status: Any) -> Exception:
        data = msgspec.structs.replace(info.data, type=info.data.type.replace(".", "_"))
        return read_error(msgspec.structs.replace(info, data=data), status)

    with patched(pending_module, "read_error", read):
        yield


@broken_core(
    "dies-on-raise",
    kills=("ERR-002",),
    shows="a result",
)
def dies_on_raise() -> Iterator[None]:
    """A service ends when one of its handlers raises."""
    before = Serving._end

    def end(self: Serving, job: Any, raised: BaseException | None, value: Any) -> None:
        before(self, job, raised, value)
        self._stopping = self._stopping or raised is not None

    with patched(Serving, "_end", end):
        yield


@broken_core("exits-with-a-handler", kills=("ERR-002",), shows="DeadlineExceeded")
def exits_with_a_handler() -> Iterator[None]:
    """A handler that wants to end the process ends the threads that run handlers."""
    before = Serving._end

    def end(self: Serving, job: Any, raised: BaseException | None, value: Any) -> None:
        if isinstance(raised, SystemExit):
            self._stopping = True
        else:
            before(self, job, raised, value)

    with patched(Serving, "_end", end):
        yield


@broken_core("opaque-becomes-null", kills=("ERR-003",), shows="InvalidResult")
def opaque_becomes_null() -> Iterator[None]:
    """A result that JSON cannot carry arrives as null."""
    before = Answerer.error

    def error(self: Answerer, exchange: Exchange, verdict: TreatyError, **more: Any) -> bytes:
        if isinstance(verdict, InvalidResult):
            return self.result(exchange, None, now=more["now"])
        return before(self, exchange, verdict, **more)

    with patched(Answerer, "error", error):
        yield


@broken_core("misnames-too-large", kills=("CALL-007",), shows="FrameTooLarge for the result")
def misnames_too_large() -> Iterator[None]:
    """A result over the size limit is InvalidResult."""
    before = Answerer.error

    def error(self: Answerer, exchange: Exchange, verdict: TreatyError, **more: Any) -> bytes:
        named = InvalidResult(str(verdict)) if isinstance(verdict, FrameTooLarge) else verdict
        return before(self, exchange, named, **more)

    with patched(Answerer, "error", error):
        yield


@broken_core(
    "merges-errors",
    kills=(
        "ERR-004",
        "MODEL-001",
        "MODEL-002",
        "MODEL-003",
    ),
    shows="Unavailable for an absent service",
)
def merges_errors() -> Iterator[None]:
    """What the transport could not do arrives as an answer of the service."""
    before = Pending.settle

    def settle(self: Pending, outcome: Response | TreatyError) -> bool:
        return before(self, RemoteError(str(outcome)) if isinstance(outcome, TransportError) else outcome)

    with patched(Pending, "settle", settle):
        yield


@broken_core("crashes-on-garbage", kills=("ERR-005",), shows="DeadlineExceeded")
def crashes_on_garbage() -> Iterator[None]:
    """A frame that is none of ours ends the thread that receives."""
    before = Serving._take_in

    def take_in(self: Serving, delivery: Any) -> Any:
        if delivery.frame.startswith(b"TY"):
            return before(self, delivery)
        self._stopping = True
        return None

    with patched(Serving, "_take_in", take_in):
        yield


@broken_core("leaks-traceback", kills=("ERR-006",), shows="no 'Traceback' in the error of fail")
def leaks_traceback() -> Iterator[None]:
    """The id of an error that nobody registered is its traceback."""

    def write(raised: BaseException, *, error_id: str = "") -> Any:
        return write_error(raised, error_id=error_id and "".join(traceback.format_exception(raised)))

    with patched(answerer_module, "write_error", write):
        yield


@broken_core(
    "answers-with-the-traceback",
    kills=(
        "ERR-001",
        "ERR-006",
    ),
    shows="its type and text",
)
def answers_with_the_traceback() -> Iterator[None]:
    """The text of an error is its traceback."""
    before = registry_module._text

    def text(raised: BaseException) -> str:
        return before(raised) + "".join(traceback.format_exception(raised))

    with patched(registry_module, "_text", text):
        yield


@broken_core("abandoned-counts-as-done", kills=("LIFE-009",), shows="ConnectionLost or DeadlineExceeded")
def abandoned_counts_as_done() -> Iterator[None]:
    """A call whose handler is given up when its service stops has the result null."""
    before = Answerer.error

    def error(self: Answerer, exchange: Exchange, verdict: TreatyError, **more: Any) -> bytes:
        if isinstance(verdict, ConnectionLost):
            return self.result(exchange, None, now=more["now"])
        return before(self, exchange, verdict, **more)

    with patched(Answerer, "error", error):
        yield
