"""Runs the program of a failure once, so that only one that repeats the failure is offered.

It must not know rules, nor how programs are made.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Final

from treaty_contracts.isolation import printed
from treaty_contracts.orphans import children, end_new

#: Seconds that a program may take: it hangs where the suite did, and then it has not said what is wrong.
LIMIT: Final = 20.0
_WRONG: Final = "WRONG"


def repeats(program: str, limit: float = LIMIT) -> bool:
    """Whether a program, run in the current directory by a fresh interpreter, ends with what it calls wrong."""
    before = children()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        code = None
        try:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(limit)
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            end_new(before)
        return code == 1 and printed(output).rpartition("\n")[2].startswith(_WRONG)
