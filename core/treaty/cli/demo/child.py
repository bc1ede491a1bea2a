"""Another process: plays its part until standard input ends, which it does however the parent goes.

The first line of standard input says which part, where, and with which secret, so that neither is in ``argv`` or in the
environment. The first line of standard output says that it is ready; each further line in is a question, and one line
out its answer. It must not know what the parent does with it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from treaty.cli.demo.pantry import Tea, choose_store
from treaty.cli.demo.subscriber import Subscriber
from treaty.cli.demo.teahouse import TeaHouse
from treaty.errors import TreatyError
from treaty.storage import StorageClient, StorageService
from treaty.transport import connect

#: Seconds from the end of standard input to the end of this process, at most.
_LAST_RESORT: Final = 3.0
_Order: TypeAlias = dict[str, Any]
_Answer: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def _teahouse(order: _Order) -> Iterator[_Answer]:
    with connect(order["url"]) as transport, TeaHouse(transport, secret=order["secret"], concurrency=4, drain=1.0):
        _say(url=getattr(transport, "url", order["url"]))
        yield dict


@contextmanager
def _storage(order: _Order) -> Iterator[_Answer]:
    with tempfile.TemporaryDirectory(prefix="treaty-demo-") as directory, connect(order["url"]) as transport:
        store, excuse = choose_store(Path(directory))
        with StorageService(transport, secret=order["secret"], stores=[store], drain=1.0):
            _say(url=getattr(transport, "url", order["url"]), excuse=excuse)
            yield dict


@contextmanager
def _subscriber(order: _Order) -> Iterator[_Answer]:
    with StorageClient(order["url"], secret=order["secret"]) as storage:
        subscriber = Subscriber()
        storage.register_callback(subscriber, Tea, snapshot=order["snapshot"])
        _say(url=order["url"])
        yield subscriber.answer


_PARTS: Final[dict[str, Callable[[_Order], AbstractContextManager[_Answer]]]] = {
    "teahouse": _teahouse,
    "storage": _storage,
    "subscriber": _subscriber,
}


def main() -> int:
    """Play the part; return the exit code."""
    logging.basicConfig(level=logging.WARNING)
    line = sys.stdin.readline()
    if not line:
        return 0  # the parent has gone, or needs nothing any more
    order = json.loads(line)
    try:
        with _PARTS[order["part"]](order) as answer:
            for line in sys.stdin:
                _say(**answer(json.loads(line)))
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
