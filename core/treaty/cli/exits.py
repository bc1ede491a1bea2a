"""The exit codes, and which error ends in which. Scripts rely on them, so they are permanent.

This room must not know commands, nor how anything is printed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from treaty.errors import (
    AddressInUse,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceeded,
    MessageError,
    RemoteError,
    TransportError,
    Unavailable,
    Unsupported,
)


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    ANSWERED = 1
    USAGE = 2
    UNAVAILABLE = 3
    DEADLINE = 4
    REFUSED = 5
    LOST = 6
    MISHAP = 70
    UNWRITTEN = 74
    INTERRUPTED = 130
    UNREAD = 141


#: What the help says.
MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "it worked",
    ExitCode.ANSWERED: "the service answered with an error; demo: an outcome was wrong",
    ExitCode.USAGE: "usage or configuration: arguments, URL, secret, address in use",
    ExitCode.UNAVAILABLE: "unavailable: certainly not executed, asking again is safe",
    ExitCode.DEADLINE: "the time ran out: may have been executed, unless the text says not",
    ExitCode.REFUSED: "the service refused our secret: not executed",
    ExitCode.LOST: "the connection was lost: may have been executed",
    ExitCode.MISHAP: "something unforeseen, here or in the code of a service; -v shows where",
    ExitCode.UNWRITTEN: "standard output could not be written, such as to a full disk: may have been executed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.UNREAD: "whoever read the output has left, as with any program that SIGPIPE ends",
}

# The first that fits: InvalidSecret is a ConfigurationError and an AuthenticationError, and nobody has refused it yet.
_TABLE: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (RemoteError, ExitCode.ANSWERED),
    (ConfigurationError, ExitCode.USAGE),
    (MessageError, ExitCode.USAGE),
    (AddressInUse, ExitCode.USAGE),
    (Unsupported, ExitCode.USAGE),
    (Unavailable, ExitCode.UNAVAILABLE),
    (DeadlineExceeded, ExitCode.DEADLINE),
    (AuthenticationError, ExitCode.REFUSED),
    # A transport error that says no more may have struck after the request had left.
    (TransportError, ExitCode.LOST),
)

# What a service answers about the way to it, or the time it had, means the same as where we notice it ourselves.
_SAME_WHEN_ANSWERED: Final = (Unavailable, DeadlineExceeded, TransportError)


def code_for(error: BaseException) -> ExitCode:
    """Return the exit code for what ended a command at this end."""
    return next((code for kind, code in _TABLE if isinstance(error, kind)), ExitCode.MISHAP)


def code_for_answer(error: Exception) -> ExitCode:
    """Return the exit code for an error that the service answered with."""
    return code_for(error) if isinstance(error, _SAME_WHEN_ANSWERED) else ExitCode.ANSWERED
