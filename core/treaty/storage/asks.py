"""What a storage client asks, and how it reads the answers: without a client, so that the blocking and the awaitable
one cannot drift apart.

This room must not know threads, event loops or transports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from treaty import DecodingError
from treaty.storage.errors import ValidationFailed
from treaty.storage.models import Model, model_for, model_of
from treaty.storage.records import PAGE, Entry, Page, Position

_T = TypeVar("_T")


class Ask(Struct, Generic[_T], frozen=True):
    """A call to make, and what to make of its result."""

    method: str
    params: dict[str, Any]
    read: Callable[[Any], _T]
    #: Whose instances are sent or come back.
    model: Model[Any] | None = None


class FeedState(Struct, frozen=True, kw_only=True):
    """Where a feed stands, and what it is about."""

    feed: str
    epoch: str
    sequence: int
    models: tuple[str, ...]

    @property
    def position(self) -> Position:
        """The end of its log."""
        return Position(epoch=self.epoch, sequence=self.sequence)


class Feeds(Struct, frozen=True, kw_only=True):
    """All feeds of a service, and the seconds between their beats."""

    feeds: tuple[FeedState, ...]
    beat: float


class _Found(Struct, frozen=True):
    key: str
    version: int
    data: dict[str, Any]


class _Listed(Struct, frozen=True):
    entries: tuple[_Found, ...]
    more: bool


class _Done(Struct, frozen=True):
    key: str
    version: int


class Part(Struct, Generic[_T], frozen=True):
    """A part of a list: what was found, and the key behind which to go on, or ``None`` at the end."""

    found: list[_T]
    after: str | None


def get(cls: type[_T], key: object) -> Ask[_T]:
    """Ask for one object."""
    spec = model_of(cls)

    def read(answer: Any) -> _T:
        return _instance(spec, _typed(answer, _Found))

    return Ask("get", {"model": spec.name, "key": spec.key(key)}, read, spec)


def get_many(cls: type[_T], keys: Iterable[object]) -> Ask[list[_T]]:
    """Ask for many objects of one model."""
    spec = model_of(cls)

    def read(answer: Any) -> list[_T]:
        return [_instance(spec, found) for found in _typed(answer, list[_Found])]

    return Ask(
        "get_many", {"model": spec.name, "keys": [spec.key(key) for key in _listed_keys(spec, keys)]}, read, spec
    )


def part_of_list(cls: type[_T], after: str) -> Ask[Part[_T]]:
    """Ask for the objects of one model whose keys come after this one."""
    spec = model_of(cls)

    def read(answer: Any) -> Part[_T]:
        listed = _typed(answer, _Listed)
        found = [_instance(spec, one) for one in listed.entries]
        return Part(found, listed.entries[-1].key if listed.more else None)

    return Ask("list", {"model": spec.name, "after": after, "limit": PAGE}, read, spec)


def part_of_entries(model: str, after: str) -> Ask[Part[Entry]]:
    """Ask for the same as plain entries."""

    def read(answer: Any) -> Part[Entry]:
        listed = _typed(answer, _Listed)
        found = [Entry(model=model, key=one.key, version=one.version, data=one.data) for one in listed.entries]
        return Part(found, listed.entries[-1].key if listed.more else None)

    return Ask("list", {"model": model, "after": after, "limit": PAGE}, read)


def save(instance: _T, version: int | None) -> Ask[_T]:
    """Ask to create or update one object."""
    spec = model_for(instance)
    item = _item(spec, instance, version)

    def read(answer: Any) -> _T:
        return _saved(spec, instance, item["data"], _typed(answer, _Done))

    return Ask("save", {"model": spec.name, **item}, read, spec)


def save_many(instances: Iterable[_T]) -> Ask[list[_T]] | None:
    """Ask to create or update many objects of one model; ``None`` if there are none."""
    given = _listed_instances(instances)
    if not given:
        return None
    spec = model_for(given[0])
    items = [_item(spec, instance, None, number) for number, instance in enumerate(given)]

    def read(answer: Any) -> list[_T]:
        done = _typed(answer, list[_Done])
        return [
            _saved(spec, instance, item["data"], one) for instance, item, one in zip(given, items, done, strict=True)
        ]

    return Ask("save_many", {"model": spec.name, "items": items}, read, spec)


def delete(what: object, key: object, version: int | None) -> Ask[None]:
    """Ask to delete one object: an instance, or what has this key."""
    spec, name, expected = _target(what, key)
    params = {"model": spec.name, "key": name, "version": expected if version is None else version}
    return Ask("delete", params, _nothing)


def delete_many(what: object, keys: Iterable[object] | None) -> Ask[None] | None:
    """Ask to delete many objects of one model: instances, or what has these keys; ``None`` if there are none."""
    if keys is not None:
        model: Model[Any] = model_of(what)  # type: ignore[arg-type]  # anything that is no model is refused there
        targets = [_target(what, key) for key in _listed_keys(model, keys)]
    else:
        targets = [_target(one, None) for one in _listed_instances(what)]
    if not targets:
        return None
    spec = targets[0][0]
    for number, (other, _, _) in enumerate(targets):
        if other is not spec:
            raise _mixed(spec, number, other.cls)
    named = {"keys": [key for _, key, _ in targets], "versions": [version for _, _, version in targets]}
    return Ask("delete_many", {"model": spec.name, **named}, _nothing)


def feeds() -> Ask[Feeds]:
    """Ask which feeds there are and where they stand."""
    return Ask("feeds", {}, lambda answer: _typed(answer, Feeds))


def changes_since(feed: str, since: Position) -> Ask[Page]:
    """Ask what changed since a position."""
    params = {"feed": feed, "epoch": since.epoch, "sequence": since.sequence, "limit": PAGE}
    return Ask("changes_since", params, lambda answer: _typed(answer, Page))


def _target(what: object, key: object) -> tuple[Model[Any], str, int | None]:
    if key is None:
        spec = model_for(what)
        return spec, spec.key_of(what), spec.expected(what)
    spec = model_of(what)  # type: ignore[arg-type]  # anything that is no model is refused there
    return spec, spec.key(key), None


def _listed_keys(spec: Model[Any], keys: object) -> list[object]:
    # A text is a list of texts to Python, and a mistake here.
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise ValidationFailed(spec.name, "", f"one {type(keys).__name__} where a list of keys belongs")
    return list(keys)


def _listed_instances(instances: object) -> list[Any]:
    if not isinstance(instances, Iterable):
        raise ValidationFailed("", "", f"{type(instances).__name__} is no list of instances")
    return list(instances)


def _item(spec: Model[Any], instance: object, version: int | None, number: int | None = None) -> dict[str, Any]:
    if number is not None and not isinstance(instance, spec.cls):
        raise _mixed(spec, number, type(instance))
    data = spec.write(instance)
    spec.key_of(instance)
    return {"data": data, "version": spec.expected(instance) if version is None else version}


def _mixed(spec: Model[Any], number: int, other: type) -> ValidationFailed:
    return ValidationFailed(spec.name, f"[{number}]", f"this is a {other.__name__}, not a {spec.name}")


def _saved(spec: Model[_T], instance: _T, data: dict[str, Any], done: _Done) -> _T:
    return instance if spec.expected(instance) is None else spec.read(data, done.version)


def _instance(spec: Model[_T], found: _Found) -> _T:
    return spec.read(found.data, found.version)


def _typed(answer: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise DecodingError(f"the storage service answered with something else: {error}") from None


def _nothing(_: Any) -> None:
    return None
