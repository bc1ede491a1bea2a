"""The status messages of a call, in order: to be iterated by a thread or in an event loop, to the end of the call.

It must not know where they come from, nor who keeps them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Final

from treaty.landing import landing_of
from treaty.logs import logger
from treaty.messages import Status

if TYPE_CHECKING:
    from treaty.pending import Pending, Waits

#: How many status messages of one call are kept for who has not read them yet; older ones are let go.
KEPT_STATUSES: Final = 10_000
_LOG: Final = logger("treaty.client")


class Statuses:
    """The status messages of one call, in order. Iterate it, blocking or asynchronously; it ends with the call.

    Of those that nobody reads the latest 10,000 are kept; that older ones were let go is logged, once.
    """

    def __init__(self, pending: Pending, client: Waits) -> None:
        self._pending = pending
        self._client = client
        #: How many messages were let go before they were read here.
        self.missed = 0

    def __iter__(self) -> Iterator[Status]:
        position = 0
        while True:
            over = self._pending.done
            news, position = self._news_after(position)
            yield from news
            if over:
                return
            self._client.wait(self._pending, self._has_news(position), None)

    async def __aiter__(self) -> AsyncIterator[Status]:
        loop, position = asyncio.get_running_loop(), 0
        heard, landing = asyncio.Event(), landing_of(loop)

        def listener() -> None:
            landing.give(loop, heard.set)

        self._client.attend()
        self._pending.listen(listener, on=True)
        try:
            while True:
                over = self._pending.done
                heard.clear()
                news, position = self._news_after(position)
                for status in news:
                    yield status
                if over:
                    return
                if not self._has_news(position)():
                    await heard.wait()
        finally:
            self._pending.listen(listener, on=False)

    def _news_after(self, position: int) -> tuple[list[Status], int]:
        news, now = self._pending.news_after(position)
        missed = now - position - len(news)
        if missed and not self.missed:
            _LOG.warning(
                "%s: %d status messages were let go unread; %d are kept", self._pending.target, missed, KEPT_STATUSES
            )
        self.missed += missed
        return news, now

    def _has_news(self, position: int) -> Callable[[], bool]:
        pending = self._pending
        return lambda: pending.done or pending.news_after(position)[1] > position
