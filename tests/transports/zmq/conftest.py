"""A place for sockets, and an address of each kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .ends import TCP


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A short directory: the path of a socket has 107 bytes."""
    path = Path(f"/tmp/tz{os.getpid()}")
    path.mkdir(mode=0o700)
    yield path
    left = sorted(entry.name for entry in path.iterdir())
    for name in left:
        (path / name).unlink()
    path.rmdir()
    assert left == []


@pytest.fixture(params=["tcp", "ipc", "inproc"])
def url(request: pytest.FixtureRequest, place: Path) -> str:
    return {"tcp": TCP, "ipc": f"zmq+ipc://{place}/s", "inproc": "zmq+inproc://test"}[request.param]
