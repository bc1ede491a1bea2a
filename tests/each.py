"""One test for many small checks: a test of its own for each would cost more than what it checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

T = TypeVar("T")


def each(things: Iterable[T], named: Callable[[T], str]) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make one test of a check, which tells for which things it fails, and how.

    Args:
        things: at least one.
        named: says what a thing is called.
    """
    all_of_them = list(things)

    def decorate(check: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            assert all_of_them
            faults = []
            for thing in all_of_them:
                try:
                    check(thing)
                except AssertionError as error:
                    faults.append(f"{named(thing)}: {error}")
            if faults:
                pytest.fail("\n".join(faults), pytrace=False)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate
