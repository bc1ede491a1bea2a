"""Reports as JUnit XML, which every continuous integration reads.

A violation is a failure. What nobody could tell, what is blocked, and what is known to fail is skipped, each with its
reason: the exit code of ``treaty check`` says more than the colour of such a page. This room must not run rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from treaty_contracts.report import Record, Report
from treaty_contracts.verdict import VIOLATIONS, Status, explain

#: What XML cannot carry, whatever a transport may have raised.
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(reports: Sequence[Report]) -> str:
    """Return the XML: one suite for each target, one case for each rule."""
    root = ET.Element("testsuites", name="treaty contract")
    for report in reports:
        root.append(_suite(report))
    ET.indent(root)
    text: bytes = ET.tostring(root, "utf-8", xml_declaration=True)
    return text.decode() + "\n"


def _suite(report: Report) -> ET.Element:
    header, records, footer = report
    suite = ET.Element(
        "testsuite",
        name=_plain(header.target),
        timestamp=header.started.isoformat(timespec="seconds"),
        time=f"{footer.seconds:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("verdict", footer.summary.word.value),
        ("requirements", header.requirements),
        ("suite", header.suite),
        ("profile", header.profile),
        ("seed", str(header.seed)),
    ):
        ET.SubElement(properties, "property", name=name, value=_plain(value))
    for record in records:
        suite.append(_case(record))
    if footer.error:
        case = ET.SubElement(suite, "testcase", classname=_plain(header.target), name="set-up", time="0")
        _tell(case, "error", footer.error, footer.error)
    for text in footer.summary.stale:
        case = ET.SubElement(suite, "testcase", classname=_plain(header.target), name="baseline", time="0")
        _tell(case, "failure", text, text)
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{element}"))))
    return suite


def _case(record: Record) -> ET.Element:
    outcome = record.outcome
    case = ET.Element("testcase", classname=_plain(outcome.target), name=outcome.rule, time=f"{outcome.seconds:.3f}")
    status = outcome.status
    if status in VIOLATIONS and record.known is not None:
        _tell(case, "skipped", f"known: {record.known.reason} ({record.known.link})")
    elif status in VIOLATIONS:
        observed = outcome.violation.observed if outcome.violation else ""
        _tell(case, "failure", f"{status.value}: {observed}", explain(outcome))
    elif status is Status.ERROR:
        _tell(case, "error", outcome.reason, explain(outcome))
    elif status is Status.BLOCKED:
        _tell(case, "skipped", f"blocked by {outcome.blocker}")
    elif status in (Status.UNVERIFIED, Status.ABSENT):
        _tell(case, "skipped", f"{outcome.word}: {outcome.reason}")
    return case


def _tell(case: ET.Element, kind: str, message: str, text: str = "") -> None:
    element = ET.SubElement(case, kind, message=_plain(message))
    if kind != "skipped":
        element.set("type", kind)
    if text:
        element.text = _plain(text)


def _plain(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
