"""The judges of stores, on what was written by hand: good and bad."""

from __future__ import annotations

from typing import Any

import pytest

from treaty.storage import Batch, Change, Conflict, Event, NotFound
from treaty_contracts import store_judging as judging
from treaty_contracts.store_bench import drop, put


def change(sequence: int, event: Event = Event.CREATED, key: str = "a") -> Change:
    return Change(epoch="e", sequence=sequence, event=event, model="Thing", key=key, data={"value": 1})


@pytest.mark.parametrize(
    ("batches", "objects", "outcomes"),
    [
        ([(put("a", 1), put("b", 2))], {"a": (1, 1), "b": (2, 2)}, [[("created", "a"), ("created", "b")]]),
        ([(put("a"), drop("a"), put("a", 2))], {"a": (3, 2)}, [[("created", "a"), ("deleted", "a"), ("created", "a")]]),
        ([(put("a"),), (put("a", 2, expected=1),)], {"a": (2, 2)}, [[("created", "a")], [("updated", "a")]]),
        ([(put("a"), drop("b")), (put("c"),)], {"c": (1, 1)}, [NotFound, [("created", "c")]]),
        ([(put("a", expected=3),), (put("a", expected=0),)], {"a": (1, 1)}, [Conflict, [("created", "a")]]),
    ],
)
def test_what_batches_do(batches: list[Batch], objects: dict[str, Any], outcomes: list[Any]) -> None:
    found = judging.expected(batches, {}, 0)
    assert {key: (version, data["value"]) for key, (version, data) in found.objects.items()} == objects
    assert found.outcomes == outcomes


def test_hidden_fields_stay() -> None:
    before = {"a": (1, {"value": 1, "secret": "s"})}
    assert judging.expected([(put("a", 2),)], before, 1).objects["a"] == (2, {"value": 2, "secret": "s"})


@pytest.mark.parametrize(
    ("sequences", "after", "fine"),
    [
        ([1, 2, 3], 0, True),
        ([4, 5], 3, True),
        ([1, 3], 0, False),
        ([2, 1], 0, False),
        ([1, 1], 0, False),
        ([2], 0, False),
    ],
)
def test_numbers(sequences: list[int], after: int, fine: bool) -> None:
    verdict = judging.numbered([change(number) for number in sequences], after, "changes")
    assert (not verdict.observed) is fine and verdict.judged == len(sequences)


def test_what_is_known_of_a_log() -> None:
    changes = [change(1), change(2, key="b"), change(3, Event.UPDATED), change(4, Event.DELETED, "b")]
    assert judging.retold(changes) == {"a": 3}
    assert judging.retold(changes[3:], {"b": 2, "c": 1}) == {"c": 1}


@pytest.mark.parametrize(
    ("found", "observed"),
    [
        ({"a": (1, {"value": 1})}, ""),
        ({}, "'a' is missing"),
        ({"a": (1, {"value": 1}), "b": (2, {})}, "'b' is there"),
        ({"a": (2, {"value": 1})}, "'a' has version 2, not 1"),
        ({"a": (1, {"value": 1.0})}, "'a' is {'value': 1.0}"),
    ],
)
def test_objects_are_compared(found: dict[str, Any], observed: str) -> None:
    assert judging.same_objects(found, {"a": (1, {"value": 1})}, "objects").observed == observed
