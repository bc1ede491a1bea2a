"""Coming back into the middle of something."""

from __future__ import annotations

import sys

import pytest

from treaty_contracts.midway import Midway
from treaty_memory import connect
from treaty_memory import transport as memory


def test_every_step_is_come_back_to_once() -> None:
    with connect("memory://midway") as transport, transport.serve("svc", 99), transport.dial() as line:

        def send() -> None:
            line.send("svc", b"x", 1)

        counting = Midway(0, lambda: pytest.fail("not to be called"))
        counting.during(send)
        assert counting.steps > 5
        assert not counting.where
        places, visits = [], []
        for number in range(1, counting.steps + 1):
            one = Midway(number, lambda: visits.append(sys.gettrace()))
            one.during(send)
            places.append(one.where)
        # Neither what is done there nor the standard library has steps.
        assert visits == [None] * counting.steps
        assert {place.rpartition(":")[0] for place in places} >= {memory.__file__, __file__}
        assert not [place for place in places if "threading.py" in place]
        beyond = Midway(counting.steps + 1, lambda: pytest.fail("not to be called"))
        beyond.during(send)
        assert not beyond.where


def test_what_is_raised_there_goes_through() -> None:
    with connect("memory://midway") as transport, transport.serve("svc", 99), transport.dial() as line:
        before = sys.gettrace()

        def fail() -> None:
            raise LookupError("there")

        with pytest.raises(LookupError, match="there"):
            Midway(1, fail).during(lambda: line.send("svc", b"x", 1))
        assert sys.gettrace() is before
