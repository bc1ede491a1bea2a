"""What each child would do for itself before its rule begins is done once, before the first of them is forked.

Hypothesis reads the constants in all modules of the program and looks through each strategy when it is first drawn from:
in a child, that is lost with it. This room must not know what is judged.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import treaty_contracts.properties.performance  # noqa: F401 - rules import it late, each in its child
from treaty_contracts.catalogue.calls import JSON
from treaty_contracts.properties.plans import of_calls, of_notifications, of_workers

#: So many that each kind of value was drawn, and constants among them.
_CASES: Final = 12
_NUMBERS: Final = st.lists(st.integers(), min_size=8, max_size=8)


@cache
def warm() -> None:
    """Draw a few cases and throw them away. Does so once in a process, and in none that is forked from it."""

    @settings(
        max_examples=_CASES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(st.tuples(JSON, _NUMBERS, st.binary(max_size=9), of_calls(), of_workers(), of_notifications()))
    def drawn(_: Any) -> None:
        """Judges nothing."""

    drawn()
