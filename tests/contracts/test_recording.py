"""The recorder: frames, and errors in place of frames, in the order in which they came."""

from __future__ import annotations

import pytest

import treaty_memory
from treaty import ClosedError, Line, Unavailable
from treaty_contracts.recording import Recorder, Trace
from treaty_contracts.wrapping import WrappedLine, WrappedTransport


class Refusing(WrappedLine):
    """Takes no request a second time."""

    count = 0

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.count += 1
        if self.count == 2:
            raise Unavailable("the queue\nis full" + "!" * 500)
        self.inner.send(service, frame, timeout)


class Full(WrappedTransport):
    """Its lines refuse."""

    def line(self, inner: Line) -> Line:
        return Refusing(inner)


def test_what_was_raised_stands_among_the_frames() -> None:
    trace = Trace()
    with Recorder(Full(treaty_memory.connect("memory://recording")), trace, "client") as transport:
        inbox, line = transport.serve("echo", 3), transport.dial()
        line.send("echo", b"one", 1)
        with pytest.raises(Unavailable):
            line.send("echo", b"two", 1)
        line.send("echo", b"three", 1)
        inbox.close()
        with pytest.raises(ClosedError):
            inbox.receive(0)
    told = [text[14:] for text in trace.lines()]
    assert told == [
        "line-2     -> send            3 B  6f 6e 65",
        "line-2     -> send            3 B  74 77 6f",
        "line-2     !! send     Unavailable: the queue",
        "line-2     -> send            5 B  74 68 72 65 65",
        f"inbox-1    !! receive  ClosedError: {told[-1].partition('ClosedError: ')[2]}",
    ]
    trace.restart()
    assert trace.lines() == ()
