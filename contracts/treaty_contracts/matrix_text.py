"""The matrix as Markdown, for a page in a repository.

Text of a target is escaped: it can neither break the table nor bring HTML. This room must not read files.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final

from treaty_contracts.matrix import LEGEND, SIGNS, Mark, Matrix, about, harmless

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]|#~])")
#: A name in a sentence, as docstrings write it: nothing that could end the code, the cell or the page.
_CODE: Final = re.compile(r"``(\w[\w.,()= -]*)``", re.ASCII)
_TOLD: Final = frozenset({Mark.VIOLATED, Mark.KNOWN, Mark.ERROR})


def markdown(made: Matrix) -> str:
    """Return the page."""
    lines = ["# The contract, side by side", "", *_summary(made), *_table(made), *_stories(made)]
    return harmless("\n".join(lines)) + "\n"


def _summary(made: Matrix) -> Iterator[str]:
    yield "| target | verdict | MUST | SHOULD | unverified | known | run |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for report in made.reports:
        summary = report.footer.summary
        must, should = summary.must, summary.should
        facts = dict(about(report))
        cells = (
            _escaped(report.header.target),
            f"**{summary.word.value}**{summary.by_own_word}",
            f"{must.passed}/{must.required}",
            f"{should.passed}/{should.required}",
            str(must.unverified + should.unverified),
            str(must.known + should.known),
            _escaped(f"{facts['suite']}; {facts['python']}; {facts['profile']}; {facts['started']}"),
        )
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield ", ".join(f"{SIGNS[mark]} {mark.value}" for mark in LEGEND)
    yield ""


def _table(made: Matrix) -> Iterator[str]:
    yield f"| rule | level | {' | '.join(_escaped(report.header.target) for report in made.reports)} | sentence |"
    yield f"| --- | --- |{' :-: |' * len(made.reports)} --- |"
    for row in made.rows:
        cells = " | ".join(SIGNS[cell.mark] for cell in row.cells)
        late = " (provisional)" if row.provisional else ""
        yield f"| {row.id} | {row.level}{late} | {cells} | {_sentence(row.sentence)} |"
    yield ""


def _stories(made: Matrix) -> Iterator[str]:
    for report in made.reports:
        if report.footer.error:
            yield f"**{_escaped(report.header.target)}** could not be judged: {_escaped(report.footer.error)}"
            yield ""
    for row in made.rows:
        for report, cell in zip(made.reports, row.cells, strict=True):
            if cell.mark in _TOLD:
                title = html.escape(f"{row.id} {cell.short} on {report.header.target}")
                yield f"<details><summary>{title}</summary>\n\n<pre>{html.escape(cell.story)}</pre>\n\n</details>"
                yield ""


def _sentence(text: str) -> str:
    """Return a sentence with its names as code; whatever else stands between such quotes is escaped with the rest."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(f"`{part}`" if number % 2 else _spelled(part) for number, part in enumerate(parts))


def _escaped(text: str) -> str:
    return _spelled(" ".join(text.split()))


def _spelled(text: str) -> str:
    return html.escape(_SPECIAL.sub(r"\\\1", text), quote=False)
