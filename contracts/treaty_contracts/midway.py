"""Coming back into the middle of something, as a signal's handler does, or a ``__del__`` that the collector calls: a step
of a transport's own code is chosen, and something else is done by the same thread before it goes on.

The steps are lines, so what is not written in Python has none. This room must not know rules.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

_STANDARD: Final = sysconfig.get_path("stdlib")
#: The suite's own parts that stand between a rule and the transport are no steps of it.
_OWN: Final = "treaty_contracts."
_BROKEN: Final = "treaty_contracts.zoo."


class Midway:
    """Does something else once, before the ``number``-th step of what this thread is doing.

    Args:
        number: from 1 on; 0 only counts the steps.
        visit: what else.
    """

    def __init__(self, number: int, visit: Callable[[], object]) -> None:
        self._number = number
        self._visit = visit
        #: How many steps there were.
        self.steps = 0
        #: Where it came to that; empty if there were fewer steps.
        self.where = ""

    def during(self, use: Callable[[], object]) -> None:
        """Use, and come back into the middle of that. What either raises goes through."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            use()
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        name, module = frame.f_code.co_filename, frame.f_globals.get("__name__", "")
        standard = name.startswith(_STANDARD) and "site-packages" not in name
        own = module.startswith(_OWN) and not module.startswith(_BROKEN)
        return None if standard or own or name.startswith("<") else self._stepped

    def _stepped(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self.steps += 1
            if self.steps == self._number:
                sys.settrace(None)  # what is done there has no steps
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                self._visit()
        return self._stepped
