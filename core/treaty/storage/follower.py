"""The subscriber's side of a feed: what is news, what is missing, and what must be read to know everything.

A pure state machine: notices, pages and the present go in; what to tell the callbacks, and what to ask the service,
comes out. This room must not know threads, clocks, transports or models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct, structs

from treaty.storage.records import Beat, Change, Entry, Event, Gap, Identity, Notice, Page, Position, Source

#: How many changes are held while an earlier one is missing; what comes then is read from the log.
_HELD: Final = 1_000
#: Seconds that a missing change may take on another way before it is read: several workers may publish.
GRACE: Final = 0.05
#: Seconds before something that could not be read is tried again; doubled each time.
_RETRY: Final = 0.1
_LONGEST_RETRY: Final = 2.0

#: What a callback is told.
News: TypeAlias = Notice | Gap


class ReadLog(Struct, frozen=True, kw_only=True):
    """Ask the service for the changes since a position, and hand the answer to :meth:`Follower.page`."""

    since: Position


class ReadAll(Struct, frozen=True, kw_only=True):
    """Ask the service where the feed stands (:meth:`Follower.listing`), then for everything in it
    (:meth:`Follower.listed`), then once more where it stands (:meth:`Follower.listing_over`).
    """


class Follower:
    """Follows one feed, from a position or from a full list on.

    It stands at a position, and everything up to there was told, once and in order. A change right behind it is told
    and moves it on. Whatever else it hears only shows that there is more; then it reads.

    Args:
        feed: its name.
        models: the names of the models that matter; ``None`` for all.
        patience: seconds without a sign of life after which it looks by itself.
        now: the present, in seconds by a steady clock, as everywhere here.
    """

    def __init__(self, feed: str, *, models: frozenset[str] | None, patience: float, now: float) -> None:
        self.feed = feed
        self.position: Position | None = None
        #: How often each thing happened, by name.
        self.counters: Counter[str] = Counter()
        self._models = models
        self._patience = patience
        self._heard_at = now
        self._held: dict[int, Notice] = {}
        #: When the log is to be read, because something is missing; ``None`` while nothing seems to be.
        self._read_at: float | None = None
        #: Whether only the service can say what is missing: a beat, or another epoch, has shown that something may be.
        self._doubts = False
        #: Whether the log is being read already, so that what comes out of it is no new gap.
        self._healing = False
        self._retry_at = 0.0
        self._retry = _RETRY
        #: Epochs that are over.
        self._passed: list[str] = []
        # For comparing with a full list: the version of each object that was told of.
        self._known: dict[Identity, int] = {}
        #: Why everything is to be read; empty while it is not.
        self._resync = ""
        self._listing = False
        #: Whether what was told before is unknown here, so that it cannot be compared.
        self._resumed = False
        self._unlisted: set[Identity] = set()
        #: Up to which sequence changes may be in the list already.
        self._overlap = 0

    def begin(self, position: Position) -> None:
        """Follow what happens after a position."""
        self.position = position

    def resume(self, position: Position, now: float) -> None:
        """Go on behind a position at which another follower was :attr:`settled`: what happened since is read first."""
        self.position = position
        self._doubts = True
        self._read_at = now
        self._resumed = True

    @property
    def settled(self) -> Position | None:
        """The position, if whoever resumes there is told everything else and nothing twice; ``None`` while it is not."""
        here = self.position
        return here if here is not None and self.is_settled_at(here.sequence) else None

    def is_settled_at(self, sequence: int) -> bool:
        """Whether that holds of an earlier change, which was told."""
        return not self._resync and not self._listing and sequence >= self._overlap

    def begin_with_all(self) -> None:
        """Tell of everything that is there as if it were created now, then follow."""
        self._resync = "begin"

    # What comes from the service by itself

    def heard(self, notice: Notice, now: float) -> list[Notice]:
        """Take a notice. Return what to tell, in order."""
        self._heard_at = now
        here = self.position
        if here is None or self._resync:
            return []  # the list will tell
        if notice.epoch != here.epoch:
            if notice.epoch not in self._passed or notice.sequence > here.sequence:
                self._hold(notice)
                self._doubts = True
                self._suspect(now)
            return []
        if notice.sequence <= here.sequence:
            self.counters["repeated"] += 1
            return []
        if notice.sequence > here.sequence + 1:
            self._hold(notice)
            self._suspect(now + GRACE)
            return []
        told = [*self._tell(notice), *self._release()]
        if not self._held and not self._doubts:
            self._read_at = None
        return told

    def beat(self, beat: Beat, now: float) -> None:
        """Take a beat."""
        self._heard_at = now
        here = self.position
        if here is None or self._resync:
            return
        if beat.epoch != here.epoch:
            if beat.epoch not in self._passed:
                self._doubts = True
                self._suspect(now)
        elif beat.sequence != here.sequence:
            # Behind: what is missing may be on its way. Ahead: the log was cut back, or the beat is an old one.
            self._doubts = True
            self._suspect(now + GRACE)

    def _hold(self, notice: Notice) -> None:
        if len(self._held) < _HELD:
            self._held[notice.sequence] = notice

    def _suspect(self, at: float) -> None:
        self._read_at = at if self._read_at is None else min(self._read_at, at)

    # What to ask the service

    def need(self, now: float) -> ReadLog | ReadAll | None:
        """Return what to ask now, if anything."""
        if now < self.due(now):
            return None
        if self._resync or self.position is None:
            return ReadAll()
        return ReadLog(since=self.position)

    def due(self, now: float) -> float:
        """Return when :meth:`need` has to be asked again, if nothing is heard until then."""
        if self._resync or self.position is None:
            return max(now, self._retry_at)
        at = self._heard_at + self._patience
        if self._read_at is not None:
            at = min(at, self._read_at)
        return max(at, self._retry_at)

    def failed(self, now: float) -> None:
        """The service could not be asked: try again later."""
        self.counters["failed reads"] += 1
        self._retry_at = now + self._retry
        self._retry = min(2 * self._retry, _LONGEST_RETRY)

    def page(self, page: Page, now: float) -> list[News]:
        """Take the answer to a :class:`ReadLog`. Return what to tell, in order."""
        here = self.position
        assert here is not None
        self._succeeded(now)
        changes = [change for change in page.changes if change.sequence > here.sequence]
        if page.lost is not None or (changes and changes[0].sequence != here.sequence + 1):
            self._resync = page.lost or "history"
            return []
        told: list[News] = []
        # What was heard, and only could not be told yet, was not missed.
        missed = [change for change in changes if not self._is_held(change)]
        if missed and not self._healing:
            self.counters["gaps"] += 1
            until = Position(epoch=page.epoch, sequence=page.head)
            told.append(Gap(feed=self.feed, since=here, until=until, resync=False, reason="missed"))
        self._healing = page.more and (self._healing or bool(missed))
        for change in changes:
            told += self._tell(self._held[change.sequence] if self._is_held(change) else self._notice(change, "log"))
        if page.more:
            self._read_at = now
            return told
        self._read_at = None
        self._doubts = False
        self._enter(page.epoch)
        told += self._release()
        # The page is younger than all that was heard: what is of another epoch now is of a history that is gone.
        self._held = {number: one for number, one in self._held.items() if one.epoch == page.epoch}
        if self._held:
            self._read_at = now + GRACE
        return told

    # Comparing with everything that is there

    def listing(self, position: Position, now: float) -> list[News]:
        """A full list is about to be read, beginning at this position. Return what to tell."""
        told: list[News] = []
        if self._resync not in ("begin", "") and not self._listing:
            self.counters["resyncs"] += 1
            told.append(
                Gap(
                    feed=self.feed,
                    since=self.position,
                    until=position,
                    resync=True,
                    reason=self._resync,
                    forget=self._resumed,
                )
            )
            self._resumed = False
        if self._resync == "history":
            # Versions of another log say nothing here, be they equal or not.
            self._known = dict.fromkeys(self._known, 0)
            self._resync = "pruned"
        self._listing = True
        self._heard_at = now
        self.position = position
        self._held.clear()
        self._unlisted = set(self._known)
        return told

    def listed(self, entries: Iterable[Entry]) -> list[Notice]:
        """Take a part of the list. Return what to tell."""
        assert self.position is not None
        told = []
        for entry in entries:
            identity = (entry.model, entry.key)
            self._unlisted.discard(identity)
            if self._known.get(identity) == entry.version:
                continue
            event = Event.UPDATED if identity in self._known else Event.CREATED
            self._known[identity] = entry.version
            told.append(self._of_list(event, identity, entry.version, entry.data))
        return told

    def listing_over(self, head: int, now: float) -> list[Notice]:
        """The list was read, and the feed stands at ``head`` by now. Return what to tell."""
        assert self.position is not None
        gone = sorted(self._unlisted)
        told = [self._of_list(Event.DELETED, identity, self.position.sequence, None) for identity in gone]
        for identity in gone:
            del self._known[identity]
        self._unlisted.clear()
        self._overlap = max(head, self.position.sequence)
        self._resync = ""
        self._listing = False
        self._healing = True  # what happened while it was read is no gap
        self._succeeded(now)
        self._read_at = now
        return told

    # Inside

    def _succeeded(self, now: float) -> None:
        self._heard_at = now
        self._retry_at = 0.0
        self._retry = _RETRY

    def _is_held(self, change: Change) -> bool:
        held = self._held.get(change.sequence)
        return held is not None and held.epoch == change.epoch

    def _enter(self, epoch: str) -> None:
        assert self.position is not None
        if epoch == self.position.epoch:
            return
        self._passed = [*self._passed[-15:], self.position.epoch]
        self.position = Position(epoch=epoch, sequence=self.position.sequence)

    def _release(self) -> list[Notice]:
        """Tell what was held and has its turn now; let go of what was told already."""
        told: list[Notice] = []
        assert self.position is not None
        while (held := self._held.get(self.position.sequence + 1)) is not None and held.epoch == self.position.epoch:
            told += self._tell(held)
        sequence = self.position.sequence
        if self._held:
            self._held = {number: one for number, one in self._held.items() if number > sequence}
        return told

    def _tell(self, notice: Notice) -> list[Notice]:
        assert self.position is not None
        self._enter(notice.epoch)
        self.position = notice.position
        if self._models is not None and notice.model not in self._models:
            return []
        identity = (notice.model, notice.key)
        known = self._known.get(identity)
        if notice.sequence <= self._overlap and self._in_list(notice, known):
            return []
        if notice.event is Event.DELETED:
            self._known.pop(identity, None)
        else:
            self._known[identity] = notice.sequence
        return [notice]

    @staticmethod
    def _in_list(notice: Notice, known: int | None) -> bool:
        if notice.event is Event.DELETED:
            return known is None or known > notice.sequence
        return known is not None and known >= notice.sequence

    def _notice(self, change: Change, source: Source) -> Notice:
        return Notice(**structs.asdict(change), feed=self.feed, source=source)

    def _of_list(self, event: Event, identity: Identity, sequence: int, data: Mapping[str, object] | None) -> Notice:
        assert self.position is not None
        return Notice(
            feed=self.feed,
            source="snapshot",
            epoch=self.position.epoch,
            sequence=sequence,
            event=event,
            model=identity[0],
            key=identity[1],
            data=None if data is None else dict(data),
        )
