"""A store at work in a service: writes go in, and what they changed goes out, in the order of the log.

What was committed and not published, because the process died in between or nobody could be reached, is published
later, from the log. This room must not know models or transports: publishing is a function that it is given.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import msgspec

from treaty import EncodingError, FrameTooLarge, TreatyError
from treaty.storage.commits import Commits
from treaty.storage.progress import Progress
from treaty.storage.records import BEAT, PAGE, Batch, Beat, Change
from treaty.storage.store import Store

#: Publishes data under a topic below the service's channel.
Publish: TypeAlias = Callable[[str, Any], None]
_LOG: Final = logging.getLogger("treaty.storage")


class Feed:
    """One store of a service, with the stream of its changes.

    Args:
        name: of the feed.
        store: is opened and closed here.
        models: the names of what it keeps.
        publish: sends to everybody who listens.
    """

    def __init__(self, name: str, store: Store, models: Iterable[str], publish: Publish) -> None:
        self.name = name
        self.store = store
        self.models = tuple(models)
        self._publish = publish
        self._commits = Commits(lambda batches: store.write(batches, reached=self._reached), self._announce)
        #: Held while something is published, so that the order of the log is the order on the way.
        self._publishing = threading.Lock()
        self._guard = threading.Lock()
        self._progress = Progress()
        self._busy = False
        self._failing = False
        self._sequence_before = 0

    def __repr__(self) -> str:
        return f"<Feed {self.name}>"

    def commit(self, batch: Batch) -> tuple[Change, ...]:
        """Write a batch, publish what it changed, and return that.

        Raises:
            StorageError: it was not done.
        """
        return self._commits.commit(batch)

    def begin(self) -> None:
        """Publish what an earlier life of the service has left unpublished, then say where the feed stands."""
        self._sequence_before = self.store.standing().sequence
        self.beat()

    def beat(self) -> None:
        """To be called every now and then: publish what was left behind, and say where the feed stands if it is idle.

        A change is left behind when it was there at the last call and nobody says yet that it is published: the
        worker that made it has died, or could not publish it.
        """
        try:
            standing = self.store.note_published(self._reached) if self._has_news() else self.store.standing()
            with self._guard:
                self._progress.settle(standing.published)
            if standing.published < self._sequence_before:
                self._publish_again(standing.published, self._sequence_before)
            self._sequence_before = standing.sequence
            if not self._busy:
                beat = Beat(feed=self.name, epoch=standing.epoch, sequence=standing.sequence)
                self._publish(BEAT, msgspec.to_builtins(beat))
            self._busy = False
        except TreatyError as error:
            self._failed(error)
        else:
            self._failing = False

    def _has_news(self) -> bool:
        with self._guard:
            return self._progress.pending

    def _reached(self, published: int) -> int:
        with self._guard:
            # What the store was told in a transaction that was rolled back, it will be told again.
            self._progress.settle(published)
            return self._progress.reached_from(published)

    def _announce(self, changes: list[Change]) -> None:
        """Publish changes that were just committed. Never raises: they are saved, and nothing can alter that."""
        if not changes:
            return
        try:
            with self._publishing:
                for change in changes:
                    self._publish_one(change)
        except TreatyError as error:
            self._failed(error)
        except Exception:
            _LOG.exception("%s: changes could not be published", self.name)

    def _publish_again(self, after: int, last: int) -> None:
        while after < last:
            page = self.store.changes_after(after, limit=min(PAGE, last - after))
            first = page.changes[0].sequence if page.changes else last + 1
            if first > after + 1:
                with self._guard:
                    self._progress.note_all(first - 1)  # pruned: whoever lacks them reads everything anew
            if not page.changes:
                return
            with self._publishing:
                for change in page.changes:
                    self._publish_one(change)
            after = page.changes[-1].sequence

    def _publish_one(self, change: Change) -> None:
        self._busy = True
        data = {"feed": self.name, **msgspec.structs.asdict(change)}
        try:
            self._publish(f"{change.model}.{change.event.value}", data)
        except (FrameTooLarge, EncodingError) as error:
            # Whoever listens sees that it is missing, and reads it from the log.
            _LOG.warning("%s: change %d cannot be published: %s", self.name, change.sequence, error)
        with self._guard:
            self._progress.note(change.sequence)

    def _failed(self, error: TreatyError) -> None:
        if not self._failing:
            _LOG.warning("%s: changes are not published, and will be later: %s", self.name, error)
        self._failing = True
