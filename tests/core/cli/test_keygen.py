from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from treaty import Key

Run = Callable[..., Result]


def test_it_prints_a_key_and_each_time_another(run: Run) -> None:
    first, second = run("keygen").stdout.strip(), run("keygen").stdout.strip()
    assert Key.read(first) != Key.read(second)


def test_it_writes_a_file_for_its_owner_alone_and_says_nothing_of_the_key(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    result = run("keygen", "--out", str(file))
    assert result.exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert Key.read(file.read_text()).text() not in result.output


def test_it_never_overwrites(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_text("precious")
    result = run("keygen", "--out", str(file))
    assert (result.exit_code, file.read_text()) == (2, "precious")
    assert "exists already" in result.stderr


def test_where_it_cannot_write_it_says_so(run: Run, tmp_path: Path) -> None:
    result = run("keygen", "--out", str(tmp_path / "no" / "such" / "folder"))
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr
