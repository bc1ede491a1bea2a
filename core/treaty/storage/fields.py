"""The fields of a class, be it a msgspec struct, a dataclass or an attrs class, and a repr that leaves some of them out.

This room must not know what fields are declared for: keys, versions and documents are the business of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec

from treaty import ConfigurationError


def fields_of(cls: type) -> dict[str, str]:
    """Return the fields by attribute: as each is called in a document."""
    struct = getattr(cls, "__struct_fields__", None)
    if struct is not None:
        if cls.__struct_config__.array_like:  # type: ignore[attr-defined]
            raise ConfigurationError(f"{cls.__qualname__} is array-like: its documents have no names for the fields")
        return dict(zip(struct, cls.__struct_encode_fields__, strict=True))  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(cls):
        return {field.name: field.name for field in dataclasses.fields(cls)}  # without what is of the class
    attributes = getattr(cls, "__attrs_attrs__", None)
    if attributes is not None:
        private = [field.name for field in attributes if field.name.startswith("_")]
        if private:
            # They have one name as fields and another one as arguments, and would be lost on the way.
            raise ConfigurationError(f"{cls.__qualname__}.{private[0]}: attrs fields that are stored begin with no '_'")
        return {field.name: field.name for field in attributes}
    shown = getattr(cls, "__qualname__", repr(cls))
    raise ConfigurationError(f"{shown} cannot be stored: it is no msgspec struct, dataclass or attrs class")


def required_of(cls: Any) -> set[str]:
    """Return the fields without a default. Looks at no annotation, as those may name what is defined later."""
    if hasattr(cls, "__struct_fields__"):
        fields, defaults = cls.__struct_fields__, cls.__struct_defaults__
        head = len(fields) - len(defaults)
        late = {field for field, value in zip(fields[head:], defaults, strict=True) if value is msgspec.NODEFAULT}
        return {*fields[:head], *late}
    if dataclasses.is_dataclass(cls):
        missing = dataclasses.MISSING
        return {f.name for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing}
    # attrs is not imported here; its word for "no default" is known by its class.
    return {field.name for field in cls.__attrs_attrs__ if type(field.default).__name__ == "_Nothing"}


def hide(cls: type, hidden: frozenset[str]) -> None:
    """Give a class a repr that leaves the hidden fields out, and the one that rich prints as well."""

    def pairs(self: object) -> Iterator[tuple[str, Any]]:
        return ((field, getattr(self, field)) for field in fields_of(type(self)) if field not in hidden)

    def hiding(self: object) -> str:
        return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in pairs(self))})"

    cls.__repr__ = hiding  # type: ignore[assignment, method-assign]
    cls.__rich_repr__ = pairs  # type: ignore[attr-defined]
    # A subclass that is a dataclass or attrs class gets a repr of its own, made of what is known of these fields.
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            field.repr = field.repr and field.name not in hidden
    elif attributes := getattr(cls, "__attrs_attrs__", None):
        told = (one.evolve(repr=False) if one.name in hidden else one for one in attributes)
        cls.__attrs_attrs__ = type(attributes)(told)  # type: ignore[attr-defined]
