"""The matrix as one HTML page that needs nothing else: no script, no font, no picture from anywhere.

All text is escaped. What lies behind a cell is a ``details`` element that opens as a sheet at the bottom. This room
must not read files.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from itertools import count

from treaty_contracts.matrix import LEGEND, SIGNS, Cell, Mark, Matrix, Row, about, declared, harmless
from treaty_contracts.report import Report
from treaty_contracts.rules_page import TITLES, strength
from treaty_contracts.summary import Word

_CLASSES = {
    Word.CONFORMANT: "good",
    Word.KNOWN: "known",
    Word.INCOMPLETE: "open",
    Word.STALE: "open",
}


def page(made: Matrix) -> str:
    """Return the page."""
    style = files("treaty_contracts").joinpath("matrix.css").read_text("utf-8")
    # Whatever a report says: no control character reaches the page.
    body = harmless("\n".join([*_head(made), *_targets(made), *_legend(), *_table(made), *_rules(made)]))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>The Treaty contract</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(made: Matrix) -> Iterator[str]:
    versions = sorted({f"treaty {one.header.suite}, {one.header.requirements}" for one in made.reports})
    number = len(made.reports)
    yield "<header><h1>The Treaty contract</h1>"
    yield f"<p>{len(made.rows)} rules on {number} target{'s' * (number != 1)}; {escape('; '.join(versions))}</p></header>"


def _targets(made: Matrix) -> Iterator[str]:
    yield '<section class="targets">'
    for report in made.reports:
        yield from _target(report)
    yield "</section>"


def _target(report: Report) -> Iterator[str]:
    summary = report.footer.summary
    verdict = _CLASSES.get(summary.word, "bad")
    yield f'<article class="{verdict}"><h2>{escape(report.header.target)}</h2>'
    yield f'<p class="word">{escape(summary.word.value)}<small>{escape(summary.by_own_word)}</small></p>'
    if report.footer.error:
        yield f"<p>{escape(report.footer.error)}</p>"
    for level, totals in (("MUST", summary.must), ("SHOULD", summary.should)):
        share = 100 * totals.passed / totals.required if totals.required else 100
        rest = [
            f"{getattr(totals, name)} {name.replace('_', ' ')}"
            for name in totals.__struct_fields__[2:]
            if getattr(totals, name)
        ]
        yield (
            f'<p class="total"><b>{totals.passed}/{totals.required}</b> {level}'
            f'<span class="bar"><span style="width:{share:.1f}%"></span></span>{escape(", ".join(rest))}</p>'
        )
    if summary.review_only:
        yield f'<p class="note">for reviewers only: {escape(", ".join(summary.review_only))}</p>'
    yield "<details><summary>about this run</summary><dl>"
    for title, text in (*about(report), *declared(report)):
        yield f"<dt>{escape(title)}</dt><dd>{escape(text)}</dd>"
    for text in (*summary.stale, *summary.warnings):
        yield f"<dt>note</dt><dd>{escape(text)}</dd>"
    yield "</dl></details></article>"


def _legend() -> Iterator[str]:
    yield '<ul class="legend">'
    for mark, text in LEGEND.items():
        yield f'<li><span class="{_class(mark)}">{SIGNS[mark]}</span> <b>{mark.value}</b>: {escape(text)}</li>'
    yield "</ul>"


def _table(made: Matrix) -> Iterator[str]:
    yield '<div class="frame"><table><thead><tr><th>rule</th><th></th>'
    for report in made.reports:
        yield f'<th scope="col"><span>{escape(report.header.target)}</span></th>'
    yield '<th class="wide">it demands</th></tr></thead>'
    numbers = count(1)
    for family, rows in made.families:
        wide = len(made.reports) + 3
        yield f'<tbody><tr class="family"><th colspan="{wide}">{escape(family)} <i>{escape(TITLES.get(family, ""))}</i></th></tr>'
        for row in rows:
            yield from _row(row, made, numbers)
        yield "</tbody>"
    yield "</table></div>"


def _row(row: Row, made: Matrix, numbers: Iterator[int]) -> Iterator[str]:
    late = ' <i title="newer than the requirement set: it does not decide">provisional</i>' if row.provisional else ""
    yield f'<tr><th scope="row"><a href="#{escape(row.id)}">{escape(row.id)}</a></th>'
    yield f'<td class="level">{escape(row.level)}{late}</td>'
    for report, cell in zip(made.reports, row.cells, strict=True):
        yield _cell(cell, f"{row.id} on {report.header.target}", next(numbers))
    yield f'<td class="wide">{escape(row.sentence)}</td></tr>'


def _cell(cell: Cell, where: str, number: int) -> str:
    sign, kind = SIGNS[cell.mark], _class(cell.mark)
    title = escape(f"{where}: {cell.short}")
    if not cell.story:
        return f'<td><span class="{kind}" title="{title}">{sign}</span></td>'
    return (
        f'<td><details name="story" id="story-{number}"><summary class="{kind}" title="{title}">{sign}</summary>'
        f'<div class="sheet"><h3>{title}</h3><pre>{escape(cell.story)}</pre></div></details></td>'
    )


def _rules(made: Matrix) -> Iterator[str]:
    yield '<section class="rules"><h2>The rules</h2>'
    for row in made.rows:
        yield f'<article id="{escape(row.id)}"><h3>{escape(row.id)} <small>{escape(row.level)}</small></h3>'
        yield f"<p>{escape(row.sentence)}</p>"
        if row.rule is not None:
            yield f'<p class="note">{escape(row.rule.intent)}</p><p class="note">Likely causes when it fails:</p><ol>'
            yield from (f"<li>{escape(cause)}</li>" for cause in row.rule.causes)
            yield f'</ol><p class="note">{escape(strength(row.rule))}</p>'
        yield "</article>"
    yield "</section>"


def _class(mark: Mark) -> str:
    return f"mark {mark.name.lower().replace('_', '-')}"
