"""Reports side by side: every mark, everything escaped, and nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from html.parser import HTMLParser

import pytest

from treaty_contracts import Status, rules
from treaty_contracts.baseline import Known
from treaty_contracts.matrix import LEGEND, SIGNS, Mark, Matrix, declared, matrix
from treaty_contracts.matrix_page import page
from treaty_contracts.matrix_text import _sentence, markdown
from treaty_contracts.report import Report

MakeReport = Callable[..., Report]
EVIL = '<script>alert("1")</script>|`*'
STATUSES = {
    "CALL-001": Status.FAILED,
    "CALL-003": Status.HUNG,
    "CALL-004": Status.BLOCKED,
    "CALL-005": Status.UNVERIFIED,
    "CALL-006": Status.ERROR,
}
KNOWN = {"CALL-001": Known(rule="CALL-001", reason=EVIL, link="where", expires=date(2999, 1, 1))}


@pytest.fixture
def made(report: MakeReport) -> Matrix:
    return matrix(
        [
            report(STATUSES, target=EVIL, known=KNOWN, observed=EVIL),
            report(target="good"),
            report(target="part", only=("SETUP-001",)),
        ]
    )


def test_every_rule_has_a_row_and_every_target_a_cell(made: Matrix) -> None:
    assert [row.id for row in made.rows] == [rule.id for rule in rules()]
    marks = {row.id: [cell.mark for cell in row.cells] for row in made.rows}
    assert marks["CALL-001"] == [Mark.KNOWN, Mark.PASSED, Mark.NOT_RUN]
    assert marks["CALL-003"][0] is Mark.VIOLATED
    assert marks["CALL-004"][0] is Mark.BLOCKED
    assert marks["CALL-005"][0] is Mark.UNVERIFIED
    assert marks["CALL-006"][0] is Mark.ERROR
    assert set(LEGEND) == set(SIGNS) == set(Mark)


def test_what_is_for_reviewers_is_called_that(made: Matrix) -> None:
    shorts = {row.id: row.cells[0].short for row in made.rows}
    assert (shorts["CALL-005"], shorts["AUTH-006"]) == ("unverified", "review only")


def test_the_declaration_is_shown(made: Matrix) -> None:
    assert dict(declared(made.reports[1]))["ordered"] == "yes"


class Reader(HTMLParser):
    """Collects what the page is made of, and sees that it is closed."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_is_well_formed(made: Matrix) -> None:
    text = page(made)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not reader.tags & {"script", "link", "img", "iframe"}
    assert "url(" not in text and "@import" not in text
    assert {link.removeprefix("#") for link in reader.links} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))


def test_the_page_tells_the_story_behind_a_cell(made: Matrix) -> None:
    text = page(made)
    for part in ("CALL-003 HUNG on", "likely causes", "blocked by SETUP-001", "contract/1.0", "prefers-color-scheme"):
        assert part in text, part
    for rule in rules():
        assert f'id="{rule.id}"' in text


def test_what_a_target_says_is_escaped(made: Matrix) -> None:
    assert EVIL not in page(made)
    assert "<script" not in page(made)
    text = markdown(made)
    assert "<script" not in text
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]+-", line)]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert len(widths) == 1, widths


def test_the_markdown_has_every_rule_and_the_failures(made: Matrix) -> None:
    text = markdown(made)
    assert all(f"\n| {rule.id} |" in text for rule in rules())
    assert text.count("<details>") == text.count("</details>") == 3


def test_names_in_a_sentence_are_code_and_nothing_else_is(made: Matrix) -> None:
    text = markdown(made)
    assert "| `receive` returns None when its timeout is over" in text
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]+-", line)]
    assert not [row for row in rows if "\\`" in row]
    assert _sentence("``a|b`` ``<b>`` *x*\n``ok``") == r"\`\`a\|b\`\` \`\`&lt;b&gt;\`\` \*x\* `ok`"


def test_a_target_that_could_not_be_judged_is_shown(report: MakeReport) -> None:
    made = matrix([report(only=("SETUP-001",), refused="it died & was buried")])
    assert "it died &amp; was buried" in page(made)
    assert "could not be judged: it died" in markdown(made)


def test_no_control_character_reaches_a_page(report: MakeReport) -> None:
    wild = "a\x1b[31m\r\x00\x9b\ud800b"
    made = matrix([report({"CALL-003": Status.FAILED}, target=wild, stale=(wild,), observed=wild)])
    for text in (page(made), markdown(made)):
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "\\x1b" in text
        text.encode()


def test_what_is_absent_by_a_targets_own_word_stands_beside_the_verdict(report: MakeReport) -> None:
    absent = matrix([report({"LIFE-010": Status.ABSENT})])
    assert "**conformant**, 1 rule absent by its own word" in markdown(absent)
    assert '<p class="word">conformant<small>, 1 rule absent by its own word</small></p>' in page(absent)
