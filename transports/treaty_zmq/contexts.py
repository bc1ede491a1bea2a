"""The life of libzmq contexts: made when first used, ended when nobody uses them, left alone in a forked child.

This room knows contexts and forks. It must not know addresses or messages.
"""

from __future__ import annotations

import os
import threading
from _thread import start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakSet, finalize

import zmq

from treaty import TreatyError, Unavailable

from .pace import Pace

Context = zmq.Context[zmq.Socket[bytes]]
#: Descriptors that a context takes for itself and its two threads, and what its first socket may take.
_OF_A_CONTEXT: Final = 5
_OF_A_SOCKET: Final = 4


@contextmanager
def or_unavailable(url: str) -> Iterator[None]:
    """Raise ``Unavailable`` where the operating system or libzmq has no descriptor left, or no socket."""
    try:
        yield
    except TreatyError:
        raise
    except (OSError, zmq.ZMQError) as error:
        raise Unavailable(f"no socket can be made for {url}: {error.strerror}") from error


def reserve(number: int = _OF_A_SOCKET) -> None:
    """Raise ``OSError`` if there are no more so many descriptors. libzmq aborts the process where some of them fail.

    Another thread may take them before libzmq does; nothing can be done about that.
    """
    held: list[int] = []
    try:
        while len(held) < number:
            held += os.pipe()
    finally:
        for descriptor in held:
            os.close(descriptor)


class Contexts:
    """One context that is there while somebody uses it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._users = 0
        self._context: Context | None = None
        self._forgotten: finalize[[Context, int], Contexts] | None = None
        #: Of its threads.
        self.pace = Pace()

    def take(self) -> Context:
        """The context; each ``take`` needs one :meth:`drop`. Raises ``OSError`` if there are no descriptors for it."""
        with self._lock:
            if self._context is None:
                reserve(_OF_A_CONTEXT + _OF_A_SOCKET)
                context = zmq.Context()
                self.pace.mark(context)
                keep_after_fork(context)
                self._forgotten = finalize(self, _end_forgotten, context, os.getpid())
                self._forgotten.atexit = False
                self._context = context  # last, or Ctrl-C would leave one that is not whole
            self._users += 1
            return self._context

    def drop(self, *, wait: bool = True) -> None:
        """Give it back. The last user ends it, which lasts until what lingers is gone.

        Args:
            wait: for that. Who was interrupted while it made a socket cannot know that it has closed it: the collector
                will, once nobody refers to it any more.
        """
        with self._lock:
            self._users -= 1
            ended, self._context = (None, self._context) if self._users else (self._context, None)
        if ended is not None:
            assert self._forgotten is not None
            self._forgotten.detach()
            if wait:
                ended.term()
            else:
                start_new_thread(ended.term, ())

    def forget(self) -> None:
        """Start anew in a forked child, whatever state the parent's threads left behind."""
        self.__init__()  # type: ignore[misc]  # the same object, as if just made


def _end_forgotten(context: Context, process: int) -> None:
    """End a context that nobody closed and the collector has found. Its own way would be to end it here and now, which
    waits for sockets that the collector has yet to close; so somebody else waits for them.
    """
    if os.getpid() == process:
        start_new_thread(context.term, ())
    else:
        _inherited.append(context)


_live: Final[WeakSet[Any]] = WeakSet()
_inherited: Final[list[Any]] = []


def keep_after_fork(owned: Any) -> None:
    """Never let a forked child collect a socket or context of its parent: that would warn, or worse, touch it."""
    _live.add(owned)


#: Two ends of an ``inproc`` address find each other only within one context.
INPROC: Final = Contexts()


def _in_child() -> None:
    _inherited.extend(_live)
    INPROC.forget()


os.register_at_fork(after_in_child=_in_child)
