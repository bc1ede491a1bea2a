"""STORAGE: what a storage service does over a transport, and what its clients are told of its errors and changes.

It works through a client, as programs do. It must not know adapters.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from treaty import AuthenticationError, Notification, Service
from treaty.storage import Conflict, NotFound, StorageError, UnknownModel, ValidationFailed
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.registry import BOTH, Level, Strength, rule
from treaty_contracts.storage_room import Cluster, Gate, Heard, Host, Room

#: What calls must do before anything can be said about storage.
CALLS = (*(f"LINE-{number:03}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9)), "INBOX-001", "INBOX-002", "INBOX-003",
         "CALL-001", "CALL-002", "CALL-003", "ERR-001", "ERR-002", "AUTH-001", "AUTH-002")  # fmt: skip
NEWS = (*CALLS, "NOTE-001", "NOTE-003", "NOTE-004", "NOTE-005", "NOTE-007", "NOTE-008")
NEEDS = ("notifications",)


@rule(
    "STORAGE-001",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="What is saved is got, listed and deleted as instances, with their versions, hidden fields included.",
    intent="A program works with its own classes, not with messages.",
    causes=("answers are changed on the way", "large answers are cut"),
    mutants=("forgets-versions",),
    requires=CALLS,
)
def instances_come_back(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage = room.storage()
    do = partial(room.do, storage)
    saved = do("save", Host(address="a", password="s3cret"))
    bench.expect.equal(saved, Host(address="a", password="s3cret", revision=1), "what save returns")
    bench.expect.equal(do("get", Host, "a"), saved, "what get returns")
    names = [f"{number:03}" for number in range(bench.profile.burst)]
    do("save_many", [Cluster(name, int(name)) for name in reversed(names)])
    bench.expect.equal([one.name for one in do("list", Cluster)], names, "a list, in the order of the keys")
    bench.expect.equal(do("get_many", Cluster, ["002", "001"]), [Cluster("002", 2), Cluster("001", 1)], "many at once")
    again = do("save", Host(address="a", port=23, revision=saved.revision))
    bench.expect.equal(do("get", Host, "a").password, "s3cret", "a hidden field that was not given")
    do("delete", again)
    do("delete_many", Cluster, names)
    bench.expect.equal((do("list", Host), do("list", Cluster)), ([], []), "what is left after all was deleted")


@rule(
    "STORAGE-002",
    level=Level.MUST,
    sentence="Many are saved or deleted together or not at all.",
    intent="Half of what belongs together is worse than nothing of it.",
    causes=("many become many calls",),
    mutants=("saves-one-by-one",),
    requires=("STORAGE-001",),
)
def many_or_none(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage = room.storage()
    storage.save(Host(address="b"))
    before = room.kept
    attempts: dict[str, tuple[type[StorageError], Callable[[], object]]] = {
        "one of three with a stale version": (
            Conflict,
            lambda: storage.save_many([Host(address=key) for key in "abc"]),
        ),
        "one of two that is not there": (NotFound, lambda: storage.delete_many(Host, ["b", "x"])),
        "a list of mixed types": (ValidationFailed, lambda: storage.save_many([Host(address="a"), Cluster("a")])),
    }
    for what, (kind, attempt) in attempts.items():
        bench.expect.raises(kind, attempt, what)
        bench.expect.equal(room.kept, before, f"what is kept after {what}")


@rule(
    "STORAGE-003",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="NotFound, Conflict, ValidationFailed and UnknownModel keep their type and what they name, and nothing has changed.",
    intent="A program that can tell a conflict from a mistake can do something about it.",
    causes=("details of errors are lost on the way",),
    mutants=("ignores-what-is-expected",),
    requires=("STORAGE-001",),
)
def errors_keep_their_type(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage = room.storage()
    ask = partial(room.asks, storage)
    old = storage.save(Host(address="a"))
    storage.save(old)
    before = room.kept
    call = bench.client().call
    cases: list[tuple[type[StorageError], Callable[[], Any], dict[str, object]]] = [
        (NotFound, ask("get", Host, "zz"), {"model": "Host", "key": "zz"}),
        (NotFound, ask("delete", Host, "zz"), {"model": "Host", "key": "zz"}),
        (NotFound, ask("get_many", Cluster, ["zz"]), {"model": "Cluster", "key": "zz"}),
        (Conflict, ask("save", old), {"model": "Host", "key": "a", "expected": 1, "actual": 2}),
        (Conflict, ask("delete", old), {"model": "Host", "key": "a", "expected": 1, "actual": 2}),
        (ValidationFailed, ask("save", Host(address="a", port="x")), {"model": "Host", "field": "port"}),  # type: ignore[arg-type]
        (
            ValidationFailed,
            partial(call, f"{room.name}.save", {"model": "Host", "data": {"address": "a", "port": "x"}}),
            {"model": "Host", "field": "port"},
        ),
        (
            UnknownModel,
            partial(call, f"{room.name}.save", {"model": "Nothing", "data": {}}),
            {"model": "Nothing", "known": ["Host", "Cluster"]},
        ),
    ]
    for kind, attempt, named in cases:
        error = bench.expect.raises(kind, attempt, f"what is refused as {kind.__name__}")
        bench.expect.that(type(error) is kind, f"{kind.__name__} and nothing more special", repr(error))
        said = {name: getattr(error, name, None) for name in named}
        same = {name: sorted(value) if isinstance(value, list) else value for name, value in said.items()}
        wanted = {name: sorted(value) if isinstance(value, list) else value for name, value in named.items()}
        bench.expect.equal(same, wanted, f"what {kind.__name__} names")
        bench.expect.equal(room.kept, before, f"what is kept after {kind.__name__}")


@rule(
    "STORAGE-004",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A callback is told of the changes of its model, or of all, and of its event, or of any; and of nothing else.",
    intent="Whoever asks for one thing must not have to sort out others.",
    causes=("topics are matched by the library's own rules",),
    mutants=("tells-every-event",),
    requires=("STORAGE-001", *NEWS),
)
def callbacks_by_model_and_event(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage = room.storage()
    kinds: list[tuple[type | None, str]] = [
        (cls, event) for cls in (Host, Cluster, None) for event in ("any", "created", "updated", "deleted")
    ]
    heard = {(cls, event): room.listen(storage, cls, event) for cls, event in kinds}
    host = storage.save(Host(address="a"))
    storage.save(Cluster("c", 3))
    host = storage.save(host)
    storage.delete(Cluster, "c")
    storage.delete(host)
    for _ in range(2):
        storage.save(Cluster("fence"))
    storage.delete(Cluster, "fence")
    storage.save(Host(address="fence"))
    storage.save(Host(address="fence", revision=9))
    storage.delete(Host, "fence")
    told: list[tuple[str, Any]] = [
        ("created", Host(address="a", revision=1)),
        ("created", Cluster("c", 3)),
        ("updated", Host(address="a", revision=3)),
        ("deleted", Cluster("c", 3)),
        ("deleted", Host(address="a", revision=5)),
    ]
    for (cls, event), one in heard.items():
        wanted = [(what, it) for what, it in told if (cls is None or isinstance(it, cls)) and event in ("any", what)]
        found = []
        while (came := one.next())[2].key != "fence":
            found.append((str(came[0]), came[1]))
        what = f"what is told of {cls.__name__ if cls else 'all models'}, {event}"
        bench.expect.equal(found, wanted, what)


@rule(
    "STORAGE-005",
    level=Level.MUST,
    needs=NEEDS,
    sentence="Whoever saves and however many at once: each callback is told each change once, and those of one object in order.",
    intent="Subscribers keep a state of their own up to date.",
    causes=("notifications are lost, repeated or overtaken, and the core does not see it",),
    mutants=("tells-twice",),
    requires=("STORAGE-004",),
    strength=Strength.STOCHASTIC,
)
def each_change_once(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    writers = [room.storage() for _ in range(3)]
    heard = [room.listen(room.storage()), room.listen(writers[0], Cluster)]
    turns = bench.profile.burst

    def save(number: int) -> None:
        for turn in range(turns):
            writers[number].save(Cluster(f"{turn % 5}", number))
            if turn % 7 == 6:
                writers[number].save(Cluster(f"own-{number}", turn))
                writers[number].delete(Cluster, f"own-{number}")

    bench.did(f"3 clients saved {turns} times each, at once, five objects in turns")
    for saving in [Aside(partial(save, number)) for number in range(3)]:
        saving.result(bench.profile.limit)
    writers[0].save(Cluster("last"))
    for one in heard:
        one.until("last")
        sequences = [notice.sequence for notice in one.all]
        bench.expect.equal(sequences, list(range(1, room.shelf.head + 1)), "the sequences that are told")
        room.agrees(one, "a callback")


@rule(
    "STORAGE-006",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A hidden field never stands in a frame that is published, nor in anything that a callback is given.",
    intent="Whoever may listen may not know everything.",
    causes=("objects are published, and not changes", "whoever follows reads objects as their owner does"),
    mutants=("publishes-hidden-fields", "snapshots-show-hidden-fields"),
    requires=("STORAGE-004",),
)
def hidden_fields_are_not_published(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage = room.storage()
    heard = room.listen(storage)
    secret = "hidden" + os.urandom(12).hex()
    host = storage.save(Host(address="a", password=secret))
    host = storage.save(Host(address="a", port=1, password=secret + "2", revision=host.revision))
    begun = room.listen(storage, snapshot=True).next()
    storage.delete(host)
    published = [begun, *(heard.next() for _ in range(3))]
    for event, instance, message in published:
        text = f"{event} {instance!r} {message!r} {message.data!r} {getattr(instance, 'password', '')!r}"
        bench.expect.that(secret not in text, "no hidden field in what a callback is given", text)
    frames = [crossing.frame for crossing in bench.trace.snapshot() if crossing.verb == "publish"]
    bench.expect.that(len(frames) >= 3, "three notifications that were published", len(frames))
    holding = [frame for frame in frames if secret.encode() in frame]
    bench.expect.that(not holding, "no hidden field in a frame that is published", holding[:1])


@rule(
    "STORAGE-007",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A callback that raises keeps its registration, and is told each change once all the same.",
    intent="One change that a program cannot digest must not make it deaf.",
    causes=("the reading thread ends with the exception",),
    mutants=("callbacks-end-when-they-raise",),
    requires=("STORAGE-004",),
)
def raising_callbacks_stay(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage, heard = room.storage(), Heard(bench)

    def callback(event: str, instance: Any, message: Any) -> None:
        heard(event, instance, message)
        raise LookupError("on purpose")

    registered = storage.register_callback(callback, Cluster)
    for name in "abc":
        storage.save(Cluster(name))
        bench.expect.equal(heard.next()[2].key, name, "what a callback that raises is told")
    bench.expect.that(not registered.closed, "a registration that is open", registered)


@rule(
    "STORAGE-008",
    level=Level.MUST,
    needs=NEEDS,
    sentence="A callback that takes long delays neither who saves nor other callbacks, and is told all of it when it has time.",
    intent="One stuck dashboard must not stop the system that it watches.",
    causes=("publishing waits for every subscriber",),
    mutants=("callbacks-wait-for-each-other",),
    requires=("STORAGE-005",),
)
def slow_callbacks_delay_nobody(bench: Bench) -> None:
    room, gate = Room(bench), Gate(bench)
    room.serve()
    storage, slow = room.storage(), Heard(bench)

    def callback(event: str, instance: Any, message: Any) -> None:
        gate.wait()
        slow(event, instance, message)

    storage.register_callback(callback, Cluster)
    quick = room.listen(storage, Cluster)
    storage.save(Cluster("first"))
    bench.expect.that(gate.reached.wait(bench.times.arrive), "the slow callback is called", "it is not")
    bench.did("one callback stood still while others were told of what was saved")
    for number in range(bench.profile.burst):
        storage.save(Cluster(f"{number % 3}", number))
    storage.save(Cluster("last"))
    quick.until("last")
    gate.let_go()
    slow.until("last")
    bench.expect.equal(slow.spelled(), quick.spelled(), "what the slow one is told, and the quick one")


@rule(
    "STORAGE-009",
    level=Level.MUST,
    needs=NEEDS,
    sentence="No callback begins after its registration was closed, and closing one ends no other.",
    intent="A callback that runs after it was removed runs on what is gone.",
    causes=("unsubscribing is not waited for", "the channel is left for all"),
    mutants=("goes-on-telling",),
    requires=("STORAGE-004",),
)
def nothing_after_close(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage = room.storage()
    kept, left = room.listen(storage, Cluster), Heard(bench)
    registered = storage.register_callback(left, Cluster)
    storage.save(Cluster("first"))
    bench.expect.equal([kept.next()[2].key, left.next()[2].key], ["first", "first"], "what both are told first")
    registered.close()
    for number in range(3):
        storage.save(Cluster(f"later {number}"))
        bench.expect.equal(kept.next()[2].key, f"later {number}", "what the one that stayed is told")
    bench.expect.that(bench.stays(lambda: left.empty), "the one that was closed is told nothing", left.spelled())
    anew = room.listen(storage, Cluster)
    storage.save(Cluster("anew"))
    bench.expect.equal(anew.next()[2].key, "anew", "what one is told that was registered after that")


@rule(
    "STORAGE-010",
    level=Level.MUST,
    needs=NEEDS,
    sentence="With another secret nobody is told anything, and nobody can tell anything.",
    intent="Notifications are sealed like everything else.",
    causes=("notifications are not authenticated",),
    mutants=("registers-without-asking",),
    requires=("STORAGE-004", "AUTH-003", "AUTH-004"),
)
def strangers_hear_nothing(bench: Bench) -> None:
    room = Room(bench)
    room.serve()
    storage, other = room.storage(), os.urandom(32)
    heard, stranger = room.listen(storage), room.storage(secret=other)
    overheard: list[Notification] = []
    told = Heard(bench)
    bench.expect.raises(
        AuthenticationError,
        partial(stranger.register_callback, told, Cluster),
        "a registration with another secret",
    )
    bench.client(secret=other).subscribe(f"{room.name}.#", overheard.append)
    storage.save(Cluster("a", 1))
    bench.expect.equal(heard.next()[2].key, "a", "what is told with the right secret")
    fake = {"feed": "main", "epoch": room.shelf.epoch, "sequence": 2, "event": "created", "model": "Cluster",
            "key": "forged", "data": {"name": "forged"}, "at": 0}  # fmt: skip
    bench.did("somebody with a third secret published a change of his own, on the same channel")
    forger = type("Forger", (Service,), {"name": room.name})(bench.transport("service"), secret=os.urandom(32))
    forger.publish("Cluster.created", fake)
    storage.save(Cluster("b", 2))
    bench.expect.equal(heard.next()[2].key, "b", "what is told next")
    bench.expect.that(
        bench.stays(lambda: told.empty and not overheard), "nothing is heard with another secret", overheard
    )
