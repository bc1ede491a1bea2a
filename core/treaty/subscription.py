"""A subscriber's driver: notifications to a callback, to a ``for`` loop or to an ``async for`` loop.

It owns one inbox and one thread. What is news and what is not is decided in ``notices``.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Final

from treaty.closing import Finish, end_if_lost
from treaty.driving import check_callback, present
from treaty.errors import ClosedError, ConfigurationError, TransportError
from treaty.logs import logger
from treaty.messages import Notification
from treaty.notices import Listener
from treaty.sealing import MAX_FRAME, Keyring
from treaty.transport import Delivery, Inbox, Resource, Transport

#: How many notifications wait for whoever iterates; the oldest are let go, and counted.
KEPT: Final = 10_000
_LOG: Final = logger("treaty.subscription")
_SLICE: Final = 1.0
_PAUSE: Final = 0.2


class Subscription(Resource):
    """What a client listens to. Close it to unsubscribe: nothing comes after ``close`` has returned.

    A callback that raises keeps its subscription; the exception is logged.
    """

    def __init__(
        self,
        transport: Transport,
        keyring: Keyring,
        pattern: str,
        callback: Callable[[Notification], Any] | None,
        keeper: object = None,
    ) -> None:
        """Subscribe.

        Args:
            transport: on which the channel is.
            keyring: opens the notifications.
            pattern: ``channel.pattern``.
            callback: called with each notification.
            keeper: whose end would end the subscription, so that it must not be collected before.
        """
        super().__init__()
        if callback is not None:
            check_callback("a callback", callback)
        self.pattern = pattern
        self._listener = Listener(keyring, pattern, max_frame=min(MAX_FRAME, transport.guarantees.max_frame))
        self._callback = callback
        self._kept: deque[Notification] = deque(maxlen=KEPT)
        # Its lock is what blocks hold: that is one step, which no interruption leaves half done.
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        self._waiters: list[Callable[[], None]] = []
        self._inbox: Inbox = transport.subscribe(self._listener.channel)
        self._keeper = keeper
        self._finish = Finish()
        # The thread does not refer to the subscription while it waits, or that would never be collected.
        self._thread = threading.Thread(
            target=_work,
            args=(self._inbox, weakref.WeakMethod(self._take)),
            name=f"treaty-subscription-{pattern}",
            daemon=True,
        )
        self._unclosed = end_if_lost(
            self,
            f"subscription to {pattern}",
            needed=partial(_in_use, self._inbox),
            end=partial(_end, self._inbox, pattern),
        )
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Subscription {self.pattern} {'closed' if self.closed else 'open'}>"

    @property
    def counters(self) -> dict[str, int]:
        """How often frames were ignored or let go, by reason."""
        return dict(self._listener.counters)

    def __iter__(self) -> Iterator[Notification]:
        """Yield notifications as they come; ends when the subscription is closed.

        Raises:
            ConfigurationError: it has a callback, which is given them all.
            ForkedError: this is a forked child, to which nothing comes.
        """
        self._check_callback()
        while True:
            self.check_process()
            with self._lock:
                while not self._kept:
                    if self._closed:
                        return
                    self._arrived.wait()
                notification = self._kept.popleft()
            yield notification

    async def __aiter__(self) -> AsyncIterator[Notification]:
        """Yield notifications as they come; ends when the subscription is closed.

        Raises:
            ConfigurationError: it has a callback, which is given them all.
            ForkedError: this is a forked child, to which nothing comes.
        """
        self._check_callback()
        self.check_process()
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(heard.set)
            except RuntimeError:
                return  # the loop was closed: nobody iterates any more

        with self._lock:
            self._waiters.append(wake)
        try:
            while True:
                self.check_process()
                heard.clear()
                with self._lock:
                    notification = self._kept.popleft() if self._kept else None
                if notification is not None:
                    yield notification
                elif self._closed:
                    return
                else:
                    await heard.wait()
        finally:
            if not self.foreign:  # where nobody may be left to release it
                with self._lock:
                    self._waiters.remove(wake)

    def close(self) -> None:
        """Unsubscribe. Idempotent; from the callback as well."""
        self._unclosed.detach()
        self._closed = True
        self._keeper = None
        if self.foreign:
            return
        self._finish(self._inbox.close)
        self._notify()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _take(self, news: Delivery | TransportError | None) -> bool:
        """See to what came, or did not. Return whether there is more to wait for."""
        if self._closed:
            return False
        if isinstance(news, TransportError):
            self._listener.counters["connection lost"] += 1
            _LOG.warning("%s: the connection was lost, notifications may be missing: %s", self.pattern, news)
            self._pause()
        elif news is not None:
            news.settle()
            notification = self._listener.receive(news.frame, present())
            if notification is not None and not self._closed:
                self._hand_over(notification)
        return True

    def _hand_over(self, notification: Notification) -> None:
        if self._callback is not None:
            try:
                self._callback(notification)
            except BaseException:  # also sys.exit, which would end nothing but this thread
                _LOG.exception("%s: the callback failed; the subscription goes on", self.pattern)
            return
        with self._lock:
            if len(self._kept) == KEPT:
                self._listener.counters["let go"] += 1
            self._kept.append(notification)
        self._notify()

    def _check_callback(self) -> None:
        if self._callback is not None:
            raise ConfigurationError(
                f"the subscription to {self.pattern} hands all that it hears to its callback: subscribe without one to "
                "iterate"
            )

    def _pause(self) -> None:
        with self._lock:
            if not self._closed:
                self._arrived.wait(_PAUSE)

    def _notify(self) -> None:
        with self._lock:
            self._arrived.notify_all()
            waiters = list(self._waiters)
        for waiter in waiters:
            waiter()


# Not methods: they are needed when there is no subscription any more.


def _work(inbox: Inbox, found: weakref.WeakMethod[Callable[[Delivery | TransportError | None], bool]]) -> None:
    while True:
        news: Delivery | TransportError | None
        try:
            news = inbox.receive(_SLICE)
        except ClosedError:
            return
        except TransportError as error:
            news = error
        take = found()
        if take is None or not take(news):
            return
        del take, news


def _in_use(inbox: Inbox) -> bool:
    return not inbox.closed and not inbox.foreign


def _end(inbox: Inbox, pattern: str) -> None:
    # Who reads no resource warnings is to learn why a callback falls silent.
    _LOG.warning("%s: nobody refers to the subscription or its client any more, so it ends", pattern)
    inbox.close()
