"""The catalogue, a room for each family. Importing this package enters every rule into the registry.

A rule is a small function on a bench. It must not know adapters, nor how it is run.
"""

from treaty_contracts.catalogue import (
    auth,
    calls,
    channels,
    errors,
    inboxes,
    life,
    limits,
    lines,
    loops,
    processes,
    refuse,
    setup,
    wire,
)

__all__ = [
    "auth",
    "calls",
    "channels",
    "errors",
    "inboxes",
    "life",
    "limits",
    "lines",
    "loops",
    "processes",
    "refuse",
    "setup",
    "wire",
]
