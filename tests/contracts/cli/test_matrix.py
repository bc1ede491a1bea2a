"""``treaty matrix``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from treaty.cli.app import app
from treaty_contracts import Status
from treaty_contracts.report import Report, Writer

MakeReport = Callable[..., Report]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["matrix", *arguments], prog_name="treaty")


@pytest.fixture
def files(report: MakeReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    for name, made in (
        ("b.json", report({"CALL-003": Status.FAILED}, target="bad")),
        ("g.json", report(target="good")),
    ):
        with Path(name).open("wb") as file:
            writer = Writer(file)
            writer.write(made.header)
            for record in made.records:
                writer.write(record)
            writer.write(made.footer)
    return ["b.json", "g.json"]


def test_both_pages(files: list[str]) -> None:
    result = run(*files, "--html", "m.html", "--markdown", "m.md")
    assert result.exit_code == 0, result.output
    assert result.stdout == "bad: non-conformant, good: conformant\n"
    assert "CALL-003 FAILED on bad" in Path("m.html").read_text()
    assert "| CALL-003 | MUST | ✗ | ✓ |" in Path("m.md").read_text()


def test_the_markdown_goes_to_the_screen(files: list[str]) -> None:
    assert "| CALL-003 | MUST | ✗ | ✓ |" in run(*files).stdout


def test_a_report_without_its_footer_is_refused(files: list[str]) -> None:
    lines = Path("g.json").read_bytes().splitlines(keepends=True)
    Path("g.json").write_bytes(b"".join(lines[:-1]))
    result = run(*files, "--html", "m.html")
    assert result.exit_code == 2
    assert "the run was not finished: the report of 'good' has no footer" in result.stderr
    assert not Path("m.html").exists()


def test_what_is_not_there(files: list[str]) -> None:
    assert run("none.json").exit_code == 2
    assert "cannot be written" in run(*files, "--html", "no/such/folder/m.html").stderr
