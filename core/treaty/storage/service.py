"""The storage service: an ordinary service that owns the stores and tells everybody what changes in them.

It must not know transports or databases. What a batch does is decided in ``planning``; how it gets into the store and
out to the subscribers, in ``feed``.
"""

# Every handler takes the message, whether it needs it or not.
# ruff: noqa: ARG002

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

import msgspec

from treaty import ConfigurationError, Incoming, Service, Transport, TreatyError
from treaty.storage.configuration import StoreConfig, check
from treaty.storage.errors import NotFound, UnknownModel, ValidationFailed
from treaty.storage.feed import Feed
from treaty.storage.models import Model, model_of
from treaty.storage.records import PAGE, Change, Document, Position, Write

#: Seconds between two beats of an idle feed.
BEAT_EVERY: Final = 1.0
_SLOWEST_BEAT: Final = 3600.0
#: The largest object, in bytes of JSON.
MAX_SIZE: Final = 1024 * 1024
#: How many requests are served at once: those that save at the same time share a transaction.
CONCURRENCY: Final = 16
#: About how many bytes of objects or changes one answer holds.
_PAGE_BYTES: Final = 2 * MAX_SIZE
_LOG: Final = logging.getLogger("treaty.storage")
_encode: Final = msgspec.json.Encoder().encode


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One of many objects to be saved."""

    data: Document
    version: int | None = None


class StorageService(Service):
    """Keeps objects for its clients, and publishes every change. Talk to it through a ``StorageClient``.

    Args:
        transport: a transport, or the URL of one.
        secret: what the clients hold too.
        stores: which store keeps what; the attribute of the class if ``None``.
        beat: seconds between two beats of an idle feed, by which subscribers notice that they missed its last change.
        max_size: the largest object, in bytes of JSON. Keep it below a quarter of the transport's largest frame.
        concurrency: how many requests are served at once.
        options: see :class:`treaty.Service`.

    Raises:
        ConfigurationError: an unusable store, model or number.
    """

    name: ClassVar[str] = "storage"
    #: For subclasses that bring their configuration with them.
    stores: ClassVar[Sequence[StoreConfig]] = ()

    def __init__(
        self,
        transport: Transport | str,
        *,
        secret: Any,
        stores: Sequence[StoreConfig] | None = None,
        beat: float = BEAT_EVERY,
        max_size: int = MAX_SIZE,
        concurrency: int = CONCURRENCY,
        **options: Any,
    ) -> None:
        configured = list(self.stores if stores is None else stores)
        check(configured)
        if isinstance(beat, bool) or not isinstance(beat, int | float) or not 0.01 <= beat <= _SLOWEST_BEAT:
            raise ConfigurationError(f"beat is a number of seconds from 0.01 to {_SLOWEST_BEAT:g}, not {beat!r}")
        if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 1:
            raise ConfigurationError(f"max_size is a whole number of bytes from 1 on, not {max_size!r}")
        super().__init__(transport, secret=secret, concurrency=concurrency, **options)
        self._beat = beat
        self._max_size = max_size
        self._feeds = {
            one.name: Feed(one.name, one.open(), [model_of(cls).name for cls in one.models], self.publish)
            for one in configured
        }
        self._models: dict[str, Model[Any]] = {
            model_of(cls).name: model_of(cls) for one in configured for cls in one.models
        }
        self._feed_of = {model: feed for feed in self._feeds.values() for model in feed.models}
        self._ending = threading.Event()
        self._heart: threading.Thread | None = None

    def setup(self) -> None:
        """Open the stores.

        Raises:
            StoreUnavailable, IncompatibleSchema: one of them cannot be used; all are closed again.
        """
        try:
            for feed in self._feeds.values():
                feed.store.open()
        except BaseException:
            self._close_stores()
            raise

    def start(self) -> None:
        """Serve, publish what an earlier life has left unpublished, and return."""
        super().start()
        if self._heart is None:
            self._warn_of_other_workers()
            self._ending.clear()
            self._heart = threading.Thread(target=self._beat_on, name="treaty-storage-beat", daemon=True)
            self._heart.start()

    def teardown(self) -> None:
        """Close the stores."""
        self._ending.set()
        heart, self._heart = self._heart, None
        if heart is not None:
            heart.join()
        self._close_stores()

    def _warn_of_other_workers(self) -> None:
        # Whether there are any cannot be known: one that is busy would not answer, and two may start together.
        guarantees = self._transport.guarantees
        if guarantees.competing_workers and guarantees.crosses_processes:
            for feed in self._feeds.values():
                if not getattr(feed.store, "shared", True):
                    _LOG.warning(
                        "%s: the store %r is in this process alone: start no second worker of this service, it would "
                        "have objects of its own; several workers need a database",
                        self.name,
                        feed.name,
                    )

    # Handlers

    def on_get(self, message: Incoming, model: str, key: str | int) -> dict[str, Any]:
        """Return one object: its version and its data."""
        return self._found(model, [key])[0]

    def on_get_many(self, message: Incoming, model: str, keys: list[str | int]) -> list[dict[str, Any]]:
        """Return many objects of one model, all of them or an error."""
        return self._found(model, keys)

    def on_list(
        self, message: Incoming, model: str, after: str = "", limit: int = PAGE, visible: bool = False
    ) -> dict[str, Any]:
        """Return the objects of one model, in the order of their keys, from behind the key ``after`` on.

        With ``visible`` they lack the hidden fields, as notifications do.
        """
        spec, feed = self._known(model)
        entries = list(feed.store.list(spec.name, after=after, limit=_bounded(limit) + 1))
        left_out = spec.hidden if visible else ()
        found = [
            {
                "key": one.key,
                "version": one.version,
                "data": {name: value for name, value in one.data.items() if name not in left_out},
            }
            for one in entries
        ]
        page = list(_within(found[: _bounded(limit)]))
        return {"entries": page, "more": len(page) < len(found)}

    def on_save(self, message: Incoming, model: str, data: Document, version: int | None = None) -> dict[str, Any]:
        """Create or update one object; with ``version``, only if it has that (0: if there is none)."""
        return self._commit(model, [Item(data=data, version=version)])[0]

    def on_save_many(self, message: Incoming, model: str, items: list[Item]) -> list[dict[str, Any]]:
        """Create or update many objects of one model, all of them or none."""
        return self._commit(model, items)

    def on_delete(self, message: Incoming, model: str, key: str | int, version: int | None = None) -> dict[str, Any]:
        """Delete one object; with ``version``, only if it has that."""
        return self._delete(model, [key], [version])[0]

    def on_delete_many(
        self, message: Incoming, model: str, keys: list[str | int], versions: list[int | None] | None = None
    ) -> list[dict[str, Any]]:
        """Delete many objects of one model, all of them or none."""
        return self._delete(model, keys, versions)

    def on_feeds(self, message: Incoming) -> dict[str, Any]:
        """Say which feeds of changes there are, where they stand, and how often they beat."""
        feeds = []
        for feed in self._feeds.values():
            standing = feed.store.standing()
            where = {"epoch": standing.epoch, "sequence": standing.sequence}
            feeds.append({"feed": feed.name, **where, "models": list(feed.models)})
        return {"feeds": feeds, "beat": self._beat}

    def on_changes_since(
        self, message: Incoming, epoch: str, sequence: int, feed: str = "", limit: int = PAGE
    ) -> dict[str, Any]:
        """Return what changed since a position, in order, or that this cannot be said any more."""
        found = self._feeds.get(feed or next(iter(self._feeds)))
        if found is None:
            raise ValidationFailed("", "feed", f"there is no feed {feed!r}; known: {', '.join(sorted(self._feeds))}")
        page = found.store.changes_since(Position(epoch=epoch, sequence=sequence), limit=_bounded(limit))
        changes: list[dict[str, Any]] = list(_within([msgspec.to_builtins(change) for change in page.changes]))
        more = page.more or len(changes) < len(page.changes)
        return {"epoch": page.epoch, "head": page.head, "changes": changes, "more": more, "lost": page.lost}

    # Inside

    def _known(self, model: str) -> tuple[Model[Any], Feed]:
        try:
            return self._models[model], self._feed_of[model]
        except KeyError:
            raise UnknownModel(model, list(self._models)) from None

    def _found(self, model: str, keys: Sequence[str | int]) -> list[dict[str, Any]]:
        spec, feed = self._known(model)
        wanted = [spec.key(key) for key in keys]
        found = feed.store.get(spec.name, wanted)
        for key in wanted:
            if key not in found:
                raise NotFound(spec.name, key)
        return [{"key": key, "version": found[key].version, "data": found[key].data} for key in wanted]

    def _commit(self, model: str, items: Sequence[Item]) -> list[dict[str, Any]]:
        spec, feed = self._known(model)
        writes = tuple(self._write(spec, item) for item in items)
        spec.once(write.key for write in writes)
        return _answers(feed.commit(writes))

    def _write(self, spec: Model[Any], item: Item) -> Write:
        key, data = spec.accept(item.data)
        size = len(_encode(data))
        if size > self._max_size:
            raise ValidationFailed(spec.name, "", f"{size:,} bytes of JSON, and {self._max_size:,} are the most", key)
        return Write(model=spec.name, key=key, data=data, hidden=spec.hidden, expected=item.version)

    def _delete(
        self, model: str, keys: Sequence[str | int], versions: Sequence[int | None] | None
    ) -> list[dict[str, Any]]:
        spec, feed = self._known(model)
        if versions is None:
            versions = [None] * len(keys)
        if len(versions) != len(keys):
            raise ValidationFailed(spec.name, "versions", f"{len(versions)} versions for {len(keys)} keys")
        writes = tuple(
            Write(model=spec.name, key=spec.key(key), data=None, hidden=spec.hidden, expected=version)
            for key, version in zip(keys, versions, strict=True)
        )
        spec.once(write.key for write in writes)
        return _answers(feed.commit(writes))

    def _beat_on(self) -> None:
        for feed in self._feeds.values():
            self._try(feed.begin, feed)
        while not self._ending.wait(self._beat):
            for feed in self._feeds.values():
                self._try(feed.beat, feed)

    def _try(self, work: Any, feed: Feed) -> None:
        try:
            work()
        except TreatyError as error:
            _LOG.warning("%s: %s", feed.name, error)
        except Exception:
            # The heart goes on beating.
            _LOG.exception("%s: the feed could not be looked after", feed.name)

    def _close_stores(self) -> None:
        for feed in self._feeds.values():
            with suppress(TreatyError):
                feed.store.close()


def _answers(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [{"key": change.key, "version": change.version, "event": change.event.value} for change in changes]


def _bounded(limit: int) -> int:
    return min(max(limit, 1), 10 * PAGE)


def _within(things: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield as many as fit into one answer, one at least."""
    size = 0
    for number, thing in enumerate(things):
        size += len(_encode(thing))
        if number and size > _PAGE_BYTES:
            return
        yield thing
