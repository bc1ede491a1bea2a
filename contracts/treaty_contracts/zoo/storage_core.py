"""Storage that is broken between the store and the callback: in the service, in the feed, or at the subscriber.

Each has one defect and no other. It must not know rules.
"""

# ruff: noqa: SLF001 - a core is broken from inside

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from treaty import Incoming, TreatyError
from treaty.storage import Event, Notice, StorageService, Watch, planning
from treaty.storage.feed import Feed
from treaty.storage.follower import Follower
from treaty.storage.models import Model
from treaty.storage.notifications import Notifications
from treaty.storage.records import PAGE, Beat, Write
from treaty_contracts.zoo.animals import broken_core
from treaty_contracts.zoo.patching import patched


@broken_core("forgets-versions", kills=("STORAGE-001",), shows="what save returns")
def forgets_versions() -> Iterator[None]:
    """What is read has no version."""
    before = Model.read

    def read(self: Model[Any], document: dict[str, Any], version: int) -> Any:  # noqa: ARG001 - that is the defect
        return before(self, document, 0)

    with patched(Model, "read", read):
        yield


@broken_core("saves-one-by-one", kills=("STORAGE-002",), shows="what is kept after")
def saves_one_by_one() -> Iterator[None]:
    """Many are saved one after the other."""
    before = StorageService._commit

    def commit(self: StorageService, model: str, items: Sequence[Any]) -> list[dict[str, Any]]:
        return [answer for item in items for answer in before(self, model, [item])]

    with patched(StorageService, "_commit", commit):
        yield


@broken_core("ignores-what-is-expected", kills=("STORAGE-003",), shows="what is refused as Conflict")
def ignores_what_is_expected() -> Iterator[None]:
    """An object is deleted whatever its version."""
    before = StorageService._delete

    def delete(self: StorageService, model: str, keys: Sequence[str | int], _: Any) -> list[dict[str, Any]]:
        return before(self, model, keys, None)

    with patched(StorageService, "_delete", delete):
        yield


@broken_core("tells-every-event", kills=("STORAGE-004",), shows="what is told of")
def tells_every_event() -> Iterator[None]:
    """A callback is told of all events, whichever it asked for."""
    before = Watch._tell_all

    def tell_all(self: Watch, follower: Follower, told: list[Any]) -> None:
        self._event = Event.ANY
        before(self, follower, told)

    with patched(Watch, "_tell_all", tell_all):
        yield


@broken_core("tells-twice", kills=("STORAGE-005",), shows="the sequences that are told")
def tells_twice() -> Iterator[None]:
    """Every tenth change is told twice."""
    before = Watch._tell

    def tell(self: Watch, notice: Notice) -> None:
        before(self, notice)
        if notice.sequence % 10 == 0:
            before(self, notice)

    with patched(Watch, "_tell", tell):
        yield


@broken_core("publishes-hidden-fields", kills=("STORAGE-006",), shows="no hidden field")
def publishes_hidden_fields() -> Iterator[None]:
    """What is deleted is published with its hidden fields."""
    before = planning._apply

    def apply(write: Write, *arguments: Any, **more: Any) -> Any:
        gone = write.data is None
        return before(Write(model=write.model, key=write.key, data=None, expected=write.expected) if gone else write,
                      *arguments, **more)  # fmt: skip

    with patched(planning, "_apply", apply):
        yield


@broken_core(
    "snapshots-show-hidden-fields", kills=("STORAGE-006",), shows="no hidden field in what a callback is given"
)
def snapshots_show_hidden_fields() -> Iterator[None]:
    """Whoever reads all objects at once, for a snapshot or a comparison, is given the hidden fields as well."""
    before = StorageService.on_list

    def on_list(
        self: StorageService,
        message: Incoming,
        model: str,
        after: str = "",
        limit: int = PAGE,
        visible: bool = False,  # noqa: ARG001 - that is the defect
    ) -> dict[str, Any]:
        return before(self, message, model, after, limit, visible=False)

    with patched(StorageService, "on_list", on_list):
        yield


