"""What must be, in plain Python: how each kind of call ends, how often its handler runs, who hears which notification.

It is written from the contract's words alone. It must not know clients, services, transports, or how the core does it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from treaty import (
    AuthenticationError,
    Cancelled,
    ClosedError,
    ConnectionLost,
    DeadlineExceeded,
    InvalidParams,
    RemoteError,
    Unavailable,
    UnknownMethod,
)
from treaty_contracts.subject import SampleError

#: Calls that a handler answers with a result.
ANSWERED: Final = ("echo", "echo_later", "nested", "report")
#: Calls that end with an error.
IN_VAIN: Final = ("typed", "fail", "nothing", "misfit", "late", "absent")
#: Calls that stay open until the gate of their handler is opened.
HELD: Final = ("hold", "hold_later")
#: The methods that are called for kinds that are no method themselves.
METHODS: Final = {"late": "hold", "absent": "echo", "misfit": "echo"}
#: The ends of a call for a service that is not there, as long as it has little time.
ABSENT: Final = (Unavailable, DeadlineExceeded)
#: The ends of a call whose service stops in the middle.
STOPPED: Final = (ConnectionLost, DeadlineExceeded)

_ONCE: Final = frozenset({1})
_NEVER: Final = frozenset({0})
#: A handler may have run, or not.
UNKNOWN: Final = frozenset({0, 1})


@dataclass(frozen=True, kw_only=True)
class End:
    """How a call must end."""

    #: The classes of error that are allowed; none for a result.
    errors: tuple[type[BaseException], ...] = ()
    #: The result, or what the error says.
    content: Any = None
    #: How often the handler may have run.
    runs: frozenset[int] = _ONCE
    #: The reasons of the status messages, in order.
    statuses: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.errors:
            return f"the result {self.content!r}"
        names = " or ".join(kind.__name__ for kind in self.errors)
        return f"{names} {self.content!r}" if self.content is not None else names

    def fits(self, value: Any, error: BaseException | None) -> bool:
        """Whether a call ended like this."""
        if not self.errors:
            return error is None and same(value, self.content)
        if not isinstance(error, self.errors):
            return False
        return self.content is None or said(error) == self.content

    def settled(self, error: BaseException | None) -> frozenset[int]:
        """Return how often the handler may have run, now that the end is known."""
        return _NEVER if isinstance(error, Unavailable) else self.runs


#: How a call ends that is made with another secret.
REFUSED: Final = End(errors=(AuthenticationError,), runs=_NEVER)


def end(kind: str, token: int, value: Any) -> End:
    """Return how a call ends that is made with the right secret to a service that is there."""
    match kind:
        case "typed":
            return End(errors=(SampleError,), content=(f"no {token}", token, ["a", "b"]))
        case "fail":
            return End(errors=(RemoteError,), content=("LookupError", f"no {token}"))
        case "nothing":
            return End(errors=(UnknownMethod,), runs=_NEVER)
        case "misfit":
            return End(errors=(InvalidParams,), runs=_NEVER)
        case "late":
            # Its time is so short that there may not even be a connection in it: then it was certainly not executed.
            return End(errors=(DeadlineExceeded, Unavailable), runs=UNKNOWN)
        case "absent":
            return End(errors=ABSENT, runs=_NEVER)
        case "report":
            return End(content=[token, value], statuses=tuple(f"{token}/{number}" for number in range(3)))
        case "nested":
            return End(content=[token, value])
        case _:
            return End(content=[token, value])


def unanswered(*, gone: bool) -> End:
    """Return how a call ends while its service is stopped, and perhaps the other end of its connection is gone."""
    return End(errors=(*ABSENT, ConnectionLost) if gone else ABSENT, runs=UNKNOWN)


def params(kind: str, token: int, value: Any) -> Any:
    """Return the parameters of a call."""
    return {"token": token, "values": value} if kind == "misfit" else [token, value]


def stopped() -> End:
    """Return how an open call ends when its service stops in the middle."""
    return End(errors=STOPPED)


def cancelled() -> End:
    """Return how a call ends that is given up."""
    return End(errors=(Cancelled,))


def closed() -> End:
    """Return how an open call ends when its client is closed."""
    return End(errors=(ClosedError,))


def said(error: BaseException) -> Any:
    """Return what a typed error tells."""
    if isinstance(error, SampleError):
        return (str(error), error.left, error.tags)
    if isinstance(error, RemoteError):
        return (error.type, error.text)
    return str(error)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all the way down: ``1``, ``1.0`` and ``True`` are three."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def fits(pattern: str, topic: str) -> bool:
    """Whether a topic fits a pattern: ``*`` is any one word, ``#`` any number of words."""
    wanted, words = pattern.split("."), topic.split(".")
    if wanted == ["#"]:
        return True
    if wanted[0] == "#":
        return any(fits(".".join(wanted[1:]), ".".join(words[at:])) for at in range(len(words)))
    if wanted[0] not in ("*", words[0]):
        return False
    if len(wanted) == 1:
        return len(words) == 1
    rest = ".".join(wanted[1:])
    return fits(rest, ".".join(words[1:])) if words[1:] else set(wanted[1:]) == {"#"}


def marker(pattern: str) -> str:
    """Return a topic that fits a pattern."""
    return pattern.replace("#", "fence").replace("*", "fence")


@dataclass
class Model:
    """What is known of one case."""

    #: How often the handler of each token may have run.
    runs: dict[int, frozenset[int]] = field(default_factory=dict)
    serving: bool = False
    _tokens: int = 0

    def token(self) -> int:
        """Return the next token."""
        self._tokens += 1
        return self._tokens

    def strays(self, runs: dict[int, list[str]]) -> list[str]:
        """Say which handlers ran too often, or not though they must have."""
        found = [
            f"the handler of call {token} ran {len(runs.get(token, ()))} times, not {_listed(allowed)}"
            for token, allowed in self.runs.items()
            if len(runs.get(token, ())) not in allowed
        ]
        return found + [
            f"a handler ran for call {token}, which nobody made" for token in runs if token not in self.runs
        ]


def _listed(numbers: frozenset[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))
