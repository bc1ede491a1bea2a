"""The catalogue, a room for each family. Importing this package enters every rule into the registry.

A rule is a small function on a bench. It must not know adapters, nor how it is run.
"""

from treaty_contracts.catalogue import (
    across,
    auth,
    calls,
    channels,
    errors,
    inboxes,
    life,
    limits,
    lines,
    links,
    loops,
    outages,
    processes,
    properties,
    refuse,
    setup,
    storage,
    storage_gaps,
    store_life,
    store_log,
    store_objects,
    wire,
)

__all__ = [
    "across",
    "auth",
    "calls",
    "channels",
    "errors",
    "inboxes",
    "life",
    "limits",
    "lines",
    "links",
    "loops",
    "outages",
    "processes",
    "properties",
    "refuse",
    "setup",
    "storage",
    "storage_gaps",
    "store_life",
    "store_log",
    "store_objects",
    "wire",
]
