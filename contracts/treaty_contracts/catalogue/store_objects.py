"""STORE: what is written into a store and read back, and what a batch does and does not do.

Each rule works on fresh storage. It must not know any store in particular.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from treaty.storage import Batch, Conflict, Entry, NotFound, Store
from treaty_contracts import store_judging as judging
from treaty_contracts.alphabet import CHARACTERS
from treaty_contracts.judging import faithful
from treaty_contracts.registry import Level, Strength, rule
from treaty_contracts.store_bench import ALL, HIDDEN, MODEL, StoreBench, done, drop, log, put, spelled, versions

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
#: What has been misread by one database or another.
HARD = "Grüße \u2028 \U0001f600 \"quoted\" \\ 'single' \x01 %s :name ? --"


def objects(store: Store) -> dict[str, tuple[int, dict[str, Any]]]:
    return {entry.key: (entry.version, entry.data) for entry in store.list(MODEL, limit=ALL)}


@rule(
    "STORE-001",
    level=Level.MUST,
    sentence="A store declares whether it is durable and whether it is shared, and opens on empty storage with an empty log.",
    intent="Everything else rests on what is declared, and begins with nothing.",
    causes=("durable or shared is missing in the class", "open() needs something that the target has to prepare"),
    mutants=("begins-at-one",),
)
def opens_empty(bench: StoreBench) -> None:
    promises = bench.promises
    bench.did(f"it declares {promises}")
    store = bench.open()
    standing = store.standing()
    bench.expect.equal((standing.sequence, standing.published), (0, 0), "where an empty log ends, and is published to")
    bench.expect.that(standing.epoch, "an epoch that is not empty", standing.epoch)
    bench.expect.equal(dict(store.get(MODEL, ["a"])), {}, "what is found in an empty store")
    bench.expect.equal(list(store.list(MODEL)), [], "what is listed of an empty store")
    page = store.changes_since(standing.position)
    found = (tuple(page.changes), page.more, page.lost, page.head)
    bench.expect.equal(found, ((), False, None, 0), "changes, more, lost and head of an empty log")


@rule(
    "STORE-002",
    level=Level.MUST,
    sentence="Each change gets the next sequence, from 1 on and without holes, and an object's version is that of its change.",
    intent="Subscribers notice what they missed by nothing but holes: a hole that means nothing makes them read for ever.",
    causes=(
        "a sequence object of the database counts, and what is rolled back leaves a hole",
        "versions are counted by object",
    ),
    mutants=("leaves-holes", "counts-versions-by-object"),
    requires=("STORE-001",),
)
def sequences_have_no_holes(bench: StoreBench) -> None:
    store = bench.open()
    for number in range(bench.profile.rounds * 2):
        store.write([(put(f"a{number}"), put("x")), (drop("never"),), (put("b", number),)])
        store.write([(put("x", expected=10**6),), (drop("never"),)])
    changes = log(store)
    bench.expect.judged(judging.numbered(changes, 0, "the sequences in the log"))
    bench.expect.equal(store.standing().sequence, len(changes), "where the log ends")
    bench.expect.equal(versions(store), judging.retold(changes), "the versions of the objects")


@rule(
    "STORE-003",
    level=Level.MUST,
    sentence="Whatever JSON can say is read back as it was written, from the objects and from the log.",
    intent="A float that comes back as an integer, or a character that is lost, is found much later.",
    causes=("a column has a collation or an encoding of its own", "the driver turns numbers into its own types"),
    mutants=("floats-become-integers",),
    requires=("STORE-001", "STORE-002"),
    strength=Strength.STOCHASTIC,
)
def values_come_back(bench: StoreBench) -> None:
    store = bench.open()

    def check(case: tuple[str, Any]) -> None:
        key, value = case
        start = store.standing().position
        (change,) = done(store.write([(put(key, value),)])[0])
        read = store.get(MODEL, [key])[key].data["value"]
        listed = next(entry for entry in store.list(MODEL, limit=ALL) if entry.key == key).data["value"]
        logged = store.changes_since(start).changes[-1]
        told = (logged.data or {}).get("value")
        bench.expect.equal((change.key, logged.key), (key, key), "the key of the change, as returned and in the log")
        bench.expect.judged(
            faithful([(value, read), (value, listed), (value, told)], "a value, read, listed and logged")
        )

    check((HARD, [HARD, {HARD: 1.0, "": None}, 2**63 - 1, -0.5, 1e300, True, 1]))
    bench.each(st.tuples(_TEXT.filter(bool), _JSON), check, trips=4)


@rule(
    "STORE-004",
    level=Level.MUST,
    sentence="An object is created, updated and deleted, each told as what it is, and a version never comes back.",
    intent="Whoever holds an old version must not be able to save over an object that was deleted and made anew.",
    causes=("deleting forgets the version", "an upsert does not tell whether there was something"),
    mutants=("tells-updates-as-creations",),
    requires=("STORE-002",),
)
def objects_come_and_go(bench: StoreBench) -> None:
    store = bench.open()
    told = [
        spelled(done(outcome))[0][1]
        for outcome in (
            store.write([(one,)])[0] for one in (put("a"), put("a", 2), drop("a"), put("a", 3), put("a", 3))
        )
    ]
    bench.expect.equal(told, ["created", "updated", "deleted", "created", "updated"], "what the changes are told as")
    store.write([(put("b"), drop("b"), put("b", "again"), put("b", "last"))])
    store.write([(put("c"), drop("c"))])
    changes = log(store)
    logged = [change.event.value for change in changes]
    wanted = [*told, "created", "deleted", "created", "updated", "created", "deleted"]
    bench.expect.equal(logged, wanted, "the events in the log")
    bench.expect.equal(
        {key: data["value"] for key, (_, data) in objects(store).items()}, {"a": 3, "b": "last"}, "what is left"
    )
    bench.expect.equal(versions(store), judging.retold(changes), "the versions of what is left")
    gone = changes[2]
    bench.expect.equal(gone.data, {"value": 2}, "what the log says of an object that was deleted: how it was before")


@rule(
    "STORE-005",
    level=Level.MUST,
    sentence="Reading gives what is there of a model: nothing for unknown models and missing keys, and never another model's.",
    intent="Two models may use the same keys.",
    causes=("the model is not part of the primary key", "a missing key raises"),
    mutants=("mixes-models",),
    requires=("STORE-002",),
)
def reading_what_is_not_there(bench: StoreBench) -> None:
    store = bench.open()
    store.write([(put("a", 1), put("a", 2, model="Other"), put("b", 3, model="Other"))])
    bench.expect.equal(dict(store.get("Unknown", ["a"])), {}, "what is found of an unknown model")
    bench.expect.equal(list(store.list("Unknown")), [], "what is listed of an unknown model")
    bench.expect.equal(dict(store.get(MODEL, [])), {}, "what is found of no keys")
    for model, wanted in ((MODEL, {"a": 1}), ("Other", {"a": 2, "b": 3})):
        found = {key: entry.data["value"] for key, entry in store.get(model, ["a", "b", "c", "a"]).items()}
        bench.expect.equal(found, wanted, f"what is found of {model}")
        listed = {entry.key: entry.data["value"] for entry in store.list(model)}
        bench.expect.equal(listed, wanted, f"what is listed of {model}")


def _refused(bench: StoreBench, kind: type[Exception], batch: Batch, what: str, store: Store) -> Exception:
    before = (objects(store), log(store), store.standing())
    (outcome,) = store.write([batch])
    bench.expect.that(isinstance(outcome, kind), f"{what}: {kind.__name__}", repr(outcome))
    assert isinstance(outcome, Exception)
    bench.expect.equal((objects(store), log(store), store.standing()), before, f"{what}: everything as it was")
    return outcome


@rule(
    "STORE-006",
    level=Level.MUST,
    sentence="Deleting what is not there is NotFound, which names it, and changes nothing.",
    intent="A change that did not happen must not be told.",
    causes=("DELETE is not asked how many rows it deleted",),
    mutants=("deletes-nothing-silently",),
    requires=("STORE-004",),
)
def deleting_nothing(bench: StoreBench) -> None:
    store = bench.open()
    store.write([(put("a"), put("b"))])
    store.write([(drop("b"),)])
    for key in ("b", "never"):
        error = _refused(bench, NotFound, (drop(key),), f"deleting {key!r}, which is not there", store)
        bench.expect.equal(
            (getattr(error, "model", ""), getattr(error, "key", "")), (MODEL, key), "what the error names"
        )


@rule(
    "STORE-007",
    level=Level.MUST,
    sentence="A write that expects another version than there is is a Conflict, which says both, and changes nothing.",
    intent="Two who change one object at once must not undo each other's work.",
    causes=("the version is compared outside of the transaction", "0 is not understood as: not there"),
    mutants=("ignores-versions",),
    requires=("STORE-004",),
)
def versions_are_compared(bench: StoreBench) -> None:
    store = bench.open()
    (first,) = done(store.write([(put("a"),)])[0])
    (second,) = done(store.write([(put("a", 2, expected=first.version),)])[0])
    cases = [
        (put("a", 3, expected=first.version), second.version),
        (drop("a", expected=first.version), second.version),
        (put("a", 3, expected=0), second.version),
        (put("a", 3, expected=second.version + 1), second.version),
        (put("b", 3, expected=first.version), 0),
        (drop("b", expected=second.version), 0),
    ]
    for write, actual in cases:
        error = _refused(bench, Conflict, (write,), f"{write!r} if version {write.expected}", store)
        said = (getattr(error, "key", ""), getattr(error, "expected", None), getattr(error, "actual", None))
        bench.expect.equal(said, (write.key, write.expected, actual), "key, expected and actual version of the error")
    done(store.write([(drop("a", expected=second.version),)])[0])
    done(store.write([(put("a", 4, expected=0),)])[0])
    _refused(bench, Conflict, (put("a", 5, expected=second.version),), "a version from before it was deleted", store)


@rule(
    "STORE-008",
    level=Level.MUST,
    sentence="A batch is done wholly or not at all, in the order given, and one that fails keeps no other from being done.",
    intent="Half of what belongs together is worse than nothing of it.",
    causes=("each write has a transaction of its own", "one failure rolls all batches back"),
    mutants=("does-half-a-batch", "one-failure-fails-all"),
    requires=("STORE-004", "STORE-006", "STORE-007"),
)
def all_or_nothing(bench: StoreBench) -> None:
    store = bench.open()
    store.write([(put("a"),)])
    one = versions(store)["a"]
    outcomes = store.write(
        [
            (put("b"), put("a", 7), drop("never")),
            (put("c"), put("a", 2, expected=one), put("c", 2)),
            (put("d"), put("a", 3, expected=one)),
            (put("e"),),
        ]
    )
    kinds = [type(outcome).__name__ for outcome in outcomes]
    bench.expect.equal(kinds, ["NotFound", "tuple", "Conflict", "tuple"], "what becomes of four batches")
    bench.expect.equal(
        {key: data["value"] for key, (_, data) in objects(store).items()}, {"a": 2, "c": 2, "e": 1}, "what is there"
    )
    bench.expect.equal([change.key for change in log(store)], ["a", "c", "a", "c", "e"], "what the log says")


@rule(
    "STORE-009",
    level=Level.MUST,
    sentence="Whatever batches are written, objects, outcomes and log are those of a plain dict that is changed one by one.",
    intent="What works alone must work together.",
    causes=("the order within a batch is lost", "an object that is made and unmade in one go leaves something behind"),
    mutants=("deletes-last",),
    requires=("STORE-006", "STORE-007", "STORE-008"),
    strength=Strength.STOCHASTIC,
)
def histories_agree_with_a_dict(bench: StoreBench) -> None:
    store = bench.open()
    values = st.integers(0, 3)
    write = st.builds(
        lambda key, value, expected: (
            drop(key, expected=expected) if value is None else put(key, value, expected=expected)
        ),
        st.sampled_from("abc"),
        st.none() | values,
        st.none() | st.integers(0, 4),
    )
    drawn = st.lists(st.lists(write, min_size=1, max_size=4).map(tuple), min_size=1, max_size=5)

    def check(batches: list[Batch]) -> None:
        before, standing = objects(store), store.standing()
        # What is drawn as a small version is one that may be right: counted from where the log is.
        wanted = judging.expected(batches, before, standing.sequence)
        outcomes = store.write(batches)
        found = [
            type(one) if isinstance(one, Exception) else [(str(change.event.value), change.key) for change in one]
            for one in outcomes
        ]
        bench.expect.equal(found, wanted.outcomes, f"what becomes of {batches!r}")
        bench.expect.judged(judging.same_objects(objects(store), wanted.objects, "the objects"))
        told = judging.retold(
            store.changes_since(standing.position, limit=ALL).changes, {key: one for key, (one, _) in before.items()}
        )
        bench.expect.equal(told, versions(store), "what somebody knows who reads the log")

    check([(put("a"), drop("a"), put("a", 2)), (put("b"), drop("b")), (drop("a"), put("c"), drop("c"), put("a", 1))])
    bench.each(drawn, check, trips=4)


@rule(
    "STORE-010",
    level=Level.MUST,
    sentence="A list is in the order of the keys' code points, and is read in parts without losing or repeating anything.",
    intent="Whoever reads a long list part by part goes on behind the last key that they got.",
    causes=("the database sorts by a collation", "the limit or the key is compared by other rules than the order"),
    mutants=("sorts-without-case",),
    requires=("STORE-002", "STORE-005"),
)
def lists_are_in_order(bench: StoreBench) -> None:
    store = bench.open()
    keys = ["B", "a", "Z", "10", "9", "ä", "\U0001f600", "\uffee", "a b", "a-b", "a_b", "a%", "ß", "SS", "é", "e\u0301"]
    store.write([(*(put(key) for key in keys), put("other", model="Other"))])
    for limit in (1, 5, len(keys), len(keys) + 1):
        found: list[Entry] = []
        while part := store.list(MODEL, after=found[-1].key if found else "", limit=limit):
            bench.expect.that(len(part) <= limit, f"at most {limit} objects at once", len(part))
            found += part
        bench.expect.equal([entry.key for entry in found], sorted(keys), f"a list read {limit} at a time")


@rule(
    "STORE-011",
    level=Level.MUST,
    sentence="What is given and returned is never shared: altering a document alters nothing in the store.",
    intent="A store in which everybody may write past the log has no log.",
    causes=("documents are kept as they were given", "a cache hands out what it holds"),
    mutants=("shares-documents",),
    requires=("STORE-003",),
)
def nothing_is_shared(bench: StoreBench) -> None:
    store = bench.open()
    write = put("a", [1], secret=[1])
    assert write.data is not None
    outcome = done(store.write([(write,)])[0])
    write.data["value"].append(2)
    for change in (*outcome, *log(store)):
        (change.data or {})["value"].append(3)
    store.get(MODEL, ["a"])["a"].data["value"].append(4)
    store.list(MODEL)[0].data["value"].append(5)
    bench.did("altered the document that was written, and all that were returned")
    bench.expect.equal(store.get(MODEL, ["a"])["a"].data, {"value": [1], HIDDEN: [1]}, "the object")
    bench.expect.equal(log(store)[0].data, {"value": [1]}, "the change in the log")
