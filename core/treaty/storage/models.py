"""Models: classes whose instances can be stored, and what has to be declared of them.

Any msgspec struct, dataclass or attrs class will do. This room must not know stores, services or the wire; it turns
instances into plain documents and back, and validates both ways. No error of it holds the value of a hidden field.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from treaty import ConfigurationError
from treaty.storage import keys
from treaty.storage.documents import as_stored, clash_in, flaw_in, parts_of
from treaty.storage.errors import ValidationFailed
from treaty.storage.fields import fields_of, hide, required_of
from treaty.storage.records import Document

_T = TypeVar("_T")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_PLACE: Final = re.compile(r"^(?P<reason>.*?)(?: - at `(?:key` in `)?\$\.?(?P<field>[^`]*)`)?$", re.DOTALL)

#: The highest version: every whole number up to it is exact in JSON, whoever reads that (RFC 8259, section 6).
_HIGHEST: Final = 2**53


class Model(Generic[_T]):
    """What is known of a class: its name, its primary key, its hidden fields, where its version goes."""

    def __init__(self, cls: type[_T], *, name: str, key: str, hidden: frozenset[str], version: str | None) -> None:
        self.cls = cls
        self.name = name
        self._fields = fields_of(cls)
        self._key = key
        self._version = version
        self._check(hidden)
        #: The hidden fields, as the class calls them.
        self.hidden_attributes = hidden
        #: The hidden fields, as they are called in documents.
        self.hidden = tuple(sorted(self._fields[field] for field in hidden))

    def __repr__(self) -> str:
        return f"<Model {self.name}>"

    @cached_property
    def _key_type(self) -> Any:
        return keys.type_of(self.cls, self._key)

    def key_of(self, instance: _T) -> str:
        """Return an instance's primary key as text.

        Raises:
            ValidationFailed: it is empty, too long, or neither text nor a number.
        """
        return self.key(getattr(instance, self._key))

    def key(self, value: object) -> str:
        """Return a primary key as text: what stores sort and look up by.

        Raises:
            ValidationFailed: as for :meth:`key_of`.
        """
        try:
            return keys.text_of(value)
        except ValueError as error:
            raise ValidationFailed(self.name, self._key, str(error)) from None

    def sought(self, value: object) -> str:
        """Return, as text, a primary key by which somebody looks for an object.

        Raises:
            ValidationFailed: as for :meth:`key_of`, or it is not of the type of the class's key.
        """
        self.key(value)
        try:
            return self.key(keys.of_type(value, self._key_type))
        except ValueError as error:
            raise ValidationFailed(self.name, self._key, str(error)) from None

    def expected(self, instance: _T) -> int | None:
        """Return the version that an instance says it has, or ``None`` where the class declares no field for it.

        Raises:
            ValidationFailed: it is no whole number.
        """
        if self._version is None:
            return None
        return self.version(getattr(instance, self._version), self._version)

    def version(self, value: object, field: str = "version", key: str = "") -> int:
        """Return a version that somebody expects.

        Raises:
            ValidationFailed: it is no whole number, or below 0.
        """
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationFailed(self.name, field, f"a version is a whole number, not {type(value).__name__}", key)
        if not 0 <= value <= _HIGHEST:
            which = f"not {value}" if value < 0 else f"and at most {_HIGHEST}"
            raise ValidationFailed(self.name, field, f"a version is 0 or more, {which}", key)
        return value

    def once(self, keys: Iterable[str]) -> None:
        """Check that what is done together is about different objects.

        Raises:
            ValidationFailed: a key is there twice.
        """
        seen: set[str] = set()
        for key in keys:
            if key in seen:
                raise ValidationFailed(self.name, "", "given twice", key)
            seen.add(key)

    def write(self, instance: object) -> Document:
        """Turn an instance into a document, validated, as it will come back from the store.

        Raises:
            ValidationFailed: not an instance, or a field is not of its type or cannot be stored.
        """
        if not isinstance(instance, self.cls):
            raise ValidationFailed(self.name, "", f"this is a {type(instance).__name__}, not a {self.name}")
        document = self.write_again(instance)
        self._convert(document)
        return as_stored(document)

    def read(self, document: Document, version: int) -> _T:
        """Build an instance of a document; hidden fields that it lacks get their defaults.

        Raises:
            ValidationFailed: a field is missing or not of its type.
        """
        if self._version is not None:
            document = {**document, self._fields[self._version]: version}
        return self._convert(document)

    def accept(self, document: Document) -> tuple[str, Document]:
        """Validate what came over the wire. Return its key and the document in its normal form.

        Raises:
            ValidationFailed: a field is missing or not of its type.
        """
        instance = self._convert(document)
        return self.key_of(instance), self.write_again(instance)

    def write_again(self, instance: _T) -> Document:
        """Turn an instance that was just validated into a document.

        Raises:
            ValidationFailed: it holds what JSON cannot carry, or an object of a model that hides something: that would
                travel with it.
        """
        try:
            document = self._written(instance)
        except ValidationFailed:
            raise
        except Exception:  # the value's own methods run here
            document = None
        if document is None:
            raise self._unwritable(instance)
        if self._version is not None:
            document.pop(self._fields[self._version], None)
        if flaw := flaw_in(document):
            raise ValidationFailed(self.name, flaw.field, flaw.reason, self._shown_key(document, flaw.field))
        return document

    def _written(self, instance: _T) -> Document:
        for field in self._fields:
            if inner := _hider_in(getattr(instance, field)):
                reason = f"holds a {inner}, whose hidden fields would travel along: keep its key instead"
                raise ValidationFailed(self.name, field, reason, self._shown_key(instance, field))
            if (clash := clash_in(getattr(instance, field))) is not None:
                called = self._fields[field]
                reason = "two keys of a dict are the same text in JSON" + (
                    "" if called in self.hidden else f": {clash!r}"
                )
                raise ValidationFailed(self.name, called, reason, self._shown_key(instance, called))
        document: Document = msgspec.to_builtins(self._plain(instance), str_keys=True)
        return document

    def _unwritable(self, instance: _T) -> ValidationFailed:
        """Return the error for the field that cannot be written."""
        for field, called in self._fields.items():
            value = getattr(instance, field)
            if value is msgspec.UNSET:
                continue
            try:
                msgspec.to_builtins(value, str_keys=True)
            except Exception as error:
                reason = type(error).__name__ if called in self.hidden else str(error) or type(error).__name__
                if isinstance(error, RecursionError):
                    reason = "nested too deeply, or it contains itself"
                key = self._shown_key(instance, called)
                return ValidationFailed(self.name, called, f"cannot be written as JSON: {reason}", key)
        return ValidationFailed(self.name, "", "cannot be written as JSON")

    def _plain(self, instance: _T) -> object:
        if not dataclasses.is_dataclass(instance):
            return instance
        # msgspec writes what is in the instance's dict, and leaves the defaults out of it where it made the instance.
        values = {field: getattr(instance, field) for field in self._fields}
        return {field: value for field, value in values.items() if value is not msgspec.UNSET}

    def _convert(self, document: Document) -> _T:
        try:
            return msgspec.convert(document, self.cls, str_keys=True)
        except Exception as error:  # the class's own __post_init__ may raise anything
            field, reason = _complaint(error)
        # Outside of the handler: not even the context of the error may hold what is hidden.
        if self.hidden:
            field, reason = self._complaint_without_hidden(document, field)
        raise ValidationFailed(self.name, field, reason, self._shown_key(document, field))

    def _complaint_without_hidden(self, document: Document, field: str) -> tuple[str, str]:
        # What is said where the hidden fields are not there at all cannot betray them.
        visible = {name: value for name, value in document.items() if name not in self.hidden}
        try:
            msgspec.convert(visible, self.cls, str_keys=True)
        except Exception as error:
            return _complaint(error)
        top = re.split(r"[.\[]", field, maxsplit=1)[0]
        return top if top in self.hidden else "", "the value of a hidden field does not fit"

    def _shown_key(self, thing: object, culprit: str) -> str:
        """Return the key of the instance or document that an error is about, ``""`` where the key is the culprit."""
        called = self._fields[self._key]
        value = thing.get(called) if isinstance(thing, dict) else getattr(thing, self._key, None)
        try:
            return "" if culprit in (called, self._key) else self.key(value)
        except ValidationFailed:
            return ""

    def _check(self, hidden: frozenset[str]) -> None:
        name = self.cls.__qualname__
        for role, field in (("key", self._key), ("version", self._version), *(("hidden", one) for one in hidden)):
            if field is not None and field not in self._fields:
                raise ConfigurationError(f"{name} has no field {field!r}, which is declared as {role}")
        if self._key in hidden or self._version in hidden or self._key == self._version:
            raise ConfigurationError(f"{name}: the key, the version and the hidden fields are different fields")
        if keys.unsuited(keys.type_of(self.cls, self._key)):
            raise ConfigurationError(f"{name}.{self._key} is no key: a key is text, a whole number, or written as text")
        if self._version and not keys.is_whole_number(keys.type_of(self.cls, self._version)):
            raise ConfigurationError(f"{name}.{self._version} holds no version: that is a whole number, of type int")
        required = required_of(self.cls)
        for field in sorted(hidden | {self._version} - {None}):  # type: ignore[type-var]
            if field in required:
                raise ConfigurationError(
                    f"{name}.{field} needs a default: what is hidden is not in a notification, and a new object has no "
                    "version"
                )


_DECLARED: Final[WeakKeyDictionary[type, Model[Any]]] = WeakKeyDictionary()


def model(
    *, key: str, hidden: Iterable[str] = (), version: str | None = None, name: str = ""
) -> Callable[[type[_T]], type[_T]]:
    """Declare that instances of a class can be stored: of a msgspec struct, a dataclass or an attrs class. ::

        @model(key="address", hidden=["password"], version="revision")
        class Host(msgspec.Struct):
            address: str
            password: str | msgspec.UnsetType = msgspec.UNSET
            revision: int = 0

    Args:
        key: the field that is the primary key: text, a number, or what JSON writes as text (a UUID, a date).
        hidden: fields that never travel in a notification, and stand in no log and no repr; :meth:`StorageClient.get`
            and ``list`` do return them. They need defaults. One that may be ``msgspec.UNSET`` and is, stays in the store
            as it is when the object is saved; any other default overwrites what is there.
        version: a field of type ``int`` with the default 0, to hold the version. An instance is then saved only over
            the version that it was read from: see :class:`~treaty.storage.Conflict`.
        name: on the wire and in topics; the class's own name if empty.

    Raises:
        ConfigurationError: no such field, a hidden field without a default, or a class that cannot be stored.
    """

    def declare(cls: type[_T]) -> type[_T]:
        called = name or getattr(cls, "__name__", "")
        if not _NAME.fullmatch(called):
            raise ConfigurationError(f"{called!r} is no name for a model: use up to 64 of a-z, A-Z, 0-9 and '_'")
        fields = frozenset([hidden] if isinstance(hidden, str) else hidden).union(*map(_hidden_by, cls.__mro__))
        declared = Model(cls, name=called, key=key, hidden=fields, version=version)
        if fields:
            hide(cls, fields)
        _DECLARED[cls] = declared
        return cls

    return declare


def model_of(cls: type[_T]) -> Model[_T]:
    """Return what was declared of a class.

    Raises:
        ConfigurationError: nothing was.
        ValidationFailed: this is an instance of a model.
    """
    if not isinstance(cls, type):
        instance = _DECLARED.get(type(cls))
        if instance is not None:
            raise ValidationFailed(instance.name, "", "this is an instance, where the class belongs")
        # A repr may be of any length, and hold anything.
        shown = repr(cls) if isinstance(cls, str) else f"a value of the type {type(cls).__name__}"
        raise ConfigurationError(f'{shown} is no model: give a class with @model(key="...") over it')
    declared = _DECLARED.get(cls)
    if declared is None:
        raise ConfigurationError(f'{cls.__qualname__} is no model: write @model(key="...") over the class')
    return declared


def model_for(instance: _T) -> Model[_T]:
    """Return what was declared of the class of an instance.

    Raises:
        ConfigurationError: nothing was.
        ValidationFailed: this is a model itself.
    """
    if isinstance(instance, type) and instance in _DECLARED:
        raise ValidationFailed(_DECLARED[instance].name, "", "this is the class, where an instance belongs")
    return model_of(type(instance))


def _hidden_by(base: type) -> frozenset[str]:
    declared = _DECLARED.get(base)
    return declared.hidden_attributes if declared is not None else frozenset()


def _hider_in(value: object) -> str:
    """Return the name of a model with hidden fields of which there is an instance in a value, or ``""``."""
    if value is None or isinstance(value, str | int | float | bytes):
        return ""
    for cls in type(value).__mro__:  # a subclass holds what its base hides
        declared = _DECLARED.get(cls)
        if declared is not None and declared.hidden:
            return declared.name
    return next(filter(None, map(_hider_in, parts_of(value))), "")


def _complaint(error: Exception) -> tuple[str, str]:
    """Return which field an error of msgspec is about, and what it says."""
    found = _PLACE.match(str(error))
    assert found is not None
    return found["field"] or "", found["reason"] or type(error).__name__
