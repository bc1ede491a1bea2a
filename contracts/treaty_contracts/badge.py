"""A badge in the JSON that shields reads: only a whole run of a conformant target earns one.

This room must not run rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from treaty_contracts.report import Report
from treaty_contracts.summary import Totals


class BadgeRefused(ValueError):
    """The run does not earn a badge. The text says why."""


def badge(reports: Sequence[Report]) -> str:
    """Return the badge of some targets: all of them have to earn it, and it shows the least of their figures.

    Raises:
        BadgeRefused: one of them does not earn it, or there is none.
    """
    if not reports:
        raise BadgeRefused("nothing was run")
    for report in reports:
        reasons = list(_reasons(report))
        if reasons:
            raise BadgeRefused(f"{report.header.target}: {', '.join(reasons)}")
    sets = {report.header.requirements for report in reports}
    if len(sets) > 1:
        raise BadgeRefused(f"the reports are about different requirement sets: {', '.join(sorted(sets))}")
    summaries = [report.footer.summary for report in reports]
    must = min((one.must for one in summaries), key=_share)
    should = min((one.should for one in summaries), key=_share)
    absent = max(one.absent for one in summaries)
    return json.dumps(
        {
            "schemaVersion": 1,
            "label": sets.pop().replace("/", " "),
            "message": f"{must.passed}/{must.required} MUST, {should.passed}/{should.required} SHOULD"
            f"{f', {absent} absent' * (absent > 0)}",
            "color": "brightgreen" if should.passed == should.required else "green",
        },
        indent=2,
    )


def _share(totals: Totals) -> float:
    return totals.passed / totals.required if totals.required else 1.0


def _reasons(report: Report) -> Iterator[str]:
    header, _, footer = report
    summary = footer.summary
    if header.only:
        yield "only a part was run"
    if footer.error or not summary.earns_badge:
        totals = (summary.must, summary.should)
        left = {
            "violated": summary.must.violated,
            **{
                name: sum(getattr(one, name) for one in totals)
                for name in ("known", "blocked", "unverified", "not_run")
            },
        }
        yield ", ".join(
            [summary.word.value, *(f"{count} {name.replace('_', ' ')}" for name, count in left.items() if count)]
        )
