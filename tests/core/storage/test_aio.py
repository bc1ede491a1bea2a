"""The awaitable twin has the methods of the blocking one, with the same parameters."""

from __future__ import annotations

import inspect

import pytest

from treaty.storage import AsyncStorageClient, StorageClient

SHARED = ["delete", "delete_many", "get", "get_many", "list", "notifications", "save", "save_many"]


@pytest.mark.parametrize("name", SHARED)
def test_the_twins_cannot_drift(name: str) -> None:
    one, other = getattr(StorageClient, name), getattr(AsyncStorageClient, name)
    assert inspect.iscoroutinefunction(other) and not inspect.iscoroutinefunction(one)
    assert inspect.signature(one).parameters == inspect.signature(other).parameters


def test_there_is_nothing_else() -> None:
    assert sorted(name for name in vars(AsyncStorageClient) if not name.startswith("_")) == SHARED
