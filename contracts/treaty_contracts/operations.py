"""What was called on the interface, in order, so that it can be done again: the log behind the programs of failures.

It must not know transports, nor what a program looks like.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
#: More than this is no short program: nothing is kept then.
_KEPT: Final = 400
#: One for all logs, and held during a fork: the child never inherits it from a thread that it does not have.
_LOCK: Final = threading.Lock()
os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


@dataclass(slots=True)
class Operation:
    """One call, and how it ended."""

    #: On which object, such as ``client`` or ``line-2``.
    subject: str
    #: Such as ``send``.
    verb: str
    arguments: tuple[Any, ...]
    #: When it began and ended, in the order of all beginnings and ends of this log; 0 if it has not.
    began: int = 0
    ended: int = 0
    #: When it began and ended, on the steady clock.
    at: float = 0.0
    over: float = 0.0
    thread: str = ""
    #: The object that came of it.
    made: str = ""
    #: The frame that came of it.
    frame: bytes | None = None
    #: The name of the delivery that it came in; nothing at a line.
    delivery: str = ""
    #: Whether that frame may have been somebody else's before.
    redelivered: bool = False
    #: The class alone: an exception would keep alive what stands in its frames, and there are rules about that.
    raised: type[BaseException] | None = None


class Operations:
    """The log of one rule. Any thread may add to it.

    Args:
        note: is told of what a call raised: the subject, the verb, and the error.
    """

    def __init__(self, note: Callable[[str, str, BaseException], None] = lambda *_: None) -> None:
        self._note = note
        self._kept: list[Operation] = []
        self._numbers = count(1)
        self._names: Counter[str] = Counter()
        self._overflown = False

    def name(self, kind: str) -> str:
        """Return a name for another object: ``client``, ``client-2``, and so on."""
        with _LOCK:
            self._names[kind] += 1
            return kind if self._names[kind] == 1 else f"{kind}-{self._names[kind]}"

    def done(self, subject: str, verb: str, arguments: tuple[Any, ...], action: Callable[[], _T]) -> _T:
        """Do something, and write it down where it began: a frame may arrive before the call that sent it returns."""
        operation = Operation(subject, verb, arguments, thread=threading.current_thread().name)
        self._begin(operation)
        self._keep(operation)
        return self._run(operation, action)

    def awaited(self, subject: str, timeout: float, action: Callable[[], _T]) -> _T:
        """Wait for a frame, and write it down where that ended."""
        operation = Operation(subject, "receive", (timeout,), thread=threading.current_thread().name)
        self._begin(operation)
        try:
            got = self._run(operation, action)
            operation.frame = got if isinstance(got, bytes) else getattr(got, "frame", None)
            operation.delivery = getattr(got, "label", "")
            operation.redelivered = bool(getattr(got, "redelivered", False))
            return got
        finally:
            self._keep(operation)

    def making(self, subject: str, verb: str, arguments: tuple[Any, ...], made: str, action: Callable[[], _T]) -> _T:
        """Open something that gets a name."""
        operation = Operation(subject, verb, arguments, thread=threading.current_thread().name, made=made)
        self._begin(operation)
        self._keep(operation)
        return self._run(operation, action)

    def restart(self) -> None:
        """Forget all but how what is still open came to be: another case begins."""
        with _LOCK:
            shut = {operation.subject for operation in self._kept if operation.verb == "close"}
            self._kept = [one for one in self._kept if one.made and one.made not in shut and one.raised is None]
            self._overflown = False

    def resume(self, kept: Sequence[Operation]) -> None:
        """Hold what was written down earlier, as if nothing had come after it."""
        with _LOCK:
            self._kept, self._overflown = list(kept), not kept

    def snapshot(self) -> tuple[Operation, ...]:
        """Return what was written down until now; nothing if that is too much."""
        with _LOCK:
            return () if self._overflown else tuple(self._kept)

    def _begin(self, operation: Operation) -> None:
        operation.began, operation.at = next(self._numbers), time.monotonic()

    def _run(self, operation: Operation, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except BaseException as raised:
            operation.raised = type(raised)
            self._note(operation.subject, operation.verb, raised)
            raise
        finally:
            operation.ended, operation.over = next(self._numbers), time.monotonic()

    def _keep(self, operation: Operation) -> None:
        with _LOCK:
            if len(self._kept) < _KEPT:
                self._kept.append(operation)
            else:
                self._overflown = True
