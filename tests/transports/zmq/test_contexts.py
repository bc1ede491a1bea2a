"""What becomes of a transport that nobody closed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from treaty_zmq import connect

from .ends import TCP, answering

FORGETS = """
import gc, sys
from treaty_zmq import connect

def use():
    transport = connect(sys.argv[1])
    line = transport.dial()
    line.send("svc", b"question", 5)
    line.receive(5)

use()
gc.collect()
print("goes on")
"""


def test_a_transport_that_nobody_closed_does_not_stop_the_collector() -> None:
    with connect(TCP) as transport, transport.serve("svc") as inbox, answering(inbox):
        done = subprocess.run(
            [sys.executable, "-c", FORGETS, transport.url], capture_output=True, text=True, timeout=30, check=False
        )
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr


SCARCE = """
import errno, os, resource, sys, threading
from contextlib import suppress
from pathlib import Path
from treaty import ConnectionLost, Unavailable
from treaty_zmq import connect

def eventually(condition):  # libzmq closes some of them a moment later
    return any(condition() or threading.Event().wait(0.002) for _ in range(1000))

def open_now():
    return len(list(Path("/proc/self/fd").iterdir()))

class Scarce:
    def __init__(self, left):
        self.left, self.held = left, []
    def __enter__(self):
        soft, self.hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.before = soft
        highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 40, self.hard))
        self.fill()
        for _ in range(self.left):
            os.close(self.held.pop())
        return self
    def fill(self):
        with suppress(OSError):
            while True:
                self.held.append(os.open("/dev/null", os.O_RDONLY))
    def __exit__(self, *_):
        for descriptor in self.held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.before, self.hard))

def attempt(work, left):
    with Scarce(left):
        try:
            work()
            return True
        except Unavailable as error:
            assert error.__cause__.errno == errno.EMFILE, repr(error)
            assert "Too many open files" in str(error), str(error)
            return False
"""
FIRST_USE = (
    SCARCE
    + """
there = connect(sys.argv[1])
inbox = there.serve("svc")
other = "zmq+inproc://other" if "inproc" in there.url else "zmq+tcp://127.0.0.1:*"
uses = {
    "dial": lambda transport: transport.dial(),
    "subscribe": lambda transport: transport.subscribe("news"),
    "serve": lambda transport: transport.serve("svc"),
    "publish": lambda transport: transport.publish("news", b"x"),
}
for name, use in uses.items():
    for left in range(20):
        with connect(other if name == "serve" else there.url) as transport:
            transport._is_client = True  # who publishes connects as well
            before = open_now()
            works = attempt(lambda: use(transport), left)
            assert works or eventually(lambda: open_now() <= before), (name, left)
    assert works, name
there.close()
print("all is well")
"""
)
WHILE_THE_LINE_IS_LOST = (
    SCARCE
    + """
there = connect(sys.argv[1])
inbox = there.serve("svc")
with connect(there.url, connect_timeout=5) as transport, transport.dial() as line:
    def round_trip():
        line.send("svc", b"x", 5)
        delivery = inbox.receive(5)
        delivery.reply(b"y")
        delivery.settle()
        assert line.receive(5) == b"y"

    round_trip()
    with Scarce(0) as scarce:
        inbox.close()
        scarce.fill()
        works = True
        while works:
            scarce.fill()
            with suppress(ConnectionLost):
                assert line.receive(0.05) is None
            try:
                line.send("svc", b"lost", 0)
            except Unavailable as error:  # at first, it may be, as the connection is lost, and nothing else yet
                works = "inproc" not in there.url and "Too many open files" not in str(error.__cause__)
        with suppress(ConnectionLost):
            assert line.receive(0.05) is None
    inbox = there.serve("svc")
    round_trip()
with connect(there.url) as transport, transport.dial() as line:  # closed while there is no socket
    with Scarce(0) as scarce:
        inbox.close()
        scarce.fill()
        with suppress(ConnectionLost):
            assert line.receive(0.2) is None
        line.close()
print("all is well")
"""
)


@pytest.mark.parametrize("program", [FIRST_USE, WHILE_THE_LINE_IS_LOST], ids=["first use", "line lost"])
def test_out_of_descriptors_is_unavailable_and_never_an_abort(url: str, program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done.stderr
