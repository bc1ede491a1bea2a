"""How a child ends that a handler has forked, when the handler is over in it: as Python would end it, and at once.

The threads, sockets and locks of the service belong to the parent. This room must not know what a handler is.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def end_child(raised: BaseException | None = None) -> NoReturn:
    """End this process with the exit code that Python gives to what came out of the handler. Functions that the parent
    has registered with ``atexit`` are not called.

    Args:
        raised: by the handler; ``None`` if it has returned.
    """
    code = 1
    with suppress(BaseException):
        code = _exit_code(raised)
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    if isinstance(raised, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _exit_code(raised: BaseException | None) -> int:
    if raised is None:
        return 0
    if not isinstance(raised, SystemExit):
        sys.excepthook(type(raised), raised, raised.__traceback__)
        return 1
    if raised.code is None or isinstance(raised.code, int):
        return (raised.code or 0) & 0xFF
    sys.stderr.write(f"{raised.code}\n")
    return 1
