"""What this process holds: threads, descriptors and memory, which are what a transport can leave behind or pile up.

Descriptors are counted where the system lists them. This room must not know rules.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Final

from treaty_contracts.expect import until

_DESCRIPTORS: Final = Path("/proc/self/fd")
_NUMBER: Final = re.compile(r"\d+")
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
