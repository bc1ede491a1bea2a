"""How thoroughly a run looks, and how long it waits for what.

This room holds numbers. It must not know rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One tier."""

    name: str
    #: How many cases Hypothesis draws for one property.
    examples: int
    #: How many frames or calls are in a burst.
    burst: int
    #: How often something that could go wrong by chance is repeated.
    rounds: int
    #: Seconds for which what is under way is left alone, to see that time does it no harm.
    rest: float = 3.5
    #: Seconds that the cases of one property may take, on the scale of the target: a distant broker gets fewer of them.
    budget: float = 1.0
    #: Seconds that one rule may take on one surface before it counts as hung, on the scale of the target.
    limit: float

    def patience(self, scale: float) -> float:
        """Return that many seconds. What is left alone is left alone on every scale."""
        return self.limit * scale + self.rest


#: The tiers by name.
PROFILES: Final = {
    one.name: one
    for one in (
        Profile(name="quick", examples=20, burst=24, rounds=3, budget=1.0, limit=60.0),
        Profile(name="standard", examples=100, burst=100, rounds=10, rest=12.0, budget=10.0, limit=180.0),
        Profile(name="deep", examples=500, burst=500, rounds=50, rest=30.0, budget=120.0, limit=900.0),
    )
}


@dataclass(frozen=True, kw_only=True)
class Times:
    """The waits, in seconds, on one scale."""

    #: For what must come: generous, and paid only on failure.
    arrive: float
    #: For the very first answer: who delivers nothing is to know it soon.
    first: float
    #: For what must not come, where no fence can tell: short, and paid on success.
    quiet: float
    #: How late something may be that is to happen at once.
    slack: float
    #: How long a wake-up takes at most that nothing holds up: for a median, as one alone may meet a busy machine.
    wake: float
    #: The deadline of calls that are meant to miss it.
    brief: float

    @classmethod
    def at(cls, scale: float) -> Times:
        """Return the waits for a scale; 1 suits the loopback."""
        return cls(
            arrive=10.0 * scale,
            first=max(3.0 * scale, 1.0),  # below a second it would be the machine that is judged
            quiet=0.02 * max(scale, 1.0),
            slack=1.0 * scale,
            wake=max(0.025 * scale, 0.01),  # in no hurry does the system itself become faster
            brief=0.2 * scale,
        )
