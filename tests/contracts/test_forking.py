"""A forked child of a rule: what it reports, and what is said of one that does not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from treaty import Transport
from treaty_contracts.bench import Bench
from treaty_contracts.expect import Violated
from treaty_contracts.forking import Child
from treaty_contracts.peer import Peer
from treaty_contracts.profile import PROFILES
from treaty_memory.contract import memory

QUICK = PROFILES["quick"]


def test_what_it_returns_is_the_report() -> None:
    assert Child(lambda: {"a": [1]}, 30).report() == {"a": [1]}


def test_what_it_raises_is_the_report() -> None:
    assert Child(lambda: 1 / 0, 30).report() == "ZeroDivisionError: division by zero"


def test_one_that_dies_or_hangs_breaks_the_rule() -> None:
    for work in (lambda: os._exit(0), threading.Event().wait):
        with pytest.raises(Violated, match=r"nothing in 0\.2 s: it hung or died"):
            Child(work, 0.2).report()


def test_one_whose_report_somebody_else_wrote_into_breaks_the_rule() -> None:
    def work() -> str:
        os.write(child_writes, b"junk")
        return "report"

    reading, child_writes = os.pipe()
    os.close(reading)
    os.close(child_writes)  # the next pipe has these two: as if somebody wrote to all descriptors that there are
    with pytest.raises(Violated, match="something else was written where it reports: b'junk"):
        Child(work, 30).report()


def test_another_process_does_its_steps_in_turn_with_the_rule() -> None:
    def work(transport: Transport, peer: Peer) -> str:
        peer.tell()
        peer.wait()
        return type(transport).__name__

    with closing(Bench(memory, QUICK)) as bench:
        peer = Peer(bench, "client", work)
        peer.did("begins")
        peer.go()
        assert peer.report() == "MemoryTransport"


@pytest.mark.parametrize(
    ("work", "observed"),
    [
        (lambda *_: threading.Event().wait(), r"says nothing in 0\.4 s: it hangs"),
        (lambda *_: "gone", "it reports 'gone'"),
        (lambda *_: 1 / 0, "it reports 'ZeroDivisionError"),
    ],
)
def test_a_process_that_does_not_come_to_a_step_breaks_the_rule(
    work: Callable[[Transport, Peer], object], observed: str
) -> None:
    with closing(Bench(replace(memory, time_scale=0.02), QUICK)) as bench:
        peer = Peer(bench, "client", work)
        with pytest.raises(Violated, match=observed) as caught:
            peer.did("takes the step")
        assert caught.value.expected == "another process takes the step"
