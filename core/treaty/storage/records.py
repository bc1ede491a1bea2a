"""The records of storage: objects as stores keep them, changes as the log keeps them, places in the log.

This room must not know models, stores or threads. Documents are plain values, as JSON has them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

#: What is kept of an object: its fields by name, as plain values.
Document: TypeAlias = dict[str, Any]
#: An object's model and key.
Identity: TypeAlias = tuple[str, str]


class Event(StrEnum):
    """What happened to an object. ``ANY`` is for those who listen to everything."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    ANY = "any"


class Position(Struct, frozen=True, kw_only=True):
    """A place in a store's log: behind the change with this sequence, as it was made in this epoch.

    A new epoch begins whenever the store is opened, so that a log that was cut back, by a backup that was restored
    say, cannot pass for the one that somebody has read.
    """

    epoch: str
    sequence: int


class Standing(Struct, frozen=True, kw_only=True):
    """Where a store stands: its last change, and the last one that is known to be published with all before it."""

    epoch: str
    sequence: int
    published: int = 0

    @property
    def position(self) -> Position:
        """The end of the log."""
        return Position(epoch=self.epoch, sequence=self.sequence)


class Entry(Struct, frozen=True, kw_only=True):
    """An object in a store. Its version is the sequence of the change that made it so: it never comes back."""

    model: str
    key: str
    version: int
    data: Document

    def __repr__(self) -> str:
        return f"<Entry {self.model} {self.key!r} version {self.version}>"  # the data may hold secrets


class Write(Struct, frozen=True, kw_only=True):
    """What is to be done to one object.

    ``data`` is what it is to be, ``None`` to delete it. ``expected`` is the version that it must have, 0 for "not
    there", ``None`` for whatever it has. The fields in ``hidden`` never get into the log; those of them that ``data``
    lacks stay as they are.
    """

    model: str
    key: str
    data: Document | None
    hidden: tuple[str, ...] = ()
    expected: int | None = None

    def __repr__(self) -> str:
        return f"<Write {self.model} {self.key!r}{'' if self.data is not None else ' deleted'}>"


#: Done together or not at all.
Batch: TypeAlias = tuple[Write, ...]


class Change(Struct, frozen=True, kw_only=True):
    """A change in the log, written in the transaction that made it. ``data`` lacks the hidden fields."""

    epoch: str
    sequence: int
    event: Event
    model: str
    key: str
    #: The object after the change, or before it was deleted.
    data: Document | None
    #: When, in milliseconds since the Unix epoch by the service's clock.
    at: int = 0

    @property
    def version(self) -> int:
        """The version that the object has since."""
        return self.sequence

    @property
    def position(self) -> Position:
        """The place behind this change."""
        return Position(epoch=self.epoch, sequence=self.sequence)


#: How a subscriber came to know of a change: as it was made, read later, or by comparing the whole.
Source: TypeAlias = Literal["live", "log", "snapshot"]


class Notice(Change, frozen=True, kw_only=True):
    """A change as a subscriber hears of it: in which feed, and how it came to know."""

    feed: str
    source: Source = "live"


class Beat(Struct, frozen=True, kw_only=True):
    """Sent while nothing happens: where the feed stands."""

    feed: str
    epoch: str
    sequence: int


#: Why a subscriber cannot go on from where it is: the log does not reach back so far, or it is not the same log.
Lost: TypeAlias = Literal["pruned", "history"]


class Page(Struct, frozen=True, kw_only=True):
    """Changes since a position, in order. ``lost`` says why there are none, when only a full list can help."""

    epoch: str
    #: The last sequence in the log.
    head: int
    changes: tuple[Change, ...] = ()
    more: bool = False
    lost: Lost | None = None


class Gap(Struct, frozen=True, kw_only=True):
    """A subscriber missed something, and reads it now: ``missed`` changes, or everything where ``resync`` is set."""

    feed: str
    since: Position | None
    until: Position
    resync: bool
    reason: str
    #: Whether to forget what an earlier registration was told: all that is there comes as created, what is gone does not.
    forget: bool = False

    @property
    def missed(self) -> int:
        """How many changes; 0 when that cannot be known."""
        return 0 if self.resync or self.since is None else max(0, self.until.sequence - self.since.sequence)


#: How many changes or objects are read at once.
PAGE: Final = 500
#: The topic of a :class:`Beat`, below the channel.
BEAT: Final = "$beat"
