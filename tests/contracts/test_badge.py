"""The badge: what it says, and who does not earn it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import pytest

from treaty_contracts import Status, required
from treaty_contracts.badge import BadgeRefused, badge
from treaty_contracts.baseline import Known
from treaty_contracts.registry import Level
from treaty_contracts.report import Report

MakeReport = Callable[..., Report]
KNOWN = Known(rule="CALL-008", reason="r", link="l", expires=date(2999, 1, 1))


def test_it_says_how_much_was_demanded(report: MakeReport) -> None:
    levels = list(required().values())
    must, should = levels.count(Level.MUST) - 1, levels.count(Level.SHOULD)
    made = json.loads(badge([report(), report({"CALL-008": Status.FAILED}, target="b")]))
    assert made == {
        "schemaVersion": 1,
        "label": "contract 1.0",
        "message": f"{must}/{must} MUST, {should - 1}/{should} SHOULD",
        "color": "green",
    }
    assert json.loads(badge([report()]))["color"] == "brightgreen"


def test_it_says_what_is_absent_by_a_targets_own_word(report: MakeReport) -> None:
    made = json.loads(badge([report({"LIFE-010": Status.ABSENT, "LIFE-016": Status.ABSENT}), report(target="b")]))
    assert made["message"].endswith(" SHOULD, 2 absent")
    assert "absent" not in badge([report()])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"only": ("SETUP-001",)}, "only a part was run"),
        ({"statuses": {"CALL-003": Status.FAILED}}, "non-conformant, 1 violated"),
        ({"statuses": {"CALL-003": Status.UNVERIFIED}}, "incomplete, 1 unverified"),
        ({"statuses": {"CALL-008": Status.FAILED}, "known": {"CALL-008": KNOWN}}, "1 known"),
        ({"stale": ("old",)}, "stale baseline"),
        ({"refused": "it died"}, "cannot be judged"),
    ],
)
def test_it_is_earned(report: MakeReport, arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadgeRefused, match=complaint):
        badge([report(), report(**arguments)])


def test_nothing_earns_nothing() -> None:
    with pytest.raises(BadgeRefused, match="nothing was run"):
        badge([])
