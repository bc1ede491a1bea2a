"""``treaty matrix``: several reports side by side, as a page to look at and as Markdown.

It must not know what stands in a report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from treaty import ConfigurationError
from treaty.cli.screen import out
from treaty_contracts.cli.exits import READING
from treaty_contracts.cli.files import differ
from treaty_contracts.cli.screen import clean
from treaty_contracts.matrix import gather
from treaty_contracts.matrix import matrix as side_by_side
from treaty_contracts.matrix_page import page
from treaty_contracts.matrix_text import markdown as as_markdown
from treaty_contracts.report import Report, ReportError
from treaty_contracts.target import SetupError

EXAMPLES: Final = """\
treaty matrix reports/*.json --html matrix.html
treaty matrix tcp.json redis.json --markdown docs/matrix.md
treaty matrix report.json"""
#: Our own exit codes, for the help.
EXITS: Final = READING


def matrix(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT...", help="What 'treaty check --json' wrote.", show_default=False)
    ],
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="One page that needs nothing else.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="A page for a repository.")
    ] = None,
) -> None:
    """Put reports side by side: rules by targets, with the failure behind each cell.

    Without --html and --markdown, the Markdown goes to standard output. A report of a run that was not finished, that
    another version of the suite wrote, or that says what its records do not give, is refused.
    """
    try:
        _once(reports)
        differ({**{f"REPORT {path}": path for path in reports}, "--html": html, "--markdown": markdown})
        gathered = gather(map(str, reports))
        _all_different(gathered)
    except (ReportError, SetupError) as error:
        raise ConfigurationError(str(error)) from error
    made = side_by_side(gathered)
    if html is None and markdown is None:
        typer.echo(clean(as_markdown(made)), nl=False)
        return
    for path, text in ((html, page), (markdown, as_markdown)):
        if path is not None:
            _write(path, text(made))
    words = ", ".join(f"{report.header.target}: {report.footer.summary.said}" for report in gathered)
    out().print(Text(clean(words)), soft_wrap=True)


def _once(reports: list[Path]) -> None:
    """See that no report is named twice, by whatever path: two columns that are the same compare nothing."""
    seen: dict[Path, Path] = {}
    for path in reports:
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            also = f", also as {first}" if first != path else ""
            raise ConfigurationError(f"{path} is named twice{also}: name each report once")


def _all_different(gathered: Sequence[Report]) -> None:
    """See that no file holds the report of one run twice, as it does when somebody joins files."""
    runs = Counter((report.header.target, report.header.started) for report in gathered)
    for (target, started), times in runs.items():
        if times > 1:
            raise ConfigurationError(f"the report on {target} of {started:%Y-%m-%d %H:%M:%S} is there {times} times")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
