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


def test_no_file_is_written_over_a_report(files: list[str]) -> None:
    before = Path("g.json").read_bytes()
    Path("link.json").symlink_to("g.json")
    for option in ("--html", "--markdown"):
        for path in ("g.json", str(Path("g.json").absolute()), "link.json"):
            result = run(*files, option, path)
            assert result.exit_code == 2, result.output
            assert f"REPORT g.json and {option} are the same file, {path}" in result.stderr
            assert Path("g.json").read_bytes() == before


def test_each_page_has_its_own_file(files: list[str]) -> None:
    result = run(*files, "--html", "page", "--markdown", "./page")
    assert result.exit_code == 2
    assert "--html and --markdown are the same file, page" in result.stderr
    assert not Path("page").exists()
    assert run(*files, "--html", "/dev/null", "--markdown", "/dev/null").exit_code == 0


def test_a_report_that_is_named_twice_is_refused(files: list[str]) -> None:
    result = run(*files, "g.json")
    assert result.exit_code == 2 and not result.stdout
    assert "g.json is named twice: name each report once" in result.stderr
    Path("link.json").symlink_to("g.json")
    assert "link.json is named twice, also as g.json" in run(*files, "link.json").stderr
    Path("both.json").write_bytes(Path("g.json").read_bytes() * 2)
    joined = run("both.json")
    assert joined.exit_code == 2 and " is there 2 times" in joined.stderr, joined.output
