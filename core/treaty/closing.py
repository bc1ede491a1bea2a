"""How an object ends: once, whatever interrupts whoever closes it, and also if nobody does.

It must not know what ends.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import finalize

from treaty.driving import Worker


class Finish:
    """Does the last thing once.

    The handler of a signal may raise between any two steps of the main thread. There it is done by a thread of its own,
    therefore, and only waited for: it is done whatever happens to who waits, who may ask again, to wait for the rest.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False
        self._worker: Worker | None = None
        self._failure: BaseException | None = None

    def __call__(self, work: Callable[[], None], *, waits: bool = True) -> None:
        """Do it, unless that was begun. Only the main thread waits for what another thread does here.

        Args:
            work: what to do.
            waits: whether it is over on return. Otherwise another thread does it, as this one holds what that needs.
        """
        if waits and threading.current_thread() is not threading.main_thread():
            self._once(work)
            return
        self._worker = self._worker or Worker("treaty-close", lambda: self._keep_failure(work))
        try:
            self._worker.start()
        except RuntimeError:  # there can be no more threads
            self._once(work)
        else:
            if not waits:
                return
            self._worker.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _keep_failure(self, work: Callable[[], None]) -> None:
        try:
            self._once(work)
        except BaseException as raised:  # for who waits
            self._failure = raised

    def wait(self) -> None:
        """Wait for the rest, where a thread of its own does it, unless this is the one."""
        if self._worker is not None:
            self._worker.join()

    def _once(self, work: Callable[[], None]) -> None:
        with self._lock:
            begun, self._begun = self._begun, True
        if not begun:
            work()


def end_if_lost(
    owner: object, name: str, *, needed: Callable[[], bool], end: Callable[[], None]
) -> finalize[[str, Callable[[], bool], Callable[[], None]], Any]:
    """See to what an object holds that nobody closes before it is collected. Whoever closes it detaches what is returned.

    Args:
        owner: the object. Neither function may refer to it, and no thread of its own.
        name: what it is, for the warning.
        needed: whether there is something to end, in this process. It must not block, nor take a lock.
        end: ends it, in a thread: a collector may run anywhere, also in a thread that ``end`` would wait for.
    """
    found = finalize(owner, _lost, name, needed, end)
    found.atexit = False  # the end of the program ends all this as well
    return found


def _lost(
    name: str,
    needed: Callable[[], bool],
    end: Callable[[], None],
    over: Callable[[], bool] = sys.is_finalizing,  # of the program, in which a module may have lost its names by then
) -> None:
    if over() or not needed():
        return
    with suppress(RuntimeError):  # there can be no more threads
        threading.Thread(target=end, name="treaty-unclosed", daemon=True).start()
    warnings.warn(f"unclosed {name}: close it, or use it in a 'with' statement", ResourceWarning, stacklevel=2)
