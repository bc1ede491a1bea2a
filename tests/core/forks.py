"""Work that is done in a forked child."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable


def fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork with threads around; that is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_child(work: Callable[[], object]) -> int:
    """Do this in a forked child, and return with what it ended. It is given ten seconds."""
    child = fork()
    if child == 0:
        try:
            signal.alarm(10)
            work()
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
