"""Asks a target what it declares, before anything is judged by it.

It is opened for this, so that whatever opening does is kept away from the run: in a process of its own, or in a thread
that is given up when its time is over. This room must not know rules.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Final

import msgspec

from treaty_contracts.expect import said
from treaty_contracts.isolation import MEDDLED, MEDDLING, Ended, described, in_child
from treaty_contracts.kinds import AnyTarget, kind_of
from treaty_contracts.target import DeclarationError, SetupError

#: The part of its time that opening a target may take when this is only looked at.
_GLANCE: Final = 0.25


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the child hands over."""

    #: The declaration, as JSON.
    declared: msgspec.Raw = msgspec.Raw(b"null")
    #: What is wrong with it; empty if nothing is.
    wrong: str = ""


class Declaration:
    """What a target declares: asked for once, when somebody wants to know.

    Args:
        target: it is opened for this.
        limit: the seconds that it has.
        isolated: whether it is opened in a process of its own, or in a thread.
    """

    def __init__(self, target: AnyTarget, limit: float, *, isolated: bool) -> None:
        self._ask = partial(_in_child if isolated else _in_thread, target)
        self._limit = limit
        self._said: msgspec.Struct | None = None
        self._wrong: str | None = None

    @property
    def said(self) -> msgspec.Struct:
        """The declaration.

        Raises:
            DeclarationError: it lacks an answer, or has a wrong one.
            SetupError: the target cannot be opened.
        """
        if self._said is None:
            self._said = self._ask(self._limit)
        return self._said

    def check(self) -> None:
        """See that it can be judged by. It is looked at once.

        That the target cannot be opened is a verdict, which the first rule gives, and nothing to be told here; neither
        is it waited for as long as for that one.

        Raises:
            DeclarationError: it lacks an answer, or has a wrong one.
        """
        if self._wrong is None:
            self._wrong = ""
            try:
                self._said = self._said or self._ask(self._limit * _GLANCE)
            except DeclarationError as error:
                self._wrong = str(error)
            except SetupError:
                pass
        if self._wrong:
            raise DeclarationError(self._wrong)


def _in_child(target: AnyTarget, limit: float) -> msgspec.Struct:
    kind = kind_of(target)

    def work() -> bytes:
        try:
            answer = _Answer(declared=msgspec.Raw(msgspec.json.encode(kind.declared(target))))
        except DeclarationError as error:
            answer = _Answer(wrong=str(error))
        return msgspec.json.encode(answer)

    ended = in_child(work, limit)
    try:
        answer = msgspec.json.decode(ended.report or b"", type=_Answer)
        if answer.wrong:
            raise DeclarationError(answer.wrong)
        return msgspec.json.decode(answer.declared, type=kind.declaration)
    except msgspec.MsgspecError:
        raise _unread(target, _told(ended, limit)) from None


def _in_thread(target: AnyTarget, limit: float) -> msgspec.Struct:
    found: list[msgspec.Struct] = []
    raised: list[BaseException] = []
    over = threading.Event()

    def work() -> None:
        try:
            found.append(kind_of(target).declared(target))
        except BaseException as error:  # whatever it is, it is told, and ends no thread
            raised.append(error)
        over.set()

    threading.Thread(target=work, name="contract-declaration", daemon=True).start()
    if not over.wait(limit):
        raise _unread(target, f": opening it did not come to an end within {limit:g} s")
    if not raised:
        return found[0]
    if isinstance(raised[0], SetupError):
        raise raised[0]
    raise _unread(target, f": opening it raised {said(raised[0])}") from raised[0]


def _unread(target: AnyTarget, how: str) -> SetupError:
    return SetupError(f"target {target.name!r}: its declaration cannot be read{how}")


def _told(ended: Ended, limit: float) -> str:
    how = f"ended with {ended.end}" if ended.end else f"did not come to an end within {limit:g} s"
    text = f": opening it {how}{': ' * bool(ended.printed)}{ended.printed.rpartition(chr(10))[2]}"
    return f": {MEDDLING}" if ended.end == described(MEDDLED) else text
