"""Primary keys: of which types they may be, and how they are written as text, which is what stores sort and look up by.

This room must not know models, stores or the wire. Types are read late and only as far as they can be: an annotation may
name what is defined later, or nowhere that can be reached.
"""

from __future__ import annotations

import sys
from enum import Enum
from inspect import get_annotations
from types import SimpleNamespace
from typing import Any, Final, get_type_hints

import msgspec
from msgspec import inspect

_LONGEST: Final = 255
#: What no key is written as: neither text nor a whole number comes of it.
_UNSUITED: Final = (
    inspect.FloatType,
    inspect.BoolType,
    inspect.NoneType,
    inspect.CollectionType,
    inspect.TupleType,
    inspect.DictType,
    inspect.StructType,
    inspect.DataclassType,
    inspect.TypedDictType,
    inspect.NamedTupleType,
)


def text_of(key: object) -> str:
    """Return a key as text.

    Raises:
        ValueError: it is empty, too long, or neither text nor a number; the text says which.
    """
    plain = key if isinstance(key, str) else plain_of(key)
    text = str(plain) if isinstance(plain, str | int) and not isinstance(plain, bool) else None
    if text is None:
        raise ValueError(f"a key is text or a whole number, not {type(key).__name__}")
    if not 0 < len(text) <= _LONGEST:
        raise ValueError(f"a key has 1 to {_LONGEST} characters, not {len(text)}")
    if "\0" in text or not _is_unicode(text):
        raise ValueError("a key has no NUL characters and no lone surrogates")
    return text


def plain_of(key: object) -> object:
    """Return a key as JSON has it, or ``None`` for what is no key."""
    try:
        return msgspec.to_builtins(key.value if isinstance(key, Enum) else key)
    except Exception:  # whatever it is, it is no key
        return None


def of_type(key: object, kind: Any) -> object:
    """Return a key as a value of its declared type: a UUID for the text of one, but no number for a text.

    Raises:
        ValueError: it is none.
    """
    try:
        return msgspec.convert(plain_of(key), kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except TypeError:  # a type that msgspec does not read by itself: nothing can be said
        return key


def type_of(cls: type, field: str) -> Any:
    """Return the declared type of a field, or ``Any`` where that cannot be read, or not yet."""
    for base in cls.__mro__:
        annotation = get_annotations(base).get(field)
        if annotation is not None:
            scope = {**vars(sys.modules.get(base.__module__, SimpleNamespace())), base.__name__: base}
            try:
                asked = SimpleNamespace(__annotations__={field: annotation})
                return get_type_hints(asked, globalns=scope, include_extras=True)[field]
            except Exception:  # whatever an annotation may do
                return Any
    return Any


def unsuited(kind: Any) -> bool:
    """Whether no value of a type can be a key."""
    return _is(kind, _UNSUITED)


def is_whole_number(kind: Any) -> bool:
    """Whether values of a type are whole numbers; also where the type is not known."""
    return _is(kind, (inspect.IntType, inspect.AnyType, inspect.CustomType))


def _is(kind: Any, types: tuple[type, ...]) -> bool:
    try:
        info = inspect.type_info(kind)
    except Exception:  # no type that msgspec knows
        return False
    while isinstance(info, inspect.Metadata):
        info = info.type
    return isinstance(info, types)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
