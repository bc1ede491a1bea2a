"""STORAGE: what is missed on the way, noticed, and read later, so that there is never a silent gap.

Losses are made by wrapping the transport of one end, and by workers that die before they publish: so they happen each
time, and not by chance. It must not know adapters.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import queue
from functools import partial
from queue import Empty

from treaty import Notification
from treaty.storage import Happened
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.links import Cut
from treaty_contracts.catalogue.storage import NEEDS
from treaty_contracts.expect import until
from treaty_contracts.registry import Level, rule
from treaty_contracts.storage_room import Cluster, Heard, Host, Meddling, Room, a_host
from treaty_contracts.surface import OnLoop

#: So long that no beat comes while a rule runs.
_NEVER = 600.0
_RESTS = ("STORAGE-004", "STORAGE-005")


def _lost(bench: Bench, way: Meddling, count: int) -> None:
    for _ in range(count):
        try:
            way.lost.get(timeout=bench.times.arrive)
        except Empty:
            bench.expect.never("a notification that is to be lost comes", "none")


@rule(
    "STORAGE-011",
    level=Level.MUST,
    needs=NEEDS,
    sentence="What was lost on the way is noticed by the next change, reported as a gap, and told once and in order all the same.",
    intent="No transport promises that a notification arrives; a program must not find out years later.",
    causes=("a hole in the sequences is passed over",),
    mutants=("heals-silently", "passes-over-holes"),
    requires=_RESTS,
)
def losses_are_healed(bench: Bench) -> None:
    room, way = Room(bench), Meddling(bench.open("client"))
    room.serve(beat=_NEVER)
    storage = room.storage(transport=way)
    heard = room.listen(storage)
    storage.save(Cluster("before"))
    heard.until("before")
    way.loses = b"missed"
    storage.save_many([Cluster("missed-1"), Cluster("missed-2")])
    storage.delete(Cluster, "missed-1")
    _lost(bench, way, 3)
    bench.did("three notifications were lost on the way to the client")
    storage.save(Cluster("after"))
    heard.until("after")
    sequences = [notice.sequence for notice in heard.all]
    bench.expect.equal(sequences, [1, 2, 3, 4, 5], "the sequences that are told")
    bench.expect.equal([notice.source for notice in heard.all[1:4]], ["log"] * 3, "how what was lost is known")
    room.agrees(heard, "a callback")
    bench.expect.that(not heard.gaps.empty(), "a gap is reported", "none")
    gap = heard.gaps.get()
    bench.expect.equal(
        (gap.since and gap.since.sequence, gap.resync), (1, False), "since when, and whether all is read"
    )


@rule(
    "STORAGE-012",
    level=Level.MUST,
    needs=NEEDS,
    sentence="What was lost is noticed although nothing follows: by the beat of a service that is idle.",
    intent="The last change of the day is lost like any other, and nobody may sleep on it.",
    causes=("beats are not published, or not read",),
    mutants=("is-deaf-to-beats",),
    requires=("STORAGE-011",),
)
def the_last_loss_is_healed(bench: Bench) -> None:
    room, way = Room(bench), Meddling(bench.open("client"))
    room.serve()
    storage = room.storage(transport=way)
    heard = room.listen(storage)
    way.loses = b"missed"
    storage.save(Cluster("missed"))
    _lost(bench, way, 1)
    bench.did("the last notification was lost on the way to the client")
    heard.until("missed")
    room.agrees(heard, "a callback")
    bench.expect.that(not heard.gaps.empty(), "a gap is reported", "none")


@rule(
    "STORAGE-013",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A notification that is overtaken by the next is told first all the same, and both once.",
    intent="Several workers publish, each on its own way.",
    causes=("what comes too early is told as it comes",),
    mutants=("tells-as-it-comes", "passes-over-holes"),
    requires=_RESTS,
)
def overtaking_changes_nothing(bench: Bench) -> None:
    room, way = Room(bench), Meddling(bench.open("client"))
    room.serve(beat=_NEVER)
    storage = room.storage(transport=way)
    heard = room.listen(storage)
    for number in range(bench.profile.rounds):
        way.delays = f"late-{number}".encode()
        storage.save_many([Cluster(f"late-{number}"), Cluster(f"next-{number}")])
        heard.until(f"next-{number}")
    keys = [f"{what}-{number}" for number in range(bench.profile.rounds) for what in ("late", "next")]
    bench.expect.equal([notice.key for notice in heard.all], keys, "what is told, in order")
    room.agrees(heard, "a callback")


@rule(
    "STORAGE-014",
    level=Level.MUST,
    needs=NEEDS,
    sentence="What was saved while nothing could be published is published later, also for those who only subscribe.",
    intent="A service that dies between the two, or that is cut off, has saved: everybody will hear of it.",
    causes=("publishing is tried once", "what is published is not taken from the log"),
    mutants=("publishes-once",),
    requires=(*_RESTS, "STORAGE-011"),
)
def saved_is_published_later(bench: Bench) -> None:
    room, way = Room(bench), Meddling(bench.open("service"))
    room.serve(transport=way)
    storage = room.storage()
    heard = room.listen(storage)
    overheard: queue.SimpleQueue[Notification] = queue.SimpleQueue()
    bench.client().subscribe(f"{room.name}.Cluster.created", overheard.put)
    storage.save(Cluster("before"))
    heard.until("before")
    way.silent = True
    storage.save(Cluster("unpublished"))
    way.silent = False
    room.worker().write([(a_host("of another worker"),)])
    bench.did("a change could not be published, and another was made by a worker that died before it could")
    storage.save(Cluster("after"))
    heard.until("after")
    room.agrees(heard, "a callback")
    names = set()
    while "unpublished" not in names:
        try:
            names.add(overheard.get(timeout=bench.times.arrive).data["key"])
        except Empty:
            bench.expect.never("what could not be published is published later", f"only {sorted(names)}")
    bench.expect.that("unpublished" in names, "what could not be published is published later", names)


@rule(
    "STORAGE-015",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A service that was away, while others wrote into its store, is followed again when it is back: nothing is missed.",
    intent="A restart is a new epoch of the same log, and costs a subscriber one question.",
    causes=("a subscription ends with the service", "another epoch is taken for another log, or for the same life"),
    mutants=("is-deaf-to-new-epochs",),
    requires=("LIFE-006", "STORAGE-012"),
)
def restarts_are_followed(bench: Bench) -> None:
    room = Room(bench)
    service = room.serve()
    storage = room.storage()
    heard = room.listen(storage)
    for number in range(2):
        storage.save(Host(address=f"before-{number}"))
        service.stop()
        worker = room.worker()
        worker.write([(a_host(f"away-{number}"), a_host(f"before-{number}", 23))])
        bench.did("the service was stopped, somebody else wrote, and it was started again")
        service = room.serve()
        room.reach(storage)
        storage.save(Host(address=f"after-{number}"))
        heard.until(f"after-{number}")
    sequences = [notice.sequence for notice in heard.all]
    bench.expect.equal(sequences, list(range(1, 9)), "the sequences that are told")
    room.agrees(heard, "a callback")


@rule(
    "STORAGE-016",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A service that comes back with another history is compared with what was told: new, changed and gone are told, after a report.",
    intent="A backup that was restored is a truth that nobody has heard of.",
    causes=("sequences are compared across histories", "what is gone is not looked for"),
    mutants=("forgets-what-is-gone",),
    requires=("STORAGE-015",),
)
def another_history_is_compared(bench: Bench) -> None:
    room = Room(bench)
    service = room.serve()
    storage = room.storage()
    heard = room.listen(storage)
    storage.save_many([Host(address=key) for key in ("gone", "same", "other")])
    for _ in range(3):
        heard.next()
    service.stop()
    room.shelf = type(room.shelf)()
    worker = room.worker()
    worker.open()
    worker.write([(a_host("other", 1), a_host("same"), a_host("new")), (a_host("new", 2), a_host("last"))])
    worker.close()
    bench.did("the service was stopped, its store replaced by one with another history, and it was started again")
    service = room.serve()
    until(lambda: heard.state == room.kept, bench.times.arrive)
    bench.expect.equal(dict(heard.state), room.kept, "what is known by what was heard")
    told = {notice.key: str(notice.event.value) for notice in heard.all[3:]}
    bench.expect.equal(told.get("gone"), "deleted", "what is told of an object that is gone")
    bench.expect.equal(
        (told.get("new"), told.get("other")), ("created", "updated"), "what is told of new and other ones"
    )
    gaps = []
    while not heard.gaps.empty():
        gaps.append(heard.gaps.get())
    resyncs = [gap.reason for gap in gaps if gap.resync]
    bench.expect.equal(resyncs, ["history"], "why everything was read anew")
    room.reach(storage)
    storage.save(Cluster("on"))
    heard.until("on")


@rule(
    "STORAGE-017",
    level=Level.MUST,
    needs=NEEDS,
    sentence="The iterator, blocking or with asyncio, tells what a callback is told, and ends when it is closed.",
    intent="The same program, written as a loop, is the same program.",
    causes=("the loop is woken once for several changes",),
    mutants=("the-iterator-drops",),
    requires=_RESTS,
)
def iterators_tell_the_same(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage, heard = room.storage(), Heard(bench)
    storage.register_callback(heard, Cluster)
    blocking, awaited = storage.notifications(Cluster), storage.notifications(Cluster)
    loop = OnLoop()
    bench.keep(loop)
    count = bench.profile.burst

    found: dict[str, list[tuple[str, str]]] = {"blocking": [], "asyncio": []}

    def keep(which: str, one: Happened) -> None:
        found[which].append((str(one.event), one.instance.name))

    async def listen() -> None:
        async for one in awaited:
            keep("asyncio", one)

    def loop_over() -> None:
        for one in blocking:
            keep("blocking", one)

    listening, awaiting = Aside(loop_over), loop.run(listen())
    for number in range(count):
        storage.save(Cluster(f"{number % 4}", number))
    storage.save(Cluster("last"))
    heard.until("last")
    told = [(str(one.event.value), one.key) for one in heard.all]
    until(lambda: all(len(one) >= len(told) for one in found.values()), bench.times.arrive)
    for one in (blocking, awaited):
        one.close()
    listening.result(bench.times.arrive)
    awaiting.result(bench.times.arrive)
    for what, those in found.items():
        bench.expect.equal(those, told, f"what the {what} iterator tells")


@rule(
    "STORAGE-018",
    level=Level.MUST,
    needs=("crosses_processes", "notifications"),
    hooks=("cut_link",),
    sentence="After the way was cut and mended, callbacks know what is kept: each change once and in order of each object.",
    intent="Networks break in the middle of a day of changes.",
    causes=("the subscription is not renewed when the connection is", "nothing is read after it was"),
    mutants=("gives-up-when-cut",),
    requires=(*_RESTS, "LIFE-011"),
)
def cuts_are_healed(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage = room.storage(timeout=bench.times.slack)
    heard = room.listen(storage)
    storage.save(Cluster("before"))
    heard.until("before")
    for number in range(2):
        cut = Cut(bench)
        room.worker().write([(a_host(f"away-{number}"), a_host(f"twice-{number}")), (a_host(f"twice-{number}", 2),)])
        bench.did("somebody wrote meanwhile, who publishes nothing")
        asked = heard.failed_reads
        noticed = until(partial(heard.asked_in_vain, asked), bench.times.arrive)
        bench.expect.that(noticed, "the silence is noticed, and the service asked in vain", "it is not asked")
        cut.mend()
        heard.until(f"away-{number}")
    until(lambda: heard.state == room.kept, bench.times.arrive)
    room.agrees(heard, "a callback")
