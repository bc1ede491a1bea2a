"""JUnit: what is red there, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from xml.etree import ElementTree as ET

from treaty_contracts import Status
from treaty_contracts.baseline import Known
from treaty_contracts.junit import junit
from treaty_contracts.report import Report

MakeReport = Callable[..., Report]


def case(root: ET.Element, name: str) -> ET.Element:
    found = root.find(f".//testcase[@name='{name}']")
    assert found is not None
    return found


def test_each_end_has_its_element(report: MakeReport) -> None:
    known = Known(rule="CALL-001", reason="why", link="where", expires=date(2999, 1, 1))
    made = report(
        {
            "CALL-001": Status.FAILED,
            "CALL-003": Status.HUNG,
            "CALL-004": Status.ERROR,
            "CALL-005": Status.BLOCKED,
            "CALL-006": Status.UNVERIFIED,
        },
        known={"CALL-001": known},
        stale=("X is stale",),
    )
    root = ET.fromstring(junit([made]))
    suite = root.find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("name", "failures", "errors", "skipped")} == {
        "name": "made",
        "failures": "2",
        "errors": "1",
        "skipped": "4",
    }
    assert [child.tag for child in case(root, "CALL-002")] == []
    assert "something else" in (case(root, "CALL-003")[0].get("message") or "")
    assert "likely causes" in (case(root, "CALL-003")[0].text or "")
    assert "fault of the contract suite" in (case(root, "CALL-004")[0].text or "")
    assert case(root, "CALL-001")[0].get("message") == "known: why (where)"
    assert case(root, "CALL-005")[0].get("message") == "blocked by SETUP-001"
    assert case(root, "CALL-006")[0].get("message") == "unverified: a reason"
    assert case(root, "AUTH-006")[0].get("message") == "review only: a reason"
    assert case(root, "baseline")[0].tag == "failure"


def test_a_target_that_cannot_be_judged_is_an_error(report: MakeReport) -> None:
    root = ET.fromstring(junit([report(only=("SETUP-001",), refused="it died")]))
    assert case(root, "set-up")[0].get("message") == "it died"


def test_what_xml_cannot_carry_is_spelled_out(report: MakeReport) -> None:
    text = junit([report({"CALL-003": Status.FAILED}, target="a\x00<b>&", observed="\x1b[31m\ud800 & <>")])
    root = ET.fromstring(text)
    assert root[0].get("name") == "a\\x00<b>&"
    assert "\\x1b[31m\\ud800 & <>" in (case(root, "CALL-003")[0].get("message") or "")
