"""The awaitable twin of the storage client: the same methods, as coroutines.

What is asked and how answers are read is in ``asks``. This room must not know threads, but for the one in which a
registration waits for its subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from treaty import Client, FrameTooLarge
from treaty.storage import asks
from treaty.storage.asks import Ask
from treaty.storage.models import Model
from treaty.storage.records import Event, Position

if TYPE_CHECKING:
    from treaty.storage.notifications import Notifications
    from treaty.storage.watch import OnGap

_T = TypeVar("_T")
#: ``list`` is a method here.
_List: TypeAlias = list


class AsyncStorageClient:
    """What :class:`~treaty.storage.StorageClient` does, awaited. Its ``aio``; see there for arguments and errors."""

    def __init__(
        self,
        client: Client,
        service: str,
        know: Callable[[Model[Any] | None], None],
        notifications: Callable[..., Notifications],
    ) -> None:
        self._client = client
        self._service = service
        self._know = know
        self._notifications = notifications

    async def get(self, model: type[_T], key: object) -> _T:
        """Return one object."""
        return await self._call(asks.get(model, key))

    async def get_many(self, model: type[_T], keys: Iterable[object]) -> _List[_T]:
        """Return many objects of one class, all of them or an error."""
        return await self._call(asks.get_many(model, keys))

    async def list(self, model: type[_T]) -> _List[_T]:
        """Return all objects of one class, in the order of their keys."""
        found: _List[_T] = []
        after: str | None = ""
        while after is not None:
            part = await self._call(asks.part_of_list(model, after))
            found += part.found
            after = part.after
        return found

    async def save(self, instance: _T, *, version: int | None = None) -> _T:
        """Create or update an object."""
        return await self._call(asks.save(instance, version))

    async def save_many(self, instances: Iterable[_T]) -> _List[_T]:
        """Create or update many objects of one class, all of them or none."""
        ask = asks.save_many(instances)
        return [] if ask is None else await self._call(ask)

    async def delete(self, model: object, key: object = None, *, version: int | None = None) -> None:
        """Delete an object."""
        await self._call(asks.delete(model, key, version))

    async def delete_many(self, model: object, keys: Iterable[object] | None = None) -> None:
        """Delete many objects of one class, all of them or none."""
        ask = asks.delete_many(model, keys)
        if ask is not None:
            await self._call(ask)

    async def notifications(
        self,
        model: type | None = None,
        event: str = Event.ANY,
        *,
        snapshot: bool = False,
        since: Mapping[str, Position] | None = None,
        on_gap: OnGap | None = None,
    ) -> Notifications:
        """Return what happens from now on, for ``async for``."""
        opened = partial(self._notifications, model, event, snapshot=snapshot, since=since, on_gap=on_gap)
        return await asyncio.to_thread(opened)

    async def _call(self, ask: Ask[_T]) -> _T:
        self._know(ask.model)
        try:
            reply = await self._client.send(f"{self._service}.{ask.method}", ask.params).replied()
        except FrameTooLarge as error:  # what the service answers is in the reply: here, nothing was sent
            raise ask.unsent(error) from error
        return ask.result_of(reply)
