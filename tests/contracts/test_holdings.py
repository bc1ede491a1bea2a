"""What a process holds, and what it does where it may hold no more."""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack

import pytest

from treaty_contracts.holdings import few_descriptors, held


@pytest.mark.parametrize("left", [0, 1, 5])
def test_few_descriptors_are_that_many(left: int) -> None:
    before, limits = held(), resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as opened, few_descriptors(left):
        for _ in range(left):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            os.open(os.devnull, os.O_RDONLY)
    assert held() == before
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
