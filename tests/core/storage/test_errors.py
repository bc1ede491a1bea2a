"""The errors of storage keep their type and their fields, and name the culprit."""

from __future__ import annotations

import pickle

import pytest

from treaty.registry import is_expected, read_error, write_error
from treaty.storage import (
    Conflict,
    NotFound,
    StorageError,
    StoreUnavailable,
    UnknownModel,
    Unreadable,
    ValidationFailed,
)


@pytest.mark.parametrize(
    ("error", "status", "culprit"),
    [
        (NotFound("Host", "a"), 404, "'a'"),
        (Conflict("Host", "a", 3, 5), 409, "version 3 was expected, it has version 5"),
        (Conflict("Host", "a", 0, 5), 409, "none was expected, it has version 5"),
        (Conflict("Host", "a", 3, 0), 409, "version 3 was expected, there is none"),
        (ValidationFailed("Host", "port", "Expected `int`"), 422, "Host.port: Expected `int`"),
        (ValidationFailed("Host", "port", "Expected `int`", "a"), 422, "Host.port: Expected `int` (key 'a')"),
        (Unreadable("Host", "a", "no JSON"), 500, "Host 'a' is stored, but cannot be read: no JSON"),
        (UnknownModel("Ghost", ["Host", "Cluster"]), 404, "no store keeps 'Ghost'; known: Cluster, Host"),
        (StoreUnavailable("/x.db", "disk full"), 503, "/x.db: disk full"),
    ],
)
def test_it_travels(error: StorageError, status: int, culprit: str) -> None:
    assert is_expected(error)
    info, line = write_error(error)
    arrived = read_error(info, line)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(error).items() <= vars(arrived).items()
    assert line.code == status and culprit in str(error)
    copied = pickle.loads(pickle.dumps(error))  # as a pool of processes does
    assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))
