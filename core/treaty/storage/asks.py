"""What a storage client asks, and how it reads the answers: without a client, so that the blocking and the awaitable
one cannot drift apart.

This room must not know threads, event loops or transports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeGuard, TypeVar

import msgspec
from msgspec import Struct

from treaty import DecodingError, FrameTooLarge, Reply, TreatyError
from treaty.storage.errors import Unreadable, ValidationFailed
from treaty.storage.models import Model, model_for, model_of
from treaty.storage.records import PAGE, Entry, Page, Position

_T = TypeVar("_T")


class Ask(Struct, Generic[_T], frozen=True):
    """A call to make, and what to make of its result."""

    method: str
    params: dict[str, Any]
    read: Callable[[Any], _T]
    #: Whose instances are sent or come back, and the keys of those that are asked for by name.
    model: Model[Any] | None = None
    keys: tuple[str, ...] = ()

    def result_of(self, reply: Reply) -> _T:
        """Return what the answer stands for.

        Raises:
            TreatyError: it is an error.
        """
        try:
            answer = reply.result
        except FrameTooLarge as error:
            if self.model is None or not self.keys:
                raise
            more = f" and {len(self.keys) - 1} more" if len(self.keys) > 1 else ""
            raise FrameTooLarge(f"{self.model.name} {self.keys[0]!r}{more}: {error}") from error
        return self.read(answer)

    def unsent(self, error: FrameTooLarge) -> TreatyError:
        """Return what to raise when this was too large to be sent: it names the object, the largest of several."""
        if self.model is None or not self.keys:
            return error
        items = self.params.get("items")
        if items is None and len(self.keys) > 1:
            return ValidationFailed(self.model.name, "", f"{len(self.keys)} keys are too many for one message: {error}")
        if items is None or len(items) == 1:
            return ValidationFailed(self.model.name, "", f"too large for a message: {error}", self.keys[0])
        largest = max(range(len(items)), key=lambda number: len(msgspec.json.encode(items[number])))
        reason = f"{len(items)} objects, of which this is the largest, are too much for one message: {error}"
        return ValidationFailed(self.model.name, "", reason, self.keys[largest])


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

    name = spec.sought(key)
    return Ask("get", {"model": spec.name, "key": name}, read, spec, (name,))


def get_many(cls: type[_T], keys: Iterable[object]) -> Ask[list[_T]]:
    """Ask for many objects of one model."""
    spec = model_of(cls)

    def read(answer: Any) -> list[_T]:
        return [_instance(spec, found) for found in _typed(answer, list[_Found])]

    names = [spec.sought(key) for key in _listed_keys(spec, keys)]
    return Ask("get_many", {"model": spec.name, "keys": names}, read, spec, tuple(names))


def part_of_list(cls: type[_T], after: str) -> Ask[Part[_T]]:
    """Ask for the objects of one model whose keys come after this one."""
    spec = model_of(cls)

    def read(answer: Any) -> Part[_T]:
        listed = _typed(answer, _Listed)
        found = [_instance(spec, one) for one in listed.entries]
        return Part(found, listed.entries[-1].key if listed.more else None)

    return Ask("list", {"model": spec.name, "after": after, "limit": PAGE}, read, spec)


def part_of_entries(model: str, after: str) -> Ask[Part[Entry]]:
    """Ask for the same as plain entries, for whoever follows: without the hidden fields."""

    def read(answer: Any) -> Part[Entry]:
        listed = _typed(answer, _Listed)
        found = [Entry(model=model, key=one.key, version=one.version, data=one.data) for one in listed.entries]
        return Part(found, listed.entries[-1].key if listed.more else None)

    return Ask("list", {"model": model, "after": after, "limit": PAGE, "visible": True}, read)


def save(instance: _T, version: int | None) -> Ask[_T]:
    """Ask to create or update one object."""
    spec = model_for(instance)
    key, item = _item(spec, instance, version)

    def read(answer: Any) -> _T:
        return spec.read(item["data"], _typed(answer, _Done).version)

    return Ask("save", {"model": spec.name, **item}, read, spec, (key,))


def save_many(instances: Iterable[_T]) -> Ask[list[_T]] | None:
    """Ask to create or update many objects of one model; ``None`` if there are none."""
    given = _listed_instances(instances, "save_many(hosts)", "save(host)")
    if not given:
        return None
    spec = model_for(given[0])
    named = [_item(spec, instance, None, number) for number, instance in enumerate(given)]
    keys = tuple(key for key, _ in named)
    spec.once(keys)
    items = [item for _, item in named]

    def read(answer: Any) -> list[_T]:
        done = _typed(answer, list[_Done])
        return [spec.read(item["data"], one.version) for item, one in zip(items, done, strict=True)]

    return Ask("save_many", {"model": spec.name, "items": items}, read, spec, keys)


def delete(what: object, key: object, version: int | None) -> Ask[None]:
    """Ask to delete one object: an instance, or what has this key."""
    spec, name, expected = _target(what, key)
    if version is not None:
        expected = spec.version(version, key=name)
    return Ask("delete", {"model": spec.name, "key": name, "version": expected}, _nothing, spec, (name,))


def delete_many(what: object, keys: Iterable[object] | None) -> Ask[None] | None:
    """Ask to delete many objects of one model: instances, or what has these keys; ``None`` if there are none."""
    if keys is not None:
        if _is_list(what):
            raise ValidationFailed(
                "", "", "a list and keys as well: write delete_many(hosts), or delete_many(Host, keys) with the class"
            )
        model: Model[Any] = model_of(what)  # type: ignore[arg-type]  # anything that is no model is refused there
        targets = [_target(what, key) for key in _listed_keys(model, keys)]
    else:
        targets = [
            _target(one, None) for one in _listed_instances(what, "delete_many(hosts)", "delete_many(Host, keys)")
        ]
    if not targets:
        return None
    spec = targets[0][0]
    for number, (other, _, _) in enumerate(targets):
        if other is not spec:
            raise _mixed(spec, number, other.cls)
    names = [key for _, key, _ in targets]
    spec.once(names)
    named = {"keys": names, "versions": [version for _, _, version in targets]}
    return Ask("delete_many", {"model": spec.name, **named}, _nothing, spec, tuple(names))


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
    if not isinstance(what, type | str):
        name = model_for(what).name
        raise ValidationFailed(name, "", f"an instance and a key as well: write delete(host), or delete({name}, key)")
    spec = model_of(what)  # type: ignore[arg-type]  # anything that is no model is refused there
    return spec, spec.sought(key), None


def _listed_keys(spec: Model[Any], keys: object) -> list[object]:
    if not _is_list(keys):
        raise ValidationFailed(spec.name, "", f"one {type(keys).__name__} where a list of keys belongs")
    return list(keys)


def _listed_instances(instances: object, many: str, instead: str) -> list[Any]:
    if not _is_list(instances):
        given = f"the class {instances.__qualname__}" if isinstance(instances, type) else type(instances).__name__
        raise ValidationFailed("", "", f"{given} is no list of instances: write {many}, or {instead}")
    return list(instances)


def _is_list(given: object) -> TypeGuard[Iterable[Any]]:
    # A text is a list of texts to Python, a dict one of its keys, an enum one of its members: mistakes here.
    return isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping | type)


def _item(
    spec: Model[Any], instance: object, version: int | None, number: int | None = None
) -> tuple[str, dict[str, Any]]:
    if number is not None and type(instance) is not spec.cls:
        raise _mixed(spec, number, type(instance))
    data = spec.write(instance)
    key = spec.key_of(instance)
    expected = spec.expected(instance) if version is None else spec.version(version, key=key)
    return key, {"data": data, "version": expected}


def _mixed(spec: Model[Any], number: int, other: type) -> ValidationFailed:
    return ValidationFailed(spec.name, f"[{number}]", f"this is a {other.__name__}, not a {spec.name}")


def _instance(spec: Model[_T], found: _Found) -> _T:
    try:
        return spec.read(found.data, found.version)
    except ValidationFailed as error:
        reason = f"it does not fit its class here: {': '.join(filter(None, (error.field, error.reason)))}"
    raise Unreadable(spec.name, found.key, reason)


def _typed(answer: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise DecodingError(f"the storage service answered with something else: {error}") from None


def _nothing(_: Any) -> None:
    return None
