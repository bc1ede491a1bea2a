"""Values that a stranger puts into a message, as JSON: parameters, a result, an error's fields, the data of an event.

This room must not know the shapes of messages. What the other end could not read is refused here, where the one who
gave it can be told.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec
from msgspec import Raw

from treaty.errors import EncodingError

#: They hold nothing else, and the encoder writes them as they are or refuses them.
_ATOMS: Final = frozenset({type(None), bool, int, str})

_ENCODER: Final = msgspec.json.Encoder()
#: What stands in a text where a number may have been lost, or a Raw in a list; nobody else writes blanks.
_NUMBERS: Final = (b"null", b'"nan"', b'inf"')
_EMPTY: Final = (b"[]", b"[ ", b"[\t", b"[\n", b"[\r")
#: Reads over a text and makes no objects of it: for records, a fifth of what reading it takes.
_SKIM: Final = msgspec.json.Decoder(Raw)
_READER: Final = msgspec.json.Decoder()


def write(value: Any) -> bytes:
    """Write a value as JSON.

    Raises:
        EncodingError: there is something in it that JSON cannot carry.
    """
    try:
        text = _ENCODER.encode(value)
        if not _is_flat(value):
            _check_whole(value, text)
        if not text.isascii():
            text.decode()
    except EncodingError:
        raise
    except RecursionError:
        raise EncodingError("nested too deeply, or a value that contains itself") from None
    except Exception as error:
        # Any: the value's own methods run here, such as the utcoffset of a time zone.
        raise EncodingError(f"cannot be written as JSON: {error}") from error
    return text


def _check_whole(value: Any, text: bytes) -> None:
    """Refuse what the encoder would lose without a word: NaN and the infinities, which it writes as null, or as text
    where they are keys; a Raw that holds nothing, which only a list of its own does not mind; and one of two like keys.
    """
    if any(mark in text for mark in _NUMBERS):
        if _lost_number(msgspec.to_builtins(value, enc_hook=_read)):
            raise EncodingError("NaN and the infinities have no place in JSON")
    elif any(mark in text for mark in _EMPTY):
        msgspec.to_builtins(value, enc_hook=_read)
    clash = _clash_in(text)
    if clash is not None:
        raise EncodingError(f"two keys of a dict are the same text in JSON, so that one would be lost: {clash!r}")


def kept(params: Any) -> Any:
    """Return parameters that nobody can alter any more; what are none are returned as they are.

    Raises:
        EncodingError: there is something in them that JSON cannot carry.
    """
    if not isinstance(params, dict | list):
        return params
    return msgspec.json.decode(write(params), type=dict[str, Raw] if isinstance(params, dict) else list[Raw])


def part(value: Any) -> Any:
    """Return what stands for a value in a message: the value itself, or its JSON, out of which no ``Raw`` can break.

    Raises:
        EncodingError: there is something in it that JSON cannot carry.
    """
    if type(value) in _ATOMS or (type(value) is float and math.isfinite(value)):
        return value
    return Raw(write(value))


def repeated(members: list[tuple[str, Any]]) -> str | None:
    """Return the name that stands twice among the members of an object, if there is one."""
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            return name
        seen.add(name)
    return None


def _read(value: Any) -> Any:
    if not isinstance(value, Raw):
        raise NotImplementedError
    if not bytes(value).strip():
        raise EncodingError("a Raw that holds nothing is no JSON")
    return None


def _is_flat(value: Any) -> bool:
    """Whether it holds no ``Raw``, and no keys that could be the same text: so it is with most parameters."""
    return type(value) in _ATOMS or (
        type(value) is dict and all(type(key) is str and type(one) in _ATOMS for key, one in value.items())
    )


def _clash_in(text: bytes) -> str | None:
    """Return the key that is there twice in one object, if there is one.

    Raises:
        MsgspecError: this is no JSON. A ``Raw`` is copied as it stands, whatever it holds.
    """
    try:
        if len(_ENCODER.encode(_READER.decode(text))) == len(text):
            return None
    except msgspec.MsgspecError:
        _SKIM.decode(text)  # JSON it is, if only a number of it is more than Python holds
    twice: list[str] = []

    def look(members: list[tuple[str, Any]]) -> None:
        if (name := repeated(members)) is not None:
            twice.append(name)

    json.loads(text, object_pairs_hook=look)
    return twice[0] if twice else None


def _lost_number(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_lost_number, value)) or any(map(_lost_number, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_lost_number, value))
