"""What becomes of a transport that nobody closed."""

from __future__ import annotations

import subprocess
import sys

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
