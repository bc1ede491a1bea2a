"""The tree of errors, as its docstring draws it."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable

import pytest

from treaty import errors
from treaty.errors import ANSWERED, FrameRefused, RemoteError, TreatyError, Unavailable

TREE = {cls.__name__: cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, TreatyError)}


def drawn() -> dict[str, str]:
    """Each class in the drawing, with the class that it hangs from."""
    parents, path = {}, ["TreatyError"]
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│ ]*)[├└]── (\w+)", line):
            level = len(match[1]) // 4 + 1
            path[level:] = [match[2]]
            parents[match[2]] = path[level - 1]
    return parents


def test_the_drawing_shows_every_class_and_its_place() -> None:
    assert drawn().keys() | {"TreatyError"} == TREE.keys()
    for name, parent in drawn().items():
        assert issubclass(TREE[name], TREE[parent]), name


def test_no_class_shadows_a_builtin() -> None:
    import builtins

    assert not TREE.keys() & vars(builtins).keys()


def test_every_answered_code_stands_for_one_class_and_is_left_free_by_json_rpc() -> None:
    for code, cls in ANSWERED.items():
        assert cls.code == code
        assert -32768 <= code <= -32000
        assert 400 <= cls.status <= 599


def test_every_kind_of_remote_error_has_its_own_code() -> None:
    kinds: list[type[RemoteError]] = [RemoteError, *RemoteError.__subclasses__()]
    assert {ANSWERED[cls.code] for cls in kinds} == set(kinds)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RemoteError("late", type="Train"), "Train: late"),
        (RemoteError("", type="Train"), "Train"),
        (RemoteError("late", error_id="abc"), "late (error id abc)"),
        (FrameRefused("tag"), "frame refused: tag"),
        (Unavailable("nobody"), "nobody"),
    ],
)
def test_errors_read_well(error: TreatyError, text: str) -> None:
    assert str(error) == text


def test_a_deadline_is_a_timeout_for_whoever_catches_those() -> None:
    assert issubclass(errors.DeadlineExceeded, TimeoutError)


def test_a_remote_error_has_the_status_of_its_class_unless_told() -> None:
    assert errors.UnknownMethod("x").status_code == 404
    assert errors.UnknownMethod("x", status_code=410).status_code == 410


@pytest.mark.parametrize(
    "error",
    [
        FrameRefused("seal"),
        Unavailable("nobody", frame=b"abc"),
        RemoteError("text", type="x.y", fields={"a": [1]}, error_id="id", status_code=409),
        errors.DeadlineExceeded("late"),
        errors.MissingExtra("kombu"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_a_copy_is_the_same(error: TreatyError, copied: Callable[[TreatyError], TreatyError]) -> None:
    """A process of a pool hands on what it raised, and a pool that cannot read that hangs."""
    error.add_note("beside")
    other = copied(error)
    assert (type(other), str(other), other.args, vars(other)) == (type(error), str(error), error.args, vars(error))
