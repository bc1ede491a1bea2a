"""What the fault run keeps, and the record that its subscribers make of what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from treaty.storage import model

#: What hosts are created with, and what no later save may erase.
PASSWORD: Final = "kept where nobody is told"


@model(key="name", hidden=["password"], version="revision")
class Host(msgspec.Struct, kw_only=True):
    """Saved over a version, with a secret."""

    name: str
    value: str
    filler: str = ""
    password: str | msgspec.UnsetType = msgspec.UNSET
    revision: int = 0


@model(key="name")
@dataclass(frozen=True)
class Cluster:
    """Saved over whatever is there."""

    name: str
    value: str


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told"):
    """A callback was called."""

    #: Of which registration: of this model, or ``"any"``.
    registration: str
    event: str
    model: str
    key: str
    epoch: str
    sequence: int
    source: str
    value: str


class GapTold(msgspec.Struct, frozen=True, array_like=True, tag="gap"):
    """A gap was reported."""

    registration: str
    missed: int
    resync: bool
    reason: str


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a writer says must be in the store: the value and the password of each object, by model and key."""

    objects: list[tuple[str, str, str, str]]
    #: What went wrong with it.
    troubles: list[str]
    #: How many requests had to be repeated.
    repeated: int


_LINE: Final[msgspec.json.Decoder[Told | GapTold]] = msgspec.json.Decoder(Told | GapTold)


def read_record(path: Path) -> list[Told | GapTold]:
    """Read what a subscriber has recorded; it may have been killed in the middle of a line."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [_LINE.decode(line) for line in lines]
