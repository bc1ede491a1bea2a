"""The zoo: transports with exactly one defect each, wrapped around one that has none, to test the rules themselves.

A rule names the animals that must die on it. They wrap whatever transport they are given, and must not know adapters.
"""

from treaty_contracts.zoo import declarations, delivery, frames, life, waiting
from treaty_contracts.zoo.animals import Animal, animals, broken, zoo_target

__all__ = [
    "Animal",
    "animals",
    "broken",
    "declarations",
    "delivery",
    "frames",
    "life",
    "waiting",
    "zoo_target",
]
