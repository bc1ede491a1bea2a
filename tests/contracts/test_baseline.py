"""The file of known failures: strict in what it accepts, and in what it means."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from treaty_contracts import SetupError
from treaty_contracts.baseline import read, sort_out

ENTRY = '[[known]]\nrule = "CALL-003"\nreason = "they swap"\nlink = "https://example.org/17"\nexpires = 2030-01-31\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "baseline.toml"
    path.write_text(text)
    return path


def test_an_entry_is_read(tmp_path: Path) -> None:
    (entry,) = read(written(tmp_path, ENTRY))
    assert (entry.rule, entry.reason, entry.expires) == ("CALL-003", "they swap", date(2030, 1, 31))
    assert read(written(tmp_path, "# nothing is known\n")) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[known]\n", "is not one"),
        ("[[unknown]]\n", "is not one"),
        (ENTRY.replace("reason", "why"), "is not one"),
        (ENTRY.replace('link = "https://example.org/17"\n', ""), "link"),
        (ENTRY.replace("2030-01-31", '"soon"'), "expires"),
        (ENTRY.replace("they swap", " "), "CALL-003 needs a reason and a link"),
        (ENTRY + ENTRY, "names CALL-003 more than once"),
        ("x = " + "[" * 5_000, "is not one: .*recursion"),
    ],
)
def test_a_wrong_one_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        read(written(tmp_path, text))


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read: No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(SetupError, match="cannot be read"):
        read(tmp_path / "latin.toml")


def test_it_expires_and_names_rules_that_are_there(tmp_path: Path) -> None:
    entries = read(written(tmp_path, ENTRY))
    good, stale = sort_out(entries, ["CALL-003"], date(2030, 1, 31))
    assert (list(good), stale) == (["CALL-003"], {})
    good, stale = sort_out(entries, ["CALL-003"], date(2030, 2, 1))
    assert (good, stale) == ({}, {"CALL-003": "CALL-003 was to be known until 2030-01-31: mend it, or decide anew"})
    good, stale = sort_out(entries, ["CALL-001"], date(2030, 1, 1))
    assert (good, stale) == ({}, {"CALL-003": "CALL-003 is in the baseline, and there is no such rule"})
