"""The subscriber's side of a feed: every change once, in order, whatever is lost, doubled, late or restored."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treaty.storage import Beat, Change, Entry, Event, Gap, Notice, Page, Position
from treaty.storage.follower import GRACE, Follower, ReadAll, ReadLog
from treaty.storage.lineage import Life, lost

PATIENCE = 3.0


def change(
    sequence: int, key: str = "a", event: Event = Event.UPDATED, epoch: str = "e0", model: str = "Host"
) -> Change:
    return Change(epoch=epoch, sequence=sequence, event=event, model=model, key=key, data={"n": sequence})


def notice(sequence: int, **more: Any) -> Notice:
    one = change(sequence, **more)
    return Notice(**{name: getattr(one, name) for name in one.__struct_fields__}, feed="main")


def at(sequence: int, epoch: str = "e0") -> Position:
    return Position(epoch=epoch, sequence=sequence)


def beat(sequence: int, epoch: str = "e0") -> Beat:
    return Beat(feed="main", epoch=epoch, sequence=sequence)


def following(sequence: int = 3, models: frozenset[str] | None = None) -> Follower:
    follower = Follower("main", models=models, patience=PATIENCE, now=0.0)
    follower.begin(at(sequence))
    return follower


def sequences(told: Any) -> list[int]:
    return [one.sequence for one in told if isinstance(one, Notice)]


def gaps(told: Any) -> list[Gap]:
    return [one for one in told if isinstance(one, Gap)]


def test_what_comes_in_order_is_told_at_once() -> None:
    follower = following()
    assert [sequences(follower.heard(notice(number), 0.0)) for number in (4, 5, 6)] == [[4], [5], [6]]
    assert follower.position == at(6)
    assert follower.need(0.0) is None and follower.due(0.0) == PATIENCE


def test_what_was_told_is_not_told_again() -> None:
    follower = following()
    assert not follower.heard(notice(3), 0.0) and not follower.heard(notice(1), 0.0)
    assert follower.counters["repeated"] == 2


def test_what_comes_in_the_wrong_order_is_told_in_the_right_one_without_a_gap() -> None:
    follower = following()
    assert not follower.heard(notice(6), 0.0) and not follower.heard(notice(5), 0.01)
    assert follower.need(0.02) is None
    assert sequences(follower.heard(notice(4), 0.03)) == [4, 5, 6]
    assert follower.need(GRACE + 1) is None


def test_a_hole_is_read_from_the_log_and_reported() -> None:
    follower = following()
    assert not follower.heard(notice(6), 0.0)
    assert follower.due(0.0) == GRACE
    assert follower.need(GRACE) == ReadLog(since=at(3))
    told = follower.page(Page(epoch="e0", head=6, changes=(change(4), change(5))), 0.1)
    assert gaps(told) == [Gap(feed="main", since=at(3), until=at(6), resync=False, reason="missed")]
    assert sequences(told) == [4, 5, 6] and told[0] is gaps(told)[0]
    assert [one.source for one in told if isinstance(one, Notice)] == ["log", "log", "live"]
    assert follower.need(0.2) is None


def test_a_long_gap_is_read_in_parts_and_reported_once() -> None:
    follower = following()
    follower.beat(beat(9), 0.0)
    assert follower.need(GRACE) == ReadLog(since=at(3))
    told = follower.page(Page(epoch="e0", head=9, changes=(change(4), change(5)), more=True), 0.1)
    assert follower.need(0.1) == ReadLog(since=at(5))
    told += follower.page(Page(epoch="e0", head=9, changes=tuple(map(change, range(6, 10)))), 0.1)
    assert sequences(told) == [4, 5, 6, 7, 8, 9] and len(gaps(told)) == 1


def test_a_beat_that_says_what_is_known_changes_nothing() -> None:
    follower = following()
    follower.beat(beat(3), 2.0)
    assert follower.need(2.0) is None and follower.due(2.0) == 2.0 + PATIENCE


def test_a_beat_that_overtakes_a_change_makes_no_gap() -> None:
    follower = following()
    follower.beat(beat(4), 0.0)
    assert sequences(follower.heard(notice(4), 0.01)) == [4]
    told = follower.page(Page(epoch="e0", head=4), GRACE) if follower.need(GRACE) else []
    assert not told and follower.need(GRACE + 0.01) is None


def test_silence_is_looked_into() -> None:
    follower = following()
    assert follower.need(PATIENCE - 0.1) is None
    assert follower.need(PATIENCE) == ReadLog(since=at(3))
    assert not follower.page(Page(epoch="e0", head=3), PATIENCE)
    assert follower.need(PATIENCE) is None


def test_what_cannot_be_read_is_tried_again_later_and_later() -> None:
    follower = following()
    follower.heard(notice(9), 0.0)
    now, waits = GRACE, []
    for _ in range(8):
        assert follower.need(now) == ReadLog(since=at(3))
        follower.failed(now)
        waits.append(follower.due(now) - now)
        now = follower.due(now)
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0])
    assert follower.counters["failed reads"] == 8


def test_a_new_epoch_is_asked_about_and_no_gap_if_nothing_is_missing() -> None:
    follower = following()
    follower.beat(beat(3, "e1"), 0.0)
    assert follower.need(0.0) == ReadLog(since=at(3))
    assert not follower.page(Page(epoch="e1", head=3), 0.0)
    assert follower.position == at(3, "e1")
    assert sequences(follower.heard(notice(4, epoch="e1"), 0.0)) == [4]
    # What the service publishes once more after its restart is of the epoch before.
    assert not follower.heard(notice(3), 0.0) and follower.need(0.0) is None


def test_a_restart_in_between_is_no_gap_when_everything_was_heard() -> None:
    follower = following()
    assert not follower.heard(notice(5, epoch="e1"), 0.0)  # overtakes what was made before the restart
    assert sequences(follower.heard(notice(4), 0.0)) == [4]
    assert follower.need(0.0) == ReadLog(since=at(4))
    told = follower.page(Page(epoch="e1", head=5, changes=(change(5, epoch="e1"),)), 0.0)
    assert sequences(told) == [5] and not gaps(told) and follower.position == at(5, "e1")
    assert [one.source for one in told if isinstance(one, Notice)] == ["live"]


def test_what_was_left_unpublished_by_a_service_that_died_is_told_when_it_is_published() -> None:
    follower = following()
    assert sequences(follower.heard(notice(4), 0.0)) == [4]  # made in e0, published in e1
    assert not follower.heard(notice(5, epoch="e1"), 0.0)
    assert follower.need(0.0) == ReadLog(since=at(4))
    told = follower.page(Page(epoch="e1", head=5, changes=(change(5, epoch="e1"),)), 0.0)
    assert sequences(told) == [5] and follower.position == at(5, "e1")


def test_what_was_held_of_a_history_that_is_gone_is_not_told() -> None:
    follower = following()
    assert not follower.heard(notice(5), 0.0)
    told = follower.page(Page(epoch="e1", head=4, changes=(change(4, epoch="e1"),)), GRACE)
    assert sequences(told) == [4] and follower.position == at(4, "e1")
    assert not follower._held and follower.need(10 * GRACE) is None


def test_only_the_models_that_matter_are_told() -> None:
    follower = following(models=frozenset(["Host"]))
    assert not follower.heard(notice(4, model="Cluster"), 0.0)
    assert sequences(follower.heard(notice(5), 0.0)) == [5]


def test_the_changes_held_are_bounded() -> None:
    follower = following(0)
    for number in range(2, 5_000):
        follower.heard(notice(number), 0.0)
    assert len(follower._held) == 1_000


@pytest.mark.parametrize(("why", "again"), [("pruned", ["b"]), ("history", ["a", "b"])])
def test_without_a_log_everything_is_compared(why: Any, again: list[str]) -> None:
    follower = following(0)
    for number, key in enumerate("abc", 1):
        follower.heard(notice(number, key=key, event=Event.CREATED), 0.0)
    follower.beat(beat(90, "e9"), 0.0)
    assert follower.need(0.0) == ReadLog(since=at(3))
    assert not follower.page(Page(epoch="e9", head=90, lost=why), 0.0)
    assert follower.need(0.0) == ReadAll()
    gap = Gap(feed="main", since=at(3), until=at(90, "e9"), resync=True, reason=why)
    assert follower.listing(at(90, "e9"), 0.0) == [gap]
    entries = [
        Entry(model="Host", key=key, version=version, data={}) for key, version in (("a", 1), ("b", 80), ("d", 85))
    ]
    told = [*follower.listed(entries[:2]), *follower.listed(entries[2:]), *follower.listing_over(91, 0.0)]
    spelled = [(one.event.value, one.key, one.data) for one in told]
    assert spelled == [("updated", key, {}) for key in again] + [("created", "d", {}), ("deleted", "c", None)]
    assert follower.need(0.0) == ReadLog(since=at(90, "e9"))
    assert sequences(follower.page(Page(epoch="e9", head=91, changes=(change(91, epoch="e9"),)), 0.0)) == [91]


def test_a_list_that_breaks_off_is_read_again_and_told_once() -> None:
    follower = Follower("main", models=None, patience=PATIENCE, now=0.0)
    follower.begin_with_all()
    entries = [Entry(model="Host", key=key, version=1, data={}) for key in "ab"]
    assert not follower.listing(at(2), 0.0)
    assert len(follower.listed(entries[:1])) == 1
    follower.failed(0.0)
    assert follower.need(0.05) is None and follower.need(0.1) == ReadAll()
    assert not follower.listing(at(2), 0.1)
    told = follower.listed(entries) + follower.listing_over(2, 0.1)
    assert [(one.event.value, one.key, one.source) for one in told] == [("created", "b", "snapshot")]


def test_what_the_list_holds_already_is_not_told_again_from_the_log() -> None:
    follower = Follower("main", models=None, patience=PATIENCE, now=0.0)
    follower.begin_with_all()
    follower.listing(at(2), 0.0)
    # While it was read: a was changed (3), b made (4) and dropped (5), c dropped (6) before its part was read.
    follower.listed([Entry(model="Host", key="a", version=3, data={})])
    follower.listing_over(6, 0.0)
    changes = (
        change(3, "a"),
        change(4, "b", Event.CREATED),
        change(5, "b", Event.DELETED),
        change(6, "c", Event.DELETED),
        change(7, "d", Event.DELETED),
    )
    told = follower.page(Page(epoch="e0", head=7, changes=changes), 0.0)
    assert sequences(told) == [4, 5, 7] and not gaps(told)


class World:
    """A service with a log, a way on which everything may happen, and a follower."""

    def __init__(self) -> None:
        self.log: list[Change] = []
        self.lives = [Life(epoch="e0", start=0)]
        #: No epoch is ever called like another one, not even like one that a restored backup knows nothing of.
        self.epochs = count(1)
        self.floor = 0
        self.way: deque[Notice | Beat] = deque()
        self.now = 0.0
        self.follower = Follower("main", models=None, patience=PATIENCE, now=0.0)
        self.told: list[Notice] = []
        self.gaps: list[Gap] = []
        self.views: dict[str, int] = {}
        self.reachable = True

    @property
    def epoch(self) -> str:
        return self.lives[-1].epoch

    @property
    def state(self) -> dict[str, int]:
        return fold({}, self.log)

    def write(self, key: str, delete: bool) -> None:
        there = key in self.state
        if delete and not there:
            return
        event = Event.DELETED if delete else Event.UPDATED if there else Event.CREATED
        self.log.append(change(len(self.log) + 1, key, event, self.epoch))
        self.publish(len(self.log))

    def publish(self, sequence: int) -> None:
        one = self.log[sequence - 1]
        self.way.append(Notice(**{name: getattr(one, name) for name in one.__struct_fields__}, feed="main"))

    def do(self, step: tuple[str, Any]) -> None:
        what, how = step
        if what == "write":
            self.write(*how)
        elif what == "beat":
            self.way.append(beat(len(self.log), self.epoch))
        elif what == "arrive":
            for _ in range(min(how, len(self.way))):
                self.take(self.way.popleft())
        elif what == "lose" and self.way:
            self.way.popleft()
        elif what == "double" and self.way:
            self.take(self.way[0])
        elif what == "late" and len(self.way) > 1:
            self.way.rotate(-1)
        elif what == "again" and self.log:
            for sequence in range(max(1, len(self.log) - how), len(self.log) + 1):
                self.publish(sequence)
        elif what == "restart":
            self.lives.append(Life(epoch=f"e{next(self.epochs)}", start=len(self.log)))
        elif what == "restore":
            self.log = self.log[: max(0, len(self.log) - how)]
            self.lives = [life for life in self.lives if life.start <= len(self.log)]
            self.floor = min(self.floor, len(self.log))
            self.do(("restart", None))
        elif what == "prune":
            self.floor = max(self.floor, len(self.log) - how)
        elif what == "wait":
            self.now += how
        elif what == "cut":
            self.reachable = how
        elif what == "resume" and (settled := self.follower.settled) is not None:
            self.follower = Follower("main", models=None, patience=PATIENCE, now=self.now)
            self.follower.resume(settled, self.now)
        self.look()

    def take(self, news: Notice | Beat) -> None:
        if isinstance(news, Notice):
            self.tell(self.follower.heard(news, self.now))
        else:
            self.follower.beat(news, self.now)

    def look(self) -> None:
        for _ in range(100):
            need = self.follower.need(self.now)
            if need is None:
                return
            if not self.reachable:
                self.follower.failed(self.now)
            elif isinstance(need, ReadLog):
                self.tell(self.follower.page(self.page(need.since), self.now))
            else:
                here = at(len(self.log), self.epoch)
                self.tell(self.follower.listing(here, self.now))
                entries = [
                    Entry(model="Host", key=key, version=version, data={}) for key, version in self.state.items()
                ]
                self.tell(self.follower.listed(sorted(entries, key=lambda entry: entry.key)))
                self.tell(self.follower.listing_over(len(self.log), self.now))
        raise AssertionError("it never stops asking")

    def page(self, since: Position) -> Page:
        head = len(self.log)
        why = lost(since, self.lives, floor=self.floor, head=head)
        changes = () if why else tuple(self.log[since.sequence : since.sequence + 3])
        more = bool(changes) and changes[-1].sequence < head
        return Page(epoch=self.epoch, head=head, changes=changes, more=more, lost=why)

    def tell(self, told: Any) -> None:
        self.gaps += gaps(told)
        if any(gap.forget for gap in gaps(told)):
            self.views = {}
        self.told += [one for one in told if isinstance(one, Notice)]
        self.views = fold(self.views, [one for one in told if isinstance(one, Notice)])

    def settle(self) -> None:
        self.reachable = True
        self.do(("wait", 10.0))
        self.do(("beat", None))
        self.do(("arrive", len(self.way)))
        self.do(("wait", 1.0))


def fold(state: dict[str, int], changes: Any) -> dict[str, int]:
    state = dict(state)
    for one in changes:
        if one.event is Event.DELETED:
            state.pop(one.key, None)
        else:
            state[one.key] = one.sequence
    return state


_write = st.tuples(st.just("write"), st.tuples(st.sampled_from("abcd"), st.booleans()))
_mishaps = st.one_of(
    _write,
    _write,
    st.tuples(st.just("arrive"), st.integers(1, 4)),
    st.tuples(st.sampled_from(["beat", "lose", "double", "late", "restart", "resume"]), st.none()),
    st.tuples(st.just("again"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.06, 5.0])),
    st.tuples(st.just("cut"), st.booleans()),
)
_disasters = st.one_of(
    _mishaps,
    _mishaps,
    st.tuples(st.just("restore"), st.integers(0, 6)),
    st.tuples(st.just("prune"), st.integers(0, 4)),
)


@given(st.lists(_write, max_size=5), st.lists(_mishaps, max_size=60))
def test_every_change_is_told_once_and_in_order(before: list[tuple[str, Any]], steps: list[tuple[str, Any]]) -> None:
    world = World()
    world.follower.begin(at(0))
    for step in before:
        world.do(step)
    start = len(world.log)
    world.follower = Follower("main", models=None, patience=PATIENCE, now=world.now)
    world.follower.begin(at(start))
    world.told.clear()
    for step in steps:
        world.do(step)
    world.settle()
    assert sequences(world.told) == list(range(start + 1, len(world.log) + 1))
    assert [one.key for one in world.told] == [one.key for one in world.log[start:]]
    assert world.follower.counters["resyncs"] == 0
    read = [one for one in world.told if one.source == "log"]
    assert bool(read) == bool(world.gaps), "what is read from the log is reported as a gap, and nothing else"


@given(st.lists(_write, max_size=5), st.lists(_disasters, max_size=60))
def test_whatever_happens_who_listens_knows_what_the_store_holds(
    before: list[tuple[str, Any]], steps: list[tuple[str, Any]]
) -> None:
    world = World()
    world.follower.begin(at(0))
    for step in before:
        world.do(step)
    world.follower = Follower("main", models=None, patience=PATIENCE, now=world.now)
    world.follower.begin_with_all()
    world.views = {}
    world.told.clear()
    world.gaps.clear()
    for step in steps:
        world.do(step)
    world.settle()
    assert world.views == world.state
    assert bool(world.follower.counters["resyncs"]) <= any(gap.resync for gap in world.gaps)


def test_whoever_resumes_where_the_log_is_gone_is_told_to_forget() -> None:
    world = World()
    world.follower.begin(at(0))
    for key in "abc":
        world.do(("write", (key, False)))
    world.do(("arrive", 3))
    world.reachable = False
    world.do(("resume", None))
    world.do(("write", ("a", True)))
    world.do(("write", ("d", False)))
    world.do(("prune", 0))
    world.settle()
    assert [(gap.reason, gap.resync, gap.forget) for gap in world.gaps] == [("pruned", True, True)]
    assert world.views == world.state == {"b": 2, "c": 3, "d": 5}
    world.do(("cut", False))
    world.do(("write", ("b", True)))
    world.do(("prune", 0))
    world.way.clear()
    world.settle()
    assert [gap.forget for gap in world.gaps] == [True, False], "from then on it knows"
    assert world.views == world.state == {"c": 3, "d": 5}


def test_the_messages_of_before_a_restore_do_no_harm_after_it() -> None:
    """A notice of the history that is gone may still be under way: it is asked about, and nothing comes of it."""
    world = World()
    world.follower.begin_with_all()
    for key in "abc":
        world.do(("write", (key, False)))
    world.do(("arrive", 3))
    stale = notice(4, key="z", epoch="e0")
    world.do(("restore", 2))
    world.settle()
    assert world.views == world.state == {"a": 1}
    world.take(stale)
    world.settle()
    assert world.views == world.state
