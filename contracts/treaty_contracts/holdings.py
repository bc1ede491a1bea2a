"""What this process holds: threads, descriptors and memory, which are what a transport can leave behind or pile up, and
which can run out.

Descriptors are counted where the system lists them. This room must not know rules.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from treaty_contracts.expect import until

_DESCRIPTORS: Final = Path("/proc/self/fd")
_NUMBER: Final = re.compile(r"\d+")
#: How far above the lowest free number of a descriptor the limit is set while there are to be few.
_ABOVE: Final = 64
#: In what the system counts memory, in bytes.
_UNIT: Final = 1 if sys.platform == "darwin" else 1024


def held() -> Counter[str]:
    """Count threads by name, and descriptors by what they lead to, without numbers: those without a name have one."""
    found = Counter(f"thread {_NUMBER.sub('N', thread.name)}" for thread in threading.enumerate())
    if _DESCRIPTORS.is_dir():
        for link in _DESCRIPTORS.iterdir():
            try:
                found[f"descriptor of {str(link.readlink()).partition(':')[0]}"] += 1
            except OSError:
                continue  # closed meanwhile: the listing itself, for one
    return found


def held_beside(before: Counter[str], patience: float) -> Counter[str]:
    """Return what is held as soon as nothing is beside what was ``before``, or when the seconds of patience are over."""
    until(lambda: not held() - before, patience)
    return held()


def peak() -> int:
    """Return how many bytes of memory this process held when it held most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


@contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Let this process open up to ``left`` descriptors more while the block runs, and no others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(taken[0] + _ABOVE, soft), hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for one in taken[:left]:
            os.close(one)
        del taken[:left]
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in taken:
            os.close(one)
