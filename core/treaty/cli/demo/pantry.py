"""The pantry of the demo: what several processes share, and the service that keeps it.

It must not know over which transport it is called, nor that it is part of a demo.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from treaty.errors import ConfigurationError
from treaty.storage import StoreConfig, model


@model(key="name", version="revision")
@dataclass
class Tea:
    """A tea, and how many cups are left of it."""

    name: str
    cups: int
    revision: int = 0


def choose_store(directory: Path) -> tuple[StoreConfig, str]:
    """Return where the teas are kept: in SQLite, or in memory, with the reason, if SQLite cannot be used here."""
    config = StoreConfig(url=f"sqlite:///{directory}/pantry.db", models=[Tea])
    try:
        config.open()
    except ConfigurationError as missing:
        return StoreConfig(url="memory:", models=[Tea]), str(missing)
    return config, ""
