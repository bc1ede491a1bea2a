"""The storage client: instances in, instances out; and callbacks for what changes.

What is asked and how answers are read is in ``asks``, who listens in ``watch``. This room must not know stores.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeAlias, TypeVar

from treaty import Client, FrameTooLarge, Transport
from treaty.storage import asks
from treaty.storage.aio import AsyncStorageClient
from treaty.storage.asks import Ask
from treaty.storage.errors import ValidationFailed
from treaty.storage.models import Model, model_of
from treaty.storage.notifications import Notifications
from treaty.storage.records import Event, Position
from treaty.storage.tap import Tap
from treaty.storage.watch import Callback, OnGap, Watch

_T = TypeVar("_T")
#: ``list`` is a method here.
_List: TypeAlias = list


class StorageClient:
    """Reads and writes what a storage service keeps. Safe to share between threads; keep one.

    Args:
        client: the client of the program; or a transport or its URL, for a client that is closed with this one.
        service: the name of the storage service.
        models: the classes that a callback for all models gets instances of. What was read or saved is known anyway;
            anything else comes as plain values.
        options: for the client that is made of a transport or URL: see :class:`treaty.Client`.
    """

    def __init__(
        self, client: Client | Transport | str, *, service: str = "storage", models: Iterable[type] = (), **options: Any
    ) -> None:
        self._owned = not isinstance(client, Client)
        self._models: dict[str, Model[Any]] = {model_of(cls).name: model_of(cls) for cls in models}
        self._client = client if isinstance(client, Client) else Client(client, **options)
        self._service = service
        self._tap = Tap(self._client, service)
        self._lock = threading.Lock()
        self._listeners: _List[Watch | Notifications] = []
        #: The same, to be awaited: ``await storage.aio.get(Host, "10.0.0.1")``.
        self.aio = AsyncStorageClient(self._client, service, self._know, self.notifications)

    def __repr__(self) -> str:
        return f"<StorageClient of {self._service}>"

    def get(self, model: type[_T], key: object) -> _T:
        """Return one object.

        Raises:
            NotFound: there is none with this key.
            Unreadable: what is stored is damaged, or does not fit the class.
            UnknownModel: the service keeps no objects of this class.
            ConfigurationError: the class is no model.
            TreatyError: the call failed: see :meth:`treaty.Client.call`; so for every method here.
        """
        return self._call(asks.get(model, key))

    def get_many(self, model: type[_T], keys: Iterable[object]) -> _List[_T]:
        """Return many objects of one class, in the order of the keys: all of them, or :class:`NotFound` is raised."""
        return self._call(asks.get_many(model, keys))

    def list(self, model: type[_T]) -> _List[_T]:
        """Return all objects of one class, in the order of their keys. Read in parts, so it is no one moment."""
        found: _List[_T] = []
        after: str | None = ""
        while after is not None:
            part = self._call(asks.part_of_list(model, after))
            found += part.found
            after = part.after
        return found

    def save(self, instance: _T, *, version: int | None = None) -> _T:
        """Create or update an object. Return it as :meth:`get` will: with its new version where the class has a field
        for that. A hidden field that was ``UNSET`` is so in what is returned.

        Args:
            instance: of a class that is a model.
            version: that the object must have, 0 if it must not be there. Without it, what the instance itself says
                in its version field holds; with neither, it is saved over whatever is there.

        Raises:
            Conflict: the object has another version.
            ValidationFailed: a field is not of its type or cannot be stored, the object is too large, or ``version``
                is no whole number.
        """
        return self._call(asks.save(instance, version))

    def save_many(self, instances: Iterable[_T]) -> _List[_T]:
        """Create or update many objects of one class, all of them or none, each once. See :meth:`save`."""
        ask = asks.save_many(instances)
        return [] if ask is None else self._call(ask)

    def delete(self, model: object, key: object = None, *, version: int | None = None) -> None:
        """Delete an object: ``delete(host)``, or ``delete(Host, "10.0.0.1")``.

        Raises:
            NotFound: it is not there.
            Conflict: it has another version than ``version``, or than the instance says.
        """
        self._call(asks.delete(model, key, version))

    def delete_many(self, model: object, keys: Iterable[object] | None = None) -> None:
        """Delete many objects of one class, all of them or none, each once: ``delete_many([host, other])``, or
        ``delete_many(Host, ["10.0.0.1", "10.0.0.2"])``.
        """
        ask = asks.delete_many(model, keys)
        if ask is not None:
            self._call(ask)

    def register_callback(
        self,
        callback: Callback,
        model: type | None = None,
        event: str = Event.ANY,
        *,
        snapshot: bool = False,
        since: Mapping[str, Position] | None = None,
        on_gap: OnGap | None = None,
    ) -> Watch:
        """Have ``callback(event, instance, message)`` called for what is saved or deleted from now on.

        Returns when nothing that happens from then on will be missed. Each change comes once, in the order in which the
        store made them, in a thread of the registration's own. What was missed, for whatever reason, is noticed and
        read from the service's log. Where the log does not reach back so far, or is another one, everything is read:
        what was told before and is different now comes as ``updated``, what was never told as ``created``, and what was
        told and is gone as ``deleted``, with ``None`` for the instance; ``message.key`` says which.

        Hidden fields have their defaults in the instance: :meth:`get` the object if you need them. A registration does
        not outlive its process: after a restart, begin with ``snapshot``, or keep :attr:`Watch.positions` and go on there.

        Args:
            callback: if it raises, that is logged, and it stays registered.
            model: a class; ``None`` for all.
            event: ``"created"``, ``"updated"``, ``"deleted"`` or ``"any"``.
            snapshot: begin with everything that is there, as ``created``.
            since: begin where an earlier registration with the same arguments stood; it need not be of this process.
                What has happened since is a gap, and comes first. A feed that is not named begins with everything that
                is there.
            on_gap: is told of each :class:`Gap`, before it is healed; it is logged as well.

        Returns:
            The registration: ``close()`` it to unregister.

        Raises:
            ValidationFailed: an unknown event, or a callback that is not callable, or a coroutine function; ``since``
                that is none, or beside ``snapshot``.
            UnknownModel: the service keeps no objects of this class.
            Unsupported: the transport carries no notifications.
            TransportError: the service or broker cannot be reached.
        """
        watch = self._watch(callback, model, event, snapshot=snapshot, since=since, on_gap=on_gap)
        return self._keep(watch)

    def notifications(
        self,
        model: type | None = None,
        event: str = Event.ANY,
        *,
        snapshot: bool = False,
        since: Mapping[str, Position] | None = None,
        on_gap: OnGap | None = None,
    ) -> Notifications:
        """Return what :meth:`register_callback` would tell, for a ``for`` or an ``async for`` loop::

        for event, host, message in storage.notifications(Host): ...

        Arguments and errors are those of :meth:`register_callback`; for ``since``, :attr:`Notifications.positions` says
        where an earlier loop stood.
        """

        def watch(callback: Callback) -> Watch:
            return self._watch(callback, model, event, snapshot=snapshot, since=since, on_gap=on_gap)

        return self._keep(Notifications(watch))

    def close(self) -> None:
        """Unregister everything. Idempotent. The client is closed only if it was made here."""
        if not self._client.foreign:
            with self._lock:
                listeners, self._listeners = self._listeners, []
            for listener in listeners:
                listener.close()
        if self._owned:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, ask: Ask[_T]) -> _T:
        self._know(ask.model)
        try:
            reply = self._client.request(f"{self._service}.{ask.method}", ask.params)
        except FrameTooLarge as error:  # what the service answers is in the reply: here, nothing was sent
            raise ask.unsent(error) from error
        return ask.result_of(reply)

    def _know(self, model: Model[Any] | None) -> None:
        if model is not None:
            self._models.setdefault(model.name, model)

    def _watch(
        self,
        callback: Callback,
        model: type | None,
        event: str,
        *,
        snapshot: bool,
        since: Mapping[str, Position] | None,
        on_gap: OnGap | None,
    ) -> Watch:
        for name, function in (("callback", callback), ("on_gap", on_gap)):
            if not callable(function) and (name, function) != ("on_gap", None):
                raise ValidationFailed("", name, f"a callback is callable, not {type(function).__name__}")
            if _is_awaited(function):
                raise ValidationFailed(
                    "", name, "a callback is no coroutine function: write 'async for' over aio.notifications() instead"
                )
        _check_since(since, snapshot=snapshot)
        declared: Model[Any] | None = None if model is None else model_of(model)
        self._know(declared)
        return Watch(
            self._client,
            self._tap,
            self._service,
            callback=callback,
            model=declared,
            event=_event(event),
            models=self._models,
            snapshot=snapshot,
            since=since,
            on_gap=on_gap,
        )

    def _keep(self, listener: _L) -> _L:
        with self._lock:
            self._listeners = [*(one for one in self._listeners if not one.closed), listener]
        return listener


_L = TypeVar("_L", Watch, Notifications)


def _is_position(given: object) -> bool:
    if not isinstance(given, Position) or isinstance(given.sequence, bool):
        return False
    return isinstance(given.epoch, str) and isinstance(given.sequence, int) and given.sequence >= 0


def _check_since(since: object, *, snapshot: bool) -> None:
    if since is None:
        return
    if snapshot:
        raise ValidationFailed("", "since", "it goes on where another one stood, or begins with a snapshot: not both")
    if not isinstance(since, Mapping) or not all(
        isinstance(feed, str) and _is_position(position) for feed, position in since.items()
    ):
        raise ValidationFailed("", "since", "it is what positions of a registration gave: a Position for each feed")


def _is_awaited(function: object) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - of an object whose call is a coroutine
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in (function, call))


def _event(event: str) -> Event:
    try:
        return Event(event)
    except ValueError:
        known = ", ".join(one.value for one in Event)
        raise ValidationFailed("", "event", f"{event!r} is no event; known: {known}") from None
