"""Making of what JSON gave a value of the type that somebody declared.

It must not know who declared it, nor what it means there that a value does not fit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

#: They have no parts.
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})


def convert(value: Any, annotation: Any) -> Any:
    """Return a value of the declared type.

    Raises:
        Exception: it does not fit; or whatever the type's own ``__post_init__`` raises.
    """
    made = msgspec.convert(value, annotation, str_keys=True)
    if _may_lack_fields(annotation):
        _complete(made)
    return made


def described(annotation: Any) -> Iterator[inspect.Type]:
    """Yield what msgspec says of a type, and of every type in it, however deep.

    Raises:
        TypeError: it makes nothing of the type.
    """
    seen: set[int] = set()  # descriptions may contain themselves

    def walk(part: Any) -> Iterator[inspect.Type]:
        if isinstance(part, tuple | list):
            for one in part:
                yield from walk(one)
        elif isinstance(part, inspect.Type | inspect.Field) and id(part) not in seen:
            seen.add(id(part))
            if isinstance(part, inspect.Type):
                yield part
            for name in part.__struct_fields__:
                yield from walk(getattr(part, name))

    return walk(inspect.type_info(annotation))


def _may_lack_fields(annotation: Any) -> bool:
    try:
        return _looked_up(annotation)
    except TypeError:  # it cannot be hashed, as where Annotated holds a list
        return _holds_defaults(annotation)


@cache
def _looked_up(annotation: Any) -> bool:
    return _holds_defaults(annotation)


def _holds_defaults(annotation: Any) -> bool:
    """Whether there is a dataclass in a type one of whose fields has a default."""
    classes = (one for one in described(annotation) if isinstance(one, inspect.DataclassType))
    return any(field.default is not msgspec.NODEFAULT for one in classes for field in one.fields)


def _complete(value: Any) -> None:
    """Give dataclasses the fields that were not given. msgspec leaves their defaults to the class, where it does not look
    for them when it writes the object: they would not travel on.
    """
    if type(value) in _PLAIN:
        return
    if dataclasses.is_dataclass(value):
        own: dict[str, Any] = getattr(value, "__dict__", {})
        for field in dataclasses.fields(value):
            if field.default is not dataclasses.MISSING:
                own.setdefault(field.name, field.default)
        parts: Collection[Any] = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, list | tuple | AbstractSet):
        parts = value
    elif isinstance(value, msgspec.Struct):
        parts = [getattr(value, name, None) for name in value.__struct_fields__]
    else:  # of attrs, or nothing that has parts
        parts = [getattr(value, field.name, None) for field in getattr(type(value), "__attrs_attrs__", ())]
    for part in parts:
        _complete(part)
