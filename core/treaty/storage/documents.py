"""What a document may hold: what JSON gives back as it was given, to a certain depth.

This room must not know models, stores or the wire. It names the field at the top where something is wrong, and never
repeats a value: that may be hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from treaty.storage.records import Document

#: How deeply an object may be nested: a change in a list of changes must fit into a message as well.
MAX_DEPTH: Final = 48
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Document).decode


class Flaw(NamedTuple):
    """What keeps a document from being stored: in which field, ``""`` if that cannot be said, and why."""

    field: str
    reason: str


def flaw_in(document: Document) -> Flaw | None:
    """Return the first thing in a document that would be lost or refused on the way, or ``None``."""
    try:
        encoded = _encode(document)
    except UnicodeEncodeError:
        return Flaw(_first(document, _has_surrogate), "text with lone surrogates is no Unicode")
    except ValueError as error:  # a whole number of more digits than Python writes
        return Flaw(_first(document, _cannot_be_written), str(error))
    except RecursionError:
        return Flaw("", f"nested deeper than {MAX_DEPTH} levels")
    # msgspec writes NaN and the infinities as null: the value would be lost without a word.
    if b"null" in encoded and (field := _first(document, _has_lost_number)):
        return Flaw(field, "NaN and the infinities have no place in JSON")
    if encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH and _is_deeper(document, MAX_DEPTH):
        field = _first(document, lambda value: _is_deeper(value, MAX_DEPTH - 1))
        return Flaw(field, f"nested deeper than {MAX_DEPTH} levels")
    return None


def as_stored(document: Document) -> Document:
    """Return a document as it is when it comes back from a store: sets and tuples are lists, keys are text."""
    return _decode(_encode(document))


def _first(document: Document, is_wrong: Callable[[Any], bool]) -> str:
    return next((name for name, value in document.items() if is_wrong(value)), "")


def _cannot_be_written(value: object) -> bool:
    try:
        _encode(value)
    except ValueError:
        return True
    return False


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list | tuple | set | frozenset) else ()


def _has_surrogate(value: object) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    return any(map(_has_surrogate, _inside(value)))


def _has_lost_number(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return any(map(_has_lost_number, _inside(value)))


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list | tuple):
        return False
    return levels < 0 or any(_is_deeper(inner, levels - 1) for inner in _inside(value))


def parts_of(value: object) -> Iterable[object]:
    """Return what a value of a field is made of: keys, values, items, fields."""
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _inside(value)
    kind = type(value)
    names: Iterable[str] = getattr(kind, "__struct_fields__", ()) or getattr(kind, "__dataclass_fields__", ())
    parts = [getattr(value, name, None) for name in names]
    return [*parts, *(getattr(value, field.name, None) for field in getattr(kind, "__attrs_attrs__", ()))]


def clash_in(value: object) -> str | None:
    """Return the text that two keys of one dict in a value become in JSON, such as 1 and "1": one would be lost."""
    if value is None or isinstance(value, str | int | float | bytes):
        return None
    if isinstance(value, dict) and any(type(key) is not str for key in value):
        seen: set[str] = set()
        for key in value:
            (text,) = msgspec.to_builtins({key: None}, str_keys=True)
            if text in seen:
                return str(text)
            seen.add(text)
    return next((clash for part in parts_of(value) if (clash := clash_in(part)) is not None), None)
