"""A registration at work: one thread that listens, reads what is missing, and tells the callback.

What is missing is decided in ``follower``; here are the thread, the clock and the calls. It must not know how to put
what comes into a loop.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from treaty import Client, ClosedError, Pending, Resource, TreatyError
from treaty.storage import asks
from treaty.storage.asks import Ask, Feeds, FeedState
from treaty.storage.errors import StorageError, UnknownModel, ValidationFailed
from treaty.storage.follower import Follower, News, ReadAll, ReadLog
from treaty.storage.models import Model
from treaty.storage.records import Entry, Event, Gap, Notice, Position
from treaty.storage.tap import Box, Tap

#: Is told what happened, to which instance, and the notice with all that is known of it.
Callback: TypeAlias = Callable[[str, Any, Notice], object]
OnGap: TypeAlias = Callable[[Gap], object]
#: Seconds that one look at the service may take; a question that was lost on the way is asked anew after that.
_LOOK: Final = 5.0
#: After how many missing beats a feed is looked at.
_LIVENESS: Final = 3
_LOG: Final = logging.getLogger("treaty.storage")
_T = TypeVar("_T")


class Watch(Resource):
    """Tells a callback what happens to the objects of one model, or of all. Made by ``StorageClient``; close it to
    unregister: no callback begins after ``close`` has returned.

    A callback that raises keeps its registration; the exception is logged.
    """

    def __init__(
        self,
        client: Client,
        tap: Tap,
        service: str,
        *,
        callback: Callback,
        model: Model[Any] | None,
        event: Event,
        models: Mapping[str, Model[Any]],
        snapshot: bool,
        since: Mapping[str, Position] | None,
        on_gap: OnGap | None,
    ) -> None:
        super().__init__()
        self._client = client
        self._tap = tap
        self._service = service
        self._callback = callback
        self._model = model
        self._event = event
        self._models = models
        self._on_gap = on_gap
        self._complained = ""
        self._pending: Pending | None = None
        self._followers: dict[str, Follower] = {}
        self._positions: dict[str, Position] = {}
        self._interest = None if model is None else frozenset([model.name])
        self._box: Box = tap.open()
        try:
            self._feeds: Feeds = self._ask(asks.feeds())
            self._begin(snapshot=snapshot, since=since)
        except BaseException:
            tap.close(self._box)
            raise
        self._thread = threading.Thread(target=self._work, name=f"treaty-storage-watch-{service}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        about = self._model.name if self._model else "#"
        return f"<Watch {self._service}.{about}.{self._event.value} {'closed' if self._closed else 'open'}>"

    @property
    def counters(self) -> dict[str, int]:
        """How often each thing happened: gaps, resyncs, repeated notices, failed reads, overflows of the box."""
        total = Counter({"overflowed": self._box.overflowed})
        for follower in list(self._followers.values()):
            total.update(follower.counters)
        return dict(+total)

    @property
    def positions(self) -> dict[str, Position]:
        """How far the callback was told, by feed: what another registration can be given as ``since``.

        It moves on when a callback has returned. A feed is missing while all that is in it is read.
        """
        return dict(self._positions)

    def close(self) -> None:
        """Unregister. Idempotent; from the callback as well."""
        self._closed = True
        if self.foreign:
            return
        self._tap.close(self._box)
        self._box.wake()
        pending = self._pending
        if pending is not None:
            pending.cancel()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _begin(self, *, snapshot: bool, since: Mapping[str, Position] | None) -> None:
        now = time.monotonic()
        known = {name for feed in self._feeds.feeds for name in feed.models}
        if self._model is not None and self._model.name not in known:
            raise UnknownModel(self._model.name, sorted(known))
        for feed in self._feeds.feeds:
            if self._model is None or self._model.name in feed.models:
                follower = self._follow(feed.feed, now)
                if since is not None and feed.feed in since:
                    follower.resume(since[feed.feed], now)
                elif snapshot or since is not None:
                    follower.begin_with_all()
                else:
                    follower.begin(feed.position)
                self._note(follower)

    def _follow(self, feed: str, now: float) -> Follower:
        patience = _LIVENESS * self._feeds.beat
        follower = Follower(feed, models=self._interest, patience=patience, now=now)
        self._followers[feed] = follower
        return follower

    # The thread

    def _work(self) -> None:
        while not self._closed:
            for follower in list(self._followers.values()):
                need = follower.need(time.monotonic())
                if need is not None and not self._closed:
                    self._satisfy(follower, need)
            now = time.monotonic()
            due = min((follower.due(now) for follower in self._followers.values()), default=now + 1)
            if due > now:
                self._listen(due - now)

    def _listen(self, timeout: float) -> None:
        news = self._box.get(timeout)
        if news is None:
            return
        follower = self._followers.get(news.feed)
        if follower is None:
            if self._model is not None:
                return
            # The service has a store more than before: all that is in it is new here.
            follower = self._follow(news.feed, time.monotonic())
            follower.begin_with_all()
        if isinstance(news, Notice):
            self._tell_all(follower, follower.heard(news, time.monotonic()))
        else:
            follower.beat(news, time.monotonic())

    def _satisfy(self, follower: Follower, need: ReadLog | ReadAll) -> None:
        try:
            if isinstance(need, ReadLog):
                page = self._ask(asks.changes_since(follower.feed, need.since))
                self._tell_all(follower, follower.page(page, time.monotonic()))
            else:
                self._read_all(follower)
        except ClosedError:
            self._closed = True
        except TreatyError as error:
            if not self._closed:
                follower.failed(time.monotonic())
                self._tell_failure(follower.feed, error)
        else:
            self._complained = ""

    def _read_all(self, follower: Follower) -> None:
        feed = self._state_of(follower.feed)
        self._tell_all(follower, follower.listing(feed.position, time.monotonic()))
        for model in feed.models:
            if self._interest is None or model in self._interest:
                after: str | None = ""
                while after is not None:
                    part: asks.Part[Entry] = self._ask(asks.part_of_entries(model, after))
                    self._tell_all(follower, follower.listed(part.found))
                    after = part.after
        head = self._state_of(follower.feed).sequence
        self._tell_all(follower, follower.listing_over(head, time.monotonic()))

    def _state_of(self, name: str) -> FeedState:
        for feed in self._ask(asks.feeds()).feeds:
            if feed.feed == name:
                return feed
        raise ValidationFailed("", "feed", f"the service has no feed {name!r} any more")

    def _ask(self, ask: Ask[_T]) -> _T:
        timeout = min(_LOOK, self._client.timeout)
        self._pending = pending = self._client.send(f"{self._service}.{ask.method}", ask.params, timeout=timeout)
        if self._closed:
            pending.cancel()
        try:
            return ask.read(pending.result())
        finally:
            self._pending = None

    # Telling

    def _tell_all(self, follower: Follower, told: Sequence[News]) -> None:
        for news in told:
            if self._closed:
                return
            if isinstance(news, Gap):
                self._tell_gap(news)
                continue
            if self._event in (Event.ANY, news.event):
                self._tell(news)
            if news.source != "snapshot" and follower.is_settled_at(news.sequence):
                self._positions[follower.feed] = news.position
        self._note(follower)

    def _note(self, follower: Follower) -> None:
        """Remember where somebody else could go on."""
        if follower.settled is not None:
            self._positions[follower.feed] = follower.settled
        else:
            self._positions.pop(follower.feed, None)

    def _tell(self, notice: Notice) -> None:
        # The other registrations are told by the same notice, and what a callback does to its own is not their business.
        notice = msgspec.structs.replace(notice, data=msgspec.to_builtins(notice.data))
        instance = self._instance(notice)
        try:
            _refuse_coroutine(self._callback(notice.event, instance, notice))
        except BaseException:  # sys.exit() in a callback is not the end of this thread either
            _LOG.exception("%s %r: the callback failed; it stays registered", notice.model, notice.key)

    def _tell_failure(self, feed: str, error: TreatyError) -> None:
        # What the store itself complains of does not mend itself, as a service that is not there does: say so, once.
        text = str(error)
        level = logging.WARNING if isinstance(error, StorageError) and text != self._complained else logging.INFO
        self._complained = text
        _LOG.log(level, "%s: the feed %s cannot be read now: %s", self._service, feed, text)

    def _tell_gap(self, gap: Gap) -> None:
        what = (
            f"everything is read anew ({gap.reason})" if gap.resync else f"{gap.missed} changes are read from the log"
        )
        _LOG.warning("%s: feed %s: a gap after %s: %s", self._service, gap.feed, _spell(gap), what)
        if self._on_gap is not None:
            try:
                _refuse_coroutine(self._on_gap(gap))
            except BaseException:
                _LOG.exception("%s: on_gap failed; it stays registered", self._service)

    def _instance(self, notice: Notice) -> Any:
        """Return the object as an instance, or as plain values where the model is unknown here."""
        model = self._model or self._models.get(notice.model)
        if model is None or notice.data is None:
            return notice.data
        try:
            return model.read(notice.data, notice.version)
        except ValidationFailed as error:
            _LOG.warning("%s %r does not fit its class here: %s", notice.model, notice.key, error)
            return notice.data


def _refuse_coroutine(returned: object) -> None:
    if inspect.iscoroutine(returned):
        returned.close()
        raise TypeError("a callback returned a coroutine, which nobody awaits: write 'async for' over notifications")


def _spell(gap: Gap) -> str:
    return "the beginning" if gap.since is None else str(gap.since.sequence)
