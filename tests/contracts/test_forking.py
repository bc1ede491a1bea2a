"""A forked child of a rule: what it reports, and what is said of one that does not."""

from __future__ import annotations

import os
import threading

import pytest

from treaty_contracts.expect import Violated
from treaty_contracts.forking import Child


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
