"""STORE: the log of a store, what stands in it, where it ends, and who can go on reading from where.

Each rule works on fresh storage. It must not know any store in particular.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from functools import partial

from treaty.storage import Change, Position
from treaty_contracts import store_judging as judging
from treaty_contracts.aside import Aside
from treaty_contracts.expect import until
from treaty_contracts.registry import Level, Strength, rule
from treaty_contracts.store_bench import HIDDEN, MODEL, StoreBench, done, drop, log, put, versions

#: How many threads write at once.
WRITERS = 4


@rule(
    "STORE-012",
    level=Level.MUST,
    sentence="Hidden fields are kept with the object and never get into the log; one that a write lacks stays as it is.",
    intent="The log is what everybody is told.",
    causes=("the log is written from the object", "an update replaces the whole document"),
    mutants=("logs-hidden-fields", "forgets-hidden-fields"),
    requires=("STORE-004",),
)
def hidden_fields_stay_hidden(bench: StoreBench) -> None:
    store = bench.open()
    told = [
        *done(store.write([(put("a", 1, secret="s3cret"),)])[0]),
        *done(store.write([(put("a", 2),)])[0]),
        *done(store.write([(put("b", 1, secret={"in": ["s3cret"]}), drop("b"))])[0]),
    ]
    bench.expect.equal(
        store.get(MODEL, ["a"])["a"].data, {"value": 2, HIDDEN: "s3cret"}, "an object whose hidden field was not given"
    )
    told += done(store.write([(drop("a"),)])[0])
    for change in (*told, *log(store)):
        bench.expect.that("s3cret" not in repr(change.data), "no hidden field in a change", change.data)
        bench.expect.that("value" in (change.data or {}), "the other fields in a change", change.data)


@rule(
    "STORE-013",
    level=Level.MUST,
    sentence="The log is read in parts from any position: in order, with no more than was asked for, and told whether there is more.",
    intent="A subscriber that was away for long reads as much as it can digest.",
    causes=("more is computed from the limit alone", "the limit counts from the beginning of the log"),
    mutants=("never-says-more",),
    requires=("STORE-002",),
)
def logs_are_read_in_parts(bench: StoreBench) -> None:
    store = bench.open()
    start = store.standing().position
    store.write([tuple(put(str(number)) for number in range(7))])
    end = store.standing()
    for limit in (1, 3, 7, 8):
        for here in (start, start.__class__(epoch=end.epoch, sequence=4), end.position):
            left = end.sequence - here.sequence
            for name, page in (
                ("since", store.changes_since(here, limit=limit)),
                ("after", store.changes_after(here.sequence, limit=limit)),
            ):
                what = f"changes_{name} {here.sequence} of 7, {limit} at most"
                bench.expect.judged(judging.numbered(page.changes, here.sequence, what)) if page.changes else None
                found = (len(page.changes), page.more, page.head, page.lost)
                bench.expect.equal(found, (min(limit, left), limit < left, 7, None), f"{what}: count, more, head, lost")
    bench.expect.equal({change.epoch for change in log(store)}, {end.epoch}, "the epoch of the changes")


@rule(
    "STORE-014",
    level=Level.MUST,
    sentence="From an unknown epoch, and from behind the end of the log, nobody can go on: that is another history.",
    intent="A log that was cut back, by a backup say, must not pass for the one that somebody has read.",
    causes=("only the sequence is compared",),
    mutants=("ignores-epochs",),
    requires=("STORE-002",),
)
def another_history_is_told(bench: StoreBench) -> None:
    store = bench.open()
    store.write([(put("a"), put("b"))])
    here = store.standing()
    for epoch, sequence in (("never", 0), ("never", 1), ("", 2), (here.epoch, 3), (here.epoch, 10**6)):
        page = store.changes_since(Position(epoch=epoch, sequence=sequence))
        found = (page.lost, tuple(page.changes), page.more, page.epoch, page.head)
        what = f"lost, changes, more, epoch and head from {sequence} of {'this' if epoch == here.epoch else 'another'} epoch on"
        bench.expect.equal(found, ("history", (), False, here.epoch, 2), what)


@rule(
    "STORE-015",
    level=Level.MUST,
    sentence="The log holds about as many changes as was asked for, the last ones, and says from where on nobody can go on.",
    intent="A log that grows for ever fills the disk; one that forgets without a word loses changes.",
    causes=("nothing prunes", "the floor is not kept when the log is pruned"),
    mutants=("never-prunes", "prunes-silently"),
    requires=("STORE-013", "STORE-014"),
)
def the_log_is_bounded(bench: StoreBench) -> None:
    retain = 20
    store = bench.open(bench.storage(retain=retain))
    start = store.standing().position
    for number in range(20):
        store.write([tuple(put(f"{number}-{key}") for key in range(5))])
    kept = log(store)
    bench.expect.judged(judging.numbered(kept, 100 - len(kept), "what is left of a log of 100 changes"))
    bench.expect.that(retain <= len(kept) <= 2 * retain, f"{retain} to {2 * retain} changes in the log", len(kept))
    bench.expect.equal(store.changes_since(start).lost, "pruned", "why nobody can go on from the beginning")
    last = Position(epoch=start.epoch, sequence=kept[0].sequence - 1)
    page = store.changes_since(last, limit=100)
    bench.expect.equal((page.lost, len(page.changes)), (None, len(kept)), "lost, and how many come from the oldest on")
    bench.expect.equal(store.changes_after(0, limit=100).changes, tuple(kept), "what comes after 0")
    bench.expect.equal(len(versions(store)), 100, "how many objects there are: none goes with the log")


@rule(
    "STORE-016",
    level=Level.MUST,
    sentence="How far the log is published is kept: write and note_published hand on what is kept, and keep what they are told.",
    intent="What a service that died had not published is published by the next one, and nothing else is.",
    causes=("it is kept in the store object, or not at all", "a batch that fails keeps it from being kept"),
    mutants=("forgets-what-is-published",),
    requires=("STORE-002",),
)
def what_is_published_is_kept(bench: StoreBench) -> None:
    store = bench.open()
    asked: list[int] = []

    def further(before: int) -> int:
        asked.append(before)
        return before + 1

    store.write([(put("a"), put("b"), put("c"))], reached=further)
    bench.expect.equal(store.standing().published, 1, "up to where it is published after a write that says so")
    bench.expect.equal(store.note_published(further).published, 2, "up to where note_published says that it is")
    store.write([(drop("nothing"),)], reached=further)
    standing = store.standing()
    bench.expect.equal(
        (standing.published, standing.sequence), (3, 3), "published and sequence after a batch that failed"
    )
    store.write([(put("d"),)])
    bench.expect.equal(store.standing().published, 3, "up to where it is published after a write that says nothing")
    bench.expect.equal(asked, [0, 1, 2], "what was kept each time")


@rule(
    "STORE-017",
    level=Level.MUST,
    sentence="Each opening begins an epoch of its own, which no opening before had, and its changes carry it.",
    intent="By the epoch a subscriber tells a log that went on from one that began anew.",
    causes=("the epoch is made with the storage, and not at each opening", "changes carry the first epoch"),
    mutants=("keeps-its-epoch",),
    requires=("STORE-002",),
)
def each_opening_is_an_epoch(bench: StoreBench) -> None:
    storage = bench.storage()
    store = bench.open(storage)
    epochs: list[str] = []
    for number in range(4):
        if number:
            store.close()
            store = bench.closed(storage) if number % 2 else store
            store.open()
        standing = store.standing()
        (change,) = done(store.write([(put(f"a{number}"),)])[0])
        bench.expect.that(standing.epoch not in epochs, f"an epoch that is none of {epochs}", standing.epoch)
        found = (change.epoch, log(store, standing.sequence)[0].epoch, store.changes_since(standing.position).epoch)
        bench.expect.equal(found, (standing.epoch,) * 3, "the epoch of a change, returned and logged, and of a page")
        epochs.append(standing.epoch)


@rule(
    "STORE-018",
    level=Level.MUST,
    sentence="Any number of threads may write and read at once: nothing is lost, and who reads sees no sequence before a smaller one.",
    intent="A subscriber that has read 5 never asks for 4 again.",
    causes=("a sequence is taken before the transaction that has it is committed", "a buffer is shared without a lock"),
    mutants=("commits-out-of-order",),
    requires=("STORE-002", "STORE-008", "STORE-013"),
    strength=Strength.STOCHASTIC,
)
def order_of_commits(bench: StoreBench) -> None:
    store = bench.open()
    start, turns = store.standing().position, max(6, bench.profile.burst // 2)

    def write(number: int) -> None:
        for turn in range(turns):
            store.write([(put(f"{number}-{turn}"), put("shared", turn)), (put("x"), drop("never"))])

    writing = [Aside(partial(write, number)) for number in range(WRITERS)]
    seen: list[Change] = []

    def everything() -> bool:
        page = store.changes_since(seen[-1].position if seen else start, limit=50)
        bench.expect.equal(page.lost, None, "why nobody can go on")
        seen.extend(page.changes)
        return len(seen) >= 2 * turns * WRITERS

    bench.did(f"{WRITERS} threads wrote {turns} times each, and one read along")
    until(everything, bench.times.arrive)
    for one in writing:
        one.result(bench.times.arrive)
    bench.expect.judged(judging.numbered(seen, 0, "the sequences, as one saw them who read along"))
    bench.expect.equal(len(seen), 2 * turns * WRITERS, "how many changes that were")
    for number in range(WRITERS):
        own = [change.key for change in seen if change.key.startswith(f"{number}-")]
        bench.expect.equal(
            own, [f"{number}-{turn}" for turn in range(turns)], f"the changes of thread {number}, in order"
        )
    bench.expect.equal(versions(store), judging.retold(seen), "the versions of the objects")
