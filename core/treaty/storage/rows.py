"""Rows of a store in SQL to records and back, with the documents as JSON text.

What is in a row may be anything: whoever has access to the database may have altered it. So it is checked, and what
cannot be read is named. This room must not know tables, connections or SQLAlchemy.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from treaty.storage.errors import Unreadable
from treaty.storage.records import Change, Document, Entry, Event

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Document).decode


def entry_of(model: str, row: Any) -> Entry:
    """Return the object of a row: its key, its version and its data.

    Raises:
        Unreadable: it is damaged.
    """
    key, version, data = row
    _check_names(model, key)
    document = _read(data, model, key)
    if not isinstance(version, int) or version < 1:
        raise Unreadable(model, key, "its version is no whole number from 1 on")
    return Entry(model=model, key=key, version=version, data=document)


def change_of(row: Any) -> Change:
    """Return the change of a row of the log.

    Raises:
        Unreadable: it is damaged.
    """
    where = f"change {row.sequence} in the log: "
    _check_names(row.model, row.key, where)
    if not all(isinstance(one, int) for one in (row.sequence, row.at)) or not isinstance(row.epoch, str):
        raise Unreadable(row.model, row.key, f"{where}its sequence, time or epoch makes no sense")
    document = _read(row.data, row.model, row.key, where)
    try:
        event = Event(row.event)
    except ValueError:
        raise Unreadable(row.model, row.key, f"{where}its event is unknown") from None
    return Change(
        epoch=row.epoch, sequence=row.sequence, event=event, model=row.model, key=row.key, data=document, at=row.at
    )


def row_of(change: Change) -> dict[str, Any]:
    """Return the row of the log for a change."""
    return {
        "sequence": change.sequence,
        "epoch": change.epoch,
        "event": change.event.value,
        "model": change.model,
        "key": change.key,
        "data": text_of(change.data),
        "at": change.at,
    }


def text_of(document: Document | None) -> str:
    """Return a document as JSON."""
    return _encode(document).decode()


def _check_names(model: Any, key: Any, where: str = "") -> None:
    for value in (model, key):
        if not isinstance(value, str) or _is_broken(value):
            raise Unreadable(_shown(model), _shown(key), f"{where}its model or key is no text")


def _is_broken(text: str) -> bool:
    return any("\ud800" <= one <= "\udfff" for one in text)


def _shown(value: Any) -> str:
    """Return something that can be sent, for a name that cannot."""
    return value if isinstance(value, str) and not _is_broken(value) else ascii(value)


def _read(data: Any, model: str, key: str, where: str = "") -> Document:
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        reason = str(error)
    except (TypeError, UnicodeError):
        reason = "this is no text"
    # Outside of the handlers: what is stored stays out of the context as well.
    raise Unreadable(model, key, f"{where}{reason}")
