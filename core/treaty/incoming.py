"""What a handler is handed first: the message it serves, with the means to report, to answer and to ask others.

It must not know transports or seals: what it says leaves through its host.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from treaty.errors import EncodingError
from treaty.messages import Request, StatusLine, reason_for

if TYPE_CHECKING:
    from treaty.client import Client


class Host(Protocol):
    """Who serves the message: sends what it reports, and has a client for nested calls."""

    def report(self, message: Incoming, code: int, reason: str, progress: float | None) -> bool:
        """Send a status message; return whether it was sent."""

    def nested_client(self, message: Incoming) -> Client:
        """Return the client for the nested calls of a handler."""


class Incoming:
    """A request that is being served.

    Args:
        request: as it was sent.
        until: when its time runs out, on the steady clock.
        host: who serves it.
    """

    __slots__ = ("_given_up", "_host", "_request", "_until", "_waiting", "response_headers", "status_line")

    def __init__(self, request: Request, *, until: float, host: Host) -> None:
        self._request = request
        self._until = until
        self._host = host
        self._given_up = False
        self._waiting: threading.Event | None = None
        self.status_line: StatusLine | None = None
        self.response_headers: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"<Incoming {self.method} {self.id}>"

    @property
    def id(self) -> str:
        """The id of the request, the same at both ends."""
        return self._request.id

    @property
    def method(self) -> str:
        """What was called, ``service.method``."""
        return self._request.method

    @property
    def sender(self) -> str:
        """A name for the client that asks: the same for all its requests, new for each client."""
        return self._request.sender

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the caller gave."""
        return dict(self._request.headers)

    @property
    def one_way(self) -> bool:
        """Whether nobody waits for an answer."""
        return self._request.one_way

    @property
    def remaining(self) -> float:
        """Seconds until the caller gives up; 0 when it has."""
        return max(0.0, self._until - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether the caller has given up, by cancelling or because the time ran out. A long handler looks at this."""
        return self._given_up or time.monotonic() >= self._until

    def wait_cancelled(self, timeout: float) -> bool:
        """Block for up to ``timeout`` seconds, or until the caller has given up; return whether it has."""
        if self._waiting is None:
            self._waiting = threading.Event()
        if not self.cancelled:
            self._waiting.wait(min(timeout, self.remaining))
        return self.cancelled

    @property
    def client(self) -> Client:
        """A client on the service's own transport, with its secret. What is left of this request's time bounds the
        calls that are made while it is served, in whatever thread. Closing it ends nothing.
        """
        return self._host.nested_client(self)

    def status(self, code: int, reason: str = "", *, progress: float | None = None) -> bool:
        """Push a status message to the caller, who sees it while the call runs.

        Args:
            code: HTTP-like, 100 to 599; usually 102.
            reason: text; the usual one for the code if empty.
            progress: between 0 and 1.

        Returns:
            Whether it was sent: not if the call is over or one-way.

        Raises:
            EncodingError: JSON cannot carry it, the code is not between 100 and 599, or the progress not between 0
                and 1.
        """
        return self._host.report(self, code, reason, progress)

    def set_status(self, code: int, reason: str = "") -> None:
        """Set the status that goes with the result; 200 if a handler sets none.

        Raises:
            EncodingError: the code is not between 100 and 599, or the reason is no text that JSON can carry.
        """
        _check_text("the reason of a status", reason)
        if isinstance(code, bool) or not isinstance(code, int) or not 100 <= code <= 599:
            raise EncodingError(f"a status code is a whole number from 100 to 599, not {code!r}")
        self.status_line = StatusLine(code=code, reason=reason or reason_for(code))

    def set_header(self, name: str, value: str) -> None:
        """Set a header of the answer.

        Raises:
            EncodingError: the name or the value is no text that JSON can carry.
        """
        _check_text("the name of a header", name)
        _check_text(f"the header {name!r}", value)
        if self.response_headers is None:
            self.response_headers = {}
        self.response_headers[name] = value

    def give_up(self) -> None:
        """Tell the handler that nobody waits any more. For the service."""
        self._given_up = True
        if self._waiting is not None:
            self._waiting.set()


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise EncodingError(f"{what} is text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise EncodingError(f"{what} cannot be written as JSON: {error}") from None
