"""The catalogue, a room for each family. Importing this package enters every rule into the registry.

A rule is a small function on a bench. It must not know adapters, nor how it is run.
"""

from treaty_contracts.rules import (
    asyncio,
    auth,
    calls,
    channels,
    errors,
    inboxes,
    life,
    limits,
    lines,
    processes,
    refuse,
    setup,
    wire,
)

__all__ = [
    "asyncio",
    "auth",
    "calls",
    "channels",
    "errors",
    "inboxes",
    "life",
    "limits",
    "lines",
    "processes",
    "refuse",
    "setup",
    "wire",
]
