"""The fault run in small, and that its judge misses nothing. The whole of it: ``python -m benchmarks``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# The benchmarks are no installed package.
sys.path.append(str(Path(__file__).parents[3]))

from benchmarks.fault_judge import Life, Logged, Objects, Verdict
from benchmarks.fault_models import Expected, GapTold, Told
from benchmarks.faults import Place, run

LOG = [
    Logged(1, "e", "created", "Host", "a"),
    Logged(2, "e", "created", "Cluster", "c"),
    Logged(3, "e", "updated", "Host", "a"),
    Logged(4, "e", "created", "Host", "b"),
    Logged(5, "e", "deleted", "Host", "b"),
]
OBJECTS: Objects = {("Host", "a"): (3, "v3"), ("Cluster", "c"): (2, "v2")}


@pytest.fixture
def place() -> Iterator[Path]:
    """A short directory: the path of a socket has 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="tf", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def test_faults_leave_no_silent_gap(place: Path) -> None:
    said: list[str] = []
    ipc = Place("zmq ipc", f"{place}/s", lambda address: f"zmq+ipc://{address}")
    verdict = run(ipc, changes=300, faults=5, seed=1, hold=0.2, threads=4, say=said.append)
    assert verdict.good, "\n".join([*verdict.findings, *said])
    assert verdict.changes >= 300 and sum(verdict.faults.values()) == 5


def told(*sequences: int, source: str = "live") -> list[Told]:
    changes = [LOG[number - 1] for number in sequences]
    return [
        Told("any", one.event, one.model, one.key, one.epoch, one.sequence, source, f"v{one.sequence}")
        for one in changes
    ]


def judged(record: list[Told], *, snapshot: bool = False, last: bool = True) -> Verdict:
    verdict = Verdict()
    hosts = [
        Told("Host", one.event, one.model, one.key, one.epoch, one.sequence, one.source, one.value)
        for one in record
        if one.model == "Host"
    ]
    verdict.judge([Life("s1", Path("s1.0"), snapshot, last, [*record, *hosts])], LOG, OBJECTS)
    return verdict


def test_the_judge_finds_nothing_where_nothing_is() -> None:
    assert judged(told(1, 2, 3, 4, 5)).good
    assert judged(told(1, 2, 3), last=False).good
    assert judged([*told(2, 3, source="snapshot")], snapshot=True).good
    assert judged([*told(1, 2, source="snapshot"), *told(3, 4, 5)], snapshot=True).good
    # What was deleted while the list was read is told of, or not.
    assert judged([*told(1, 2, source="snapshot"), *told(3, source="log")], snapshot=True, last=False).good
    assert judged([*told(2, 3, source="snapshot"), *told(4, 5, source="log")], snapshot=True).good


@pytest.mark.parametrize(
    ("sequences", "what"),
    [
        ((1, 2, 3, 4), "silent"),
        ((1, 3, 4, 5), "silent"),
        ((1, 2, 3, 3, 4, 5), "duplicates"),
        ((1, 2, 4, 3, 5), "disorder"),
    ],
)
def test_the_judge_finds_what_is_there(sequences: tuple[int, ...], what: str) -> None:
    verdict = judged(told(*sequences))
    assert getattr(verdict, what) > 0 and not verdict.good


def test_the_judge_finds_what_a_list_did_not_bring() -> None:
    assert judged([*told(2, source="snapshot"), *told(4, 5)], snapshot=True).silent > 0
    assert judged([*told(1, 2, source="snapshot"), *told(4, 5)], snapshot=True).silent > 0


def test_the_judge_compares_the_log_and_the_values() -> None:
    other = told(1, 2, 3, 4, 5)
    other[2] = Told("any", "updated", "Host", "a", "e", 3, "live", "something else")
    assert judged(other).silent > 0
    other[2] = Told("any", "created", "Host", "a", "e", 3, "live", "v3")
    assert judged(other).wrong > 0
    assert judged([*told(1, 2, 3, 4, 5), Told("any", "created", "Host", "z", "e", 9, "live", "v9")]).wrong > 0


def test_the_judge_counts_gaps_and_compares_the_store_with_what_was_saved() -> None:
    verdict = Verdict()
    verdict.judge(
        [Life("s1", Path("s1.0"), snapshot=True, last=False, told=[GapTold("any", 3, resync=False, reason="missed")])],
        LOG,
        OBJECTS,
    )
    assert (verdict.gaps, verdict.resyncs, verdict.good) == (1, 0, True)
    saved = Expected(objects=[("Host", "a", "v3", "p")], troubles=[], repeated=2)
    verdict.judge_store(saved, {("Host", "a"): ("v3", "p")})
    assert verdict.good and verdict.repeated == 2
    verdict.judge_store(saved, {("Host", "a"): ("v3", "")})
    verdict.judge_store(saved, {})
    assert verdict.wrong == 2
