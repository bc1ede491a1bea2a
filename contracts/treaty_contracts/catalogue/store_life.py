"""STORE: opening and closing, what outlives it, two stores on one storage, and what goes wrong.

Each rule works on fresh storage. It must not know any store in particular.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from treaty import TreatyError
from treaty.storage import Batch, Change, Position, Store, StoreUnavailable
from treaty_contracts import store_judging as judging
from treaty_contracts.aside import Aside
from treaty_contracts.catalogue.store_objects import objects
from treaty_contracts.expect import until
from treaty_contracts.registry import Level, Strength, rule
from treaty_contracts.store_bench import MODEL, StoreBench, done, drop, log, put, versions

_DESCRIPTORS: Final = Path("/proc/self/fd")


@rule(
    "STORE-019",
    level=Level.MUST,
    needs=("durable",),
    sentence="A durable store has everything again when it is opened anew: objects, versions, log, and how far it is published.",
    intent="That is what it is for.",
    causes=("something is kept in the store object", "the last transaction is written only at close"),
    mutants=("forgets-on-reopen",),
    requires=("STORE-004", "STORE-016", "STORE-017"),
)
def everything_is_there_again(bench: StoreBench) -> None:
    storage = bench.storage()
    first = bench.open(storage)
    first.write([(put("a", [1], secret="s"), put("b"), drop("b"), put("c"))], reached=lambda _: 2)
    before, kept, told = first.standing(), objects(first), log(first)
    first.close()
    for number in range(2):
        again = bench.open(storage) if number else first
        if not number:
            again.open()
        standing = again.standing()
        bench.expect.equal((standing.sequence, standing.published), (4, 2), "where the log ends, and is published to")
        bench.expect.equal(objects(again), kept, "the objects")
        bench.expect.equal(log(again), told, "the log")
        again.close()
    bench.did("went on from where it stood before it was closed")
    again = bench.open(storage)
    (change,) = done(again.write([(put("d"),)])[0])
    page = again.changes_since(before.position)
    bench.expect.equal((page.lost, page.changes), (None, (change,)), "lost, and what comes since it was closed")


@rule(
    "STORE-020",
    level=Level.MUST,
    needs=("durable",),
    sentence="A position leads on only if its epoch had come so far: an epoch ends where the next begins.",
    intent="After a backup was restored the same numbers stand for other changes.",
    causes=("old epochs are kept without their beginnings", "all epochs but the last are forgotten"),
    mutants=("forgets-where-epochs-ended",),
    requires=("STORE-014", "STORE-017", "STORE-019"),
)
def epochs_have_ends(bench: StoreBench) -> None:
    storage, epochs = bench.storage(), []
    for number in range(3):
        store = bench.open(storage)
        epochs.append(store.standing().epoch)
        store.write([(put(f"{number}-1"), put(f"{number}-2"))])
        if number < 2:
            store.close()
    bench.did("opened it three times and made two changes each time")
    for number, epoch in enumerate(epochs):
        for sequence in range(7):
            fits = 2 * number <= sequence <= 2 * number + 2
            page = store.changes_since(Position(epoch=epoch, sequence=sequence))
            found = (page.lost, [change.sequence for change in page.changes])
            wanted = (None, list(range(sequence + 1, 7))) if fits else ("history", [])
            bench.expect.equal(found, wanted, f"lost and changes from {sequence} of epoch {number + 1} on")


@rule(
    "STORE-021",
    level=Level.MUST,
    needs=("shared",),
    sentence="Two stores that have one storage open at once keep one order: who reads from either sees one log without holes.",
    intent="Several workers of one service share the storage.",
    causes=("the next sequence is kept in the store object", "a writer does not lock the storage"),
    mutants=("counts-by-itself",),
    requires=("STORE-018",),
    strength=Strength.STOCHASTIC,
)
def two_stores_keep_one_order(bench: StoreBench) -> None:
    storage = bench.storage()
    stores = [bench.open(storage)]
    bench.did("opened two stores on one storage, one after the other; both wrote, and one read along")
    stores.append(bench.open(storage))
    start, turns = stores[1].standing().position, max(6, bench.profile.burst // 3)
    stores[0].write([(put("first"),)])
    bench.expect.equal(versions(stores[1]), {"first": 1}, "what the other one sees as soon as a write has returned")

    def write(number: int) -> None:
        for turn in range(turns):
            stores[number % 2].write([(put(f"{number}-{turn}"), put("shared", turn)), (drop("never"),)])

    writing = [Aside(partial(write, number)) for number in range(4)]
    seen: list[Change] = []

    def everything() -> bool:
        page = stores[1].changes_since(seen[-1].position if seen else start, limit=50)
        bench.expect.equal(page.lost, None, "why nobody can go on")
        seen.extend(page.changes)
        return len(seen) >= 8 * turns + 1

    until(everything, bench.times.arrive)
    for one in writing:
        one.result(bench.times.arrive)
    bench.expect.judged(judging.numbered(seen, 0, "the sequences, as one saw them who read along"))
    bench.expect.equal(len(seen), 8 * turns + 1, "how many changes that were")
    told = judging.retold(seen)
    bench.expect.equal([versions(store) for store in stores], [told, told], "the versions of the objects, from both")


@rule(
    "STORE-022",
    level=Level.MUST,
    refuses="durable",
    sentence="A store that is not durable is empty when it is opened anew, and says that it is another history.",
    intent="What is half there is taken for the whole.",
    causes=("it is durable after all: declare it", "the log is emptied, and not the objects"),
    mutants=("keeps-objects-only",),
    requires=("STORE-014", "STORE-017"),
)
def nothing_is_there_again(bench: StoreBench) -> None:
    storage = bench.storage()
    store = bench.open(storage)
    store.write([(put("a"), put("b"))], reached=lambda _: 1)
    before = store.standing()
    store.close()
    for again in (store, bench.closed(storage)):
        again.open()
        standing = again.standing()
        found = (standing.sequence, standing.published, objects(again), log(again))
        bench.expect.equal(
            found, (0, 0, {}, []), "sequence, published, objects and log of a store that was opened anew"
        )
        bench.expect.equal(again.changes_since(before.position).lost, "history", "why nobody can go on from before")
        again.close()


@rule(
    "STORE-023",
    level=Level.MUST,
    refuses="shared",
    sentence="A second store on storage that is not shared is refused, or keeps to itself: it never gets into the first one's way.",
    intent="A program that is started twice by mistake must not ruin what it keeps.",
    causes=("it is shared after all: declare it", "two of them write one file"),
    mutants=("shares-without-saying",),
    requires=("STORE-002",),
)
def the_second_store_is_harmless(bench: StoreBench) -> None:
    storage = bench.storage()
    first = bench.open(storage)
    first.write([(put("a"),)])
    before = first.standing()
    second = bench.closed(storage)
    try:
        second.open()
        second.write([(put("b"), put("a", "other"))])
        bench.did("a second store could be opened on the same storage, and wrote")
    except StoreUnavailable as error:
        bench.did(f"a second store on the same storage was refused: {error}")
    bench.expect.equal(first.standing(), before, "where the first one stands")
    bench.expect.equal(objects(first), {"a": (1, {"value": 1})}, "the objects of the first one")
    (change,) = done(first.write([(put("a", 2, expected=1),)])[0])
    bench.expect.equal((change.sequence, change.epoch), (2, before.epoch), "the next sequence, and its epoch")


@rule(
    "STORE-024",
    level=Level.MUST,
    sentence="A write that raises leaves nothing: no object, no change, no sequence, and the next one is done.",
    intent="Nobody knows what is there after an error that left half of it.",
    causes=("objects are written before the log can fail", "the transaction is left open"),
    mutants=("leaves-what-failed",),
    requires=("STORE-008",),
)
def what_fails_leaves_nothing(bench: StoreBench) -> None:
    store = bench.open()
    store.write([(put("a"), put("b"))])
    before = (objects(store), log(store), store.standing().sequence)
    for what, value in (("no plain value", object()), ("text that is no Unicode", "\ud800")):
        bench.did(f"wrote {what} among plain values")
        batches: list[Batch] = [(put("c"), put("a", 2), put("d", value), put("e")), (put("f"),)]
        bench.expect.raises(Exception, partial(store.write, batches), f"a write of {what}")
        found = (objects(store), log(store), store.standing().sequence)
        bench.expect.equal(found, before, "objects, log and sequence, as they were before")
    (change,) = done(store.write([(put("c", "next"),)])[0])
    bench.expect.equal(change.sequence, 3, "the sequence of the next change")


@rule(
    "STORE-025",
    level=Level.MUST,
    sentence="Close is idempotent; a store that is closed, or was never opened, refuses everything with StoreUnavailable.",
    intent="Services close in whatever order they end.",
    causes=("a method does not look whether the store is open", "a library's own exception crosses"),
    mutants=("works-when-closed",),
    requires=("STORE-001",),
)
def closed_stores_refuse(bench: StoreBench) -> None:
    storage = bench.storage()
    for what in ("never opened", "closed"):
        store = bench.closed(storage)
        if what == "closed":
            store.open()
            store.write([(put("a"),)])
        for _ in range(3):
            store.close()
        attempts: dict[str, Callable[[], Any]] = {
            "standing": store.standing,
            "get": partial(store.get, MODEL, ["a"]),
            "list": partial(store.list, MODEL),
            "write": partial(store.write, [(put("a"),)]),
            "note_published": partial(store.note_published, int),
            "changes_since": partial(store.changes_since, Position(epoch="e", sequence=0)),
            "changes_after": partial(store.changes_after, 0),
        }
        for name, attempt in attempts.items():
            bench.expect.raises(StoreUnavailable, attempt, f"{name} of a store that was {what}")
    store.open()
    done(store.write([(put("again"),)])[0])
    bench.expect.that("again" in versions(store), "what is written after it was opened again", versions(store))


@rule(
    "STORE-026",
    level=Level.MUST,
    sentence="A store that is closed leaves no thread and no open file, also when its use has failed.",
    intent="A service that restarts a thousand times must not run out of anything.",
    causes=("a pool of connections is not closed", "a thread that prunes or beats goes on"),
    mutants=("store-leaves-a-thread", "store-leaves-a-file"),
    requires=("STORE-001",),
)
def nothing_is_left(bench: StoreBench) -> None:
    storage = bench.storage()

    def use() -> None:
        store = bench.open(storage)
        store.write([(put("a"),), (drop("never"),)])
        for one in [Aside(partial(store.get, MODEL, ["a"])) for _ in range(4)]:
            one.result(bench.times.arrive)
        store.close()

    use()  # what is made once and for all is made here
    before = _held()
    bench.did("opened, used and closed a store, three times")
    for _ in range(3):
        use()
    gone = until(lambda: not _held() - before, bench.times.slack)
    bench.expect.that(gone, "no threads and files beyond those before", dict(_held() - before))


def _held() -> Counter[str]:
    held = Counter(f"thread {one.name}" for one in threading.enumerate() if one.name != "contract-aside")
    if _DESCRIPTORS.is_dir():
        for entry in _DESCRIPTORS.iterdir():
            try:
                held[f"file {os.readlink(entry)}"] += 1  # noqa: PTH115 - a socket is no path
            except OSError:
                continue  # the one that lists them
    return held


@rule(
    "STORE-027",
    level=Level.MUST,
    sentence="What is odd and plain is kept, or refused as a TreatyError that leaves nothing: no exception of another library crosses.",
    intent="A client sends what it likes; a service that hears of it in another library's words cannot say what is wrong.",
    causes=("the driver's exceptions are not translated", "a number is handed on that the database cannot hold"),
    mutants=("raises-in-its-own-words",),
    requires=("STORE-003", "STORE-013"),
    strength=Strength.STOCHASTIC,
)
def no_foreign_exceptions(bench: StoreBench) -> None:
    store = bench.open()
    keys = ["\0", "a\0b", "'; DROP TABLE objects; --", "k" * 1_000, "\u202e", " ", "%", "\\", "\r\n", "\ud7ff\ue000"]
    for key in keys:
        _kept_or_refused(bench, store, key, key[:20])
    _kept_or_refused(bench, store, "long", "x" * 200_000)
    reads: dict[str, Callable[[], object]] = {
        "a list behind a NUL": partial(store.list, MODEL, after="\0", limit=10),
        "a list of nothing": partial(store.list, MODEL, limit=0),
        "a get of a NUL": partial(store.get, MODEL, ["\0", "'"]),
        "a get of a thousand keys": partial(store.get, MODEL, [str(number) for number in range(1_000)]),
        "a model with a quote": partial(store.get, "Mo'del", ["a"]),
        "changes after what never comes": partial(store.changes_after, 2**62, limit=10),
        "changes of no page": partial(store.changes_after, 0, limit=0),
        "changes since a position far away": partial(
            store.changes_since, Position(epoch=store.standing().epoch, sequence=2**70), limit=10
        ),
        "changes since a position before the first": partial(
            store.changes_since, Position(epoch=store.standing().epoch, sequence=-1), limit=10
        ),
    }
    for what, read in reads.items():
        try:
            read()
        except TreatyError as error:
            bench.did(f"{what}: {type(error).__name__}")
        except Exception as error:
            bench.expect.never(f"{what}: an answer, or a TreatyError", f"{type(error).__module__}.{error!r}")
    done(store.write([(put("after all"),)])[0])


def _kept_or_refused(bench: StoreBench, store: Store, key: str, value: str) -> None:
    before = store.standing().sequence
    try:
        (outcome,) = store.write([(put(key, value),)])
    except TreatyError as error:
        outcome = StoreUnavailable("", str(error))
    except Exception as error:
        bench.expect.never(f"a write of {key[:30]!r}: done, or a TreatyError", f"{type(error).__module__}.{error!r}")
    head = store.standing().sequence
    if isinstance(outcome, Exception):
        bench.did(f"{key[:30]!r} was refused: {outcome}")
        bench.expect.equal(head, before, "where the log ends, after a write that was refused")
        return
    found = store.get(MODEL, [key])
    bench.expect.equal({one: entry.data["value"] for one, entry in found.items()}, {key: value}, "what is read back")
    bench.expect.equal(head, before + 1, "where the log ends, after a write that was done")
