"""The other process: runs the tea house until standard input ends, which it does however the parent goes.

The first line of standard input says where to serve and with which secret, so that neither is in ``argv`` or in the
environment. The first line of standard output says where it serves. It must not know what the parent does with it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from typing import Any, Final

from treaty.cli.demo.teahouse import TeaHouse
from treaty.errors import TreatyError
from treaty.transport import connect

#: Seconds from the end of standard input to the end of this process, at most.
_LAST_RESORT: Final = 3.0


def main() -> int:
    """Serve; return the exit code."""
    logging.basicConfig(level=logging.WARNING)
    order = json.loads(sys.stdin.readline())
    try:
        with (
            connect(order["url"]) as transport,
            TeaHouse(transport, secret=order["secret"], concurrency=4, drain=1.0),
        ):
            _say(url=getattr(transport, "url", order["url"]))
            sys.stdin.read()
            _end_by_all_means()
    except TreatyError as error:
        _say(error=f"{type(error).__name__}: {error}")
        return 1
    return 0


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _end_by_all_means() -> None:
    """Nobody is there any more to end a process that does not end by itself."""
    timer = threading.Timer(_LAST_RESORT, os._exit, (1,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main())
