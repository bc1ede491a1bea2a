from __future__ import annotations

import os
from pathlib import Path

import pytest

from treaty import InvalidSecret, Key
from treaty.cli.secret import read_secret

KEY = Key.generate(os.urandom)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TREATY_SECRET", raising=False)
    monkeypatch.delenv("TREATY_SECRET_FILE", raising=False)


def _file(folder: Path, mode: int = 0o600) -> Path:
    file = folder / "secret.key"
    file.write_text(KEY.text() + "\n")
    file.chmod(mode)
    return file


def test_it_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREATY_SECRET", KEY.text())
    assert read_secret(None) == KEY


def test_it_comes_from_the_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREATY_SECRET_FILE", str(_file(tmp_path)))
    assert read_secret(None) == KEY


def test_a_byte_order_mark_is_none_of_the_secret(tmp_path: Path) -> None:
    file = _file(tmp_path)
    file.write_text(KEY.text() + "\r\n", encoding="utf-8-sig")
    assert read_secret(file) == KEY
    file.write_text("a phrase of more than thirty-two characters", encoding="utf-8-sig")
    marked = read_secret(file)
    file.write_text("a phrase of more than thirty-two characters", encoding="utf-8")
    assert marked == read_secret(file)


def test_a_file_given_counts_more_than_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREATY_SECRET", "another" * 9)
    assert read_secret(_file(tmp_path)) == KEY


def test_two_of_them_are_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREATY_SECRET", KEY.text())
    monkeypatch.setenv("TREATY_SECRET_FILE", str(_file(tmp_path)))
    with pytest.raises(InvalidSecret, match="unset one"):
        read_secret(None)


def test_a_missing_one_tells_how_to_make_one() -> None:
    with pytest.raises(InvalidSecret, match="treaty keygen"):
        read_secret(None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSecret, match=r"nothing\.key"):
        read_secret(tmp_path / "nothing.key")


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int, warns: bool
) -> None:
    assert read_secret(_file(tmp_path, mode)) == KEY
    assert ("chmod 600" in capsys.readouterr().err) is warns


def test_a_passphrase_is_warned_of_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TREATY_SECRET", "sesame")
    read_secret(None)
    said = capsys.readouterr().err
    assert said.startswith("warning: ")
    assert said.count("\n") == 1
    assert "sesame" not in said


def test_a_damaged_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREATY_SECRET", KEY.text()[:-3])
    with pytest.raises(InvalidSecret) as caught:
        read_secret(None)
    assert KEY.text()[25:40] not in str(caught.value)