@broken_core("callbacks-end-when-they-raise", kills=("STORAGE-007",), shows="is told")
def unregisters_on_raise() -> Iterator[None]:
    """A callback that raises is not called again."""
    before = Watch._tell

    def tell(self: Watch, notice: Notice) -> None:
        callback = self._callback

        def watched(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                self._closed = True
                raise

        self._callback = watched
        try:
            before(self, notice)
        finally:
            self._callback = callback

    with patched(Watch, "_tell", tell):
        yield


@broken_core("callbacks-wait-for-each-other", kills=("STORAGE-008",), shows="is told")
def callbacks_wait_for_each_other() -> Iterator[None]:
    """Callbacks are called one at a time, in all registrations."""
    before, one = Watch._tell, threading.Lock()

    def tell(self: Watch, notice: Notice) -> None:
        with one:
            before(self, notice)

    with patched(Watch, "_tell", tell):
        yield


@broken_core("goes-on-telling", kills=("STORAGE-009",), shows="the one that was closed is told nothing")
def goes_on_telling() -> Iterator[None]:
    """Closing a registration does nothing."""
    with patched(Watch, "close", lambda self: None):  # noqa: ARG005 - that is the defect
        yield


@broken_core("registers-without-asking", kills=("STORAGE-010",), shows="a registration with another secret")
def registers_without_asking() -> Iterator[None]:
    """A registration that is refused stays without a word."""
    before = Watch.__init__

    def init(self: Watch, *arguments: Any, **more: Any) -> None:
        try:
            before(self, *arguments, **more)
        except TreatyError:
            self._thread = threading.Thread()
            self._thread.start()

    with patched(Watch, "__init__", init):
        yield


@broken_core("passes-over-holes", kills=("STORAGE-011", "STORAGE-013"), shows="the sequences that are told")
def passes_over_holes() -> Iterator[None]:
    """A change that comes after a hole is told at once, and what was missed is not read."""
    before = Follower.heard

    def heard(self: Follower, notice: Notice, now: float) -> list[Notice]:
        here = self.position
        if here is not None and here.epoch == notice.epoch and notice.sequence > here.sequence + 1:
            return self._tell(notice)
        return before(self, notice, now)

    with patched(Follower, "heard", heard):
        yield


@broken_core("heals-silently", kills=("STORAGE-011",), shows="a gap is reported")
def heals_silently() -> Iterator[None]:
    """A gap is healed, and nobody is told that there was one."""
    with patched(Watch, "_tell_gap", lambda self, gap: None):  # noqa: ARG005 - that is the defect
        yield


@broken_core("is-deaf-to-beats", kills=("STORAGE-012",), shows="is told")
def is_deaf_to_beats() -> Iterator[None]:
    """A beat says that the service lives for the next hour, and nothing else."""

    def beat(self: Follower, beat: Beat, now: float) -> None:  # noqa: ARG001 - that is the defect
        # Not just now: on a busy machine the beats themselves are late, and silence is looked into as well.
        self._heard_at = now + 3600

    with patched(Follower, "beat", beat):
        yield


@broken_core("tells-as-it-comes", kills=("STORAGE-013",), shows="what is told, in order")
def tells_as_it_comes() -> Iterator[None]:
    """Of two changes that were exchanged on the way the later one is told first, and both are remembered."""
    before = Follower._release

    def release(self: Follower) -> list[Notice]:
        return before(self)[::-1]

    def heard(self: Follower, notice: Notice, now: float) -> list[Notice]:
        return whole(self, notice, now)[::-1]

    whole = Follower.heard
    with patched(Follower, "_release", release), patched(Follower, "heard", heard):
        yield


@broken_core("publishes-once", kills=("STORAGE-014",), shows="what could not be published is published later")
def publishes_once() -> Iterator[None]:
    """What could not be published is not tried again."""
    with patched(Feed, "_publish_again", lambda self, after, last: None):  # noqa: ARG005 - that is the defect
        yield


@broken_core("is-deaf-to-new-epochs", kills=("STORAGE-015",), shows="is told")
def is_deaf_to_new_epochs() -> Iterator[None]:
    """What is of another epoch than the first is ignored."""
    told, beats = Follower.heard, Follower.beat

    def stranger(self: Follower, epoch: str) -> bool:
        return self.position is not None and self.position.epoch != epoch

    def heard(self: Follower, notice: Notice, now: float) -> list[Notice]:
        self._heard_at = now
        return [] if stranger(self, notice.epoch) else told(self, notice, now)

    def beat(self: Follower, beat: Beat, now: float) -> None:
        self._heard_at = now
        if not stranger(self, beat.epoch):
            beats(self, beat, now)

    with patched(Follower, "heard", heard), patched(Follower, "beat", beat):
        yield


@broken_core("forgets-what-is-gone", kills=("STORAGE-016",), shows="what is known by what was heard")
def forgets_what_is_gone() -> Iterator[None]:
    """When everything is compared, what is there no more is not told."""
    before = Follower.listed

    def listed(self: Follower, entries: Iterable[Any]) -> list[Notice]:
        found = before(self, entries)
        self._unlisted.clear()
        return found

    over = Follower.listing_over

    def listing_over(self: Follower, head: int, now: float) -> list[Notice]:
        self._unlisted.clear()
        return over(self, head, now)

    with patched(Follower, "listed", listed), patched(Follower, "listing_over", listing_over):
        yield


@broken_core("the-iterator-drops", kills=("STORAGE-017",), shows="iterator tells")
def the_iterator_drops() -> Iterator[None]:
    """An iterator that is told an eighth change keeps it from whoever iterates."""
    before = Notifications._put

    def put(self: Notifications, event: str, instance: Any, message: Notice) -> None:
        if message.sequence % 8:
            before(self, event, instance, message)

    with patched(Notifications, "_put", put):
        yield


@broken_core("gives-up-when-cut", kills=("STORAGE-018",), shows="is told", hooked=True)
def gives_up_when_cut() -> Iterator[None]:
    """A registration whose first question is not answered asks no more."""
    before = Follower.failed

    def failed(self: Follower, now: float) -> None:
        before(self, now)
        self._retry_at = now + 10_000

    with patched(Follower, "failed", failed):
        yield
