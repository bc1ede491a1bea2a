"""What the author of a transport hands over: a name, and a way to open it.

This room must not know rules or pytest. What is wrong with a target is said here, before anything is run.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from treaty import Guarantees, Transport


class SetupError(Exception):
    """A target that cannot be judged as it stands. The text says what to write instead."""


class DeclarationError(SetupError):
    """What a target declares lacks an answer, or has one that is none: there is nothing to judge by."""


#: The smallest limit of frames that may be declared.
_SMALLEST_LIMIT: Final = 64 * 1024
#: Who notices absence later than that is no help to calls, which have 10 seconds where nothing else is said: that is a
#: ``None``.
_LATEST: Final = 20.0
#: How long the name of a target may be.
_LONGEST: Final = 100


def check_name(name: Any, example: str) -> None:
    """See that a name can stand in reports, on screens and in files.

    Args:
        name: whatever was given.
        example: a name that would do.

    Raises:
        SetupError: it is none.
    """
    if not isinstance(name, str) or not name.strip():
        raise SetupError(f"a target has a name for reports, such as {example!r}, not {name!r}")
    if not name.isprintable() or len(name) > _LONGEST:
        shown = ascii(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...")
        raise SetupError(
            f"the name of a target is printable text of at most {_LONGEST} characters on one line, such as "
            f"{example!r}, not {shown}"
        )


def check_scale(scale: Any, whose: str) -> None:
    """See that a number can multiply times.

    Args:
        scale: whatever was given.
        whose: the target that has it, as text.

    Raises:
        SetupError: it cannot.
    """
    number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if not number or not math.isfinite(scale) or scale <= 0:
        raise SetupError(f"{whose}: time_scale is a number above 0, not {scale!r}")


def unanswered(error: BaseException) -> str:
    """Return which questions are to be answered, if an exception says that a declaration lacks an answer, else nothing."""
    questions = Guarantees.__struct_fields__
    if type(error) is not TypeError or str(error) not in {f"Missing required argument {one!r}" for one in questions}:
        return ""
    return f"the declaration lacks an answer: {error}; {_QUESTIONS}"


def check_answers(declared: Any, whose: str) -> None:
    """See that a declaration answers each question with what is an answer to it.

    Args:
        declared: whatever was declared.
        whose: the target that declares it, as text.

    Raises:
        DeclarationError: it does not. All that is wrong is told.
    """
    if not isinstance(declared, Guarantees):
        raise DeclarationError(
            f"{whose} are {type(declared).__name__}: they are a treaty.Guarantees, there when open returns; {_QUESTIONS}"
        )
    wrong = [
        f"{question} is {answer!r}, and must be {wanted}"
        for question in Guarantees.__struct_fields__
        for answer in [getattr(declared, question)]
        for wanted in [wanted_of(question, answer)]
        if wanted
    ]
    if wrong:
        raise DeclarationError(f"{whose} are wrong: {'; '.join(wrong)}; {_QUESTIONS}")


#: What is said to who has not answered all of them.
_QUESTIONS: Final = "each of these questions is answered, and none has a default: " + ", ".join(
    Guarantees.__struct_fields__
)


def wanted_of(question: str, answer: Any) -> str:
    """Return what the answer to a question of the declaration must be, if this one is not; else nothing."""
    number = isinstance(answer, int | float) and not isinstance(answer, bool)
    if question == "notices_absence":
        fits = answer is None or (number and 0 <= answer <= _LATEST)
        return "" if fits else f"None, or seconds from 0 to {_LATEST:g}"
    if question == "max_frame":
        fits = number and isinstance(answer, int) and _SMALLEST_LIMIT <= answer <= sys.maxsize
        return "" if fits else f"a whole number of bytes, {_SMALLEST_LIMIT:,} or more"
    return "" if isinstance(answer, bool) else "True or False"


@dataclass(frozen=True, kw_only=True)
class Context:
    """For what a transport is opened. Two transports with one namespace meet; those of two never do."""

    #: A plain token, new for each rule: make it part of the address, or ignore it where the address is shared,
    #: because the names of services and channels begin with it as well.
    namespace: str
    #: ``"service"`` or ``"client"``, for transports whose ends are configured differently.
    role: str
    #: The secret that both ends hold. A transport has no use for it; a relay or a hub of its own might.
    secret: str
    #: By how much the times of the target are multiplied.
    time_scale: float
    #: The hooks of the target that the rule is going to use. A relay between the ends, say, is worth its cost only then.
    hooks: tuple[str, ...] = ()


#: Begins to record what crosses the medium in a namespace; the function that it returns gives all of it so far.
Tap: TypeAlias = Callable[[Context], Callable[[], bytes]]
#: Puts bytes where the inbox of a service expects its own messages, as a stranger would who speaks no such protocol.
Inject: TypeAlias = Callable[[Context, str, bytes], None]
#: Restarts what stands between the ends, and returns when it is back.
RestartPeer: TypeAlias = Callable[[Context], None]
#: Cuts the way between the ends: what is connected breaks, what connects anew fails. The function mends it.
CutLink: TypeAlias = Callable[[Context], Callable[[], None]]


@dataclass(frozen=True)
class Nothing:
    """Said in place of a hook: there is nothing of the kind in this transport, and why.

    The rules that need the hook are then ABSENT: shown with the reason, and not counted as left open.
    """

    reason: str

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str) or not self.reason.strip():
            raise SetupError("Nothing() takes the reason why there is nothing, for those who read the report")


#: What a target may hand over besides, so that more can be judged.
HOOKS: Final = ("tap", "inject", "restart_peer", "cut_link")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A transport in one configuration.

    A rule that needs a hook which is missing is UNVERIFIED: it is counted, printed, and keeps the word "conformant"
    away. Where there is no such thing, as where no connection can break, say ``cut_link=Nothing("...")`` and why:
    that is shown as well. Only transports that cross processes are asked for hooks.

    Args:
        name: what reports call it, such as ``"zmq/tcp"``: printable text of at most 100 characters.
        open: makes a transport object for one end. It is called once for each end, also in forked children.
        time_scale: multiplies every time of the suite, for slow machines and distant brokers.
        parallel: whether rules may run side by side, as each namespace stands for itself: no two of them share a port,
            a file, or a broker that a hook stops. It makes the run shorter, as rules mostly wait.
        tap: ``tap(context)`` begins to record what crosses the medium, whatever the transport makes of a frame, and
            returns a function that gives all of it so far, as bytes.
        inject: ``inject(context, service, data)`` puts bytes that are no message of the transport where the inbox of
            the service expects its messages.
        restart_peer: ``restart_peer(context)`` restarts the broker, the hub, or whatever else the two ends connect
            through, and returns when it is back.
        cut_link: ``cut_link(context)`` cuts the way between the two ends, and returns a function that mends it.

    Raises:
        SetupError: something is missing or of another kind.
    """

    name: str
    open: Callable[[Context], Transport]
    time_scale: float = 1.0
    parallel: bool = False
    tap: Tap | Nothing | None = None
    inject: Inject | Nothing | None = None
    restart_peer: RestartPeer | Nothing | None = None
    cut_link: CutLink | Nothing | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "zmq/tcp")
        if isinstance(self.open, Transport):
            raise SetupError(
                f"target {self.name!r}: open is a transport object; the suite opens one for each end: "
                "write open=lambda context: ... that makes a new one"
            )
        if not callable(self.open):
            raise SetupError(f"target {self.name!r}: open is a function, not {type(self.open).__name__}")
        for hook in HOOKS:
            given = getattr(self, hook)
            if given is not None and not isinstance(given, Nothing) and not callable(given):
                raise SetupError(f"target {self.name!r}: {hook} is a function, not {type(given).__name__}")
        check_scale(self.time_scale, f"target {self.name!r}")

    def opened(self, context: Context) -> Transport:
        """Open a transport for one end.

        Raises:
            SetupError: what came back is no transport.
        """
        try:
            made = self.open(context)
        except TypeError as error:
            if lacking := unanswered(error):
                raise DeclarationError(f"target {self.name!r}: {lacking}") from error
            raise
        if not isinstance(made, Transport):
            raise SetupError(
                f"target {self.name!r}: open returned {type(made).__name__}; it must return a treaty.Transport"
            )
        declared = getattr(made, "guarantees", None)
        if not isinstance(declared, Guarantees):
            self.check_answers(made)
        return made

    def check_answers(self, transport: Transport) -> None:
        """See that a transport of this target answers every question of the declaration.

        Raises:
            DeclarationError: it does not. All that is wrong is told.
        """
        whose = f"target {self.name!r}: the guarantees of {type(transport).__name__}"
        check_answers(getattr(transport, "guarantees", None), whose)
