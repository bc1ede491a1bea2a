from __future__ import annotations

import sys
from pathlib import Path

import pytest

from treaty import ConfigurationError
from treaty.cli.loading import load_service

MODULE = """
from treaty import Service
class Good(Service):
    name = "good"
class Outer:
    class Inner(Service):
        name = "inner"
number = 3
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loaded_one.py").write_text(MODULE)
    (tmp_path / "loaded_needy.py").write_text("import loaded_missing")
    (tmp_path / "loaded_broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("loaded_one", "loaded_needy", "loaded_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(("spec", "name"), [("loaded_one:Good", "good"), ("loaded_one:Outer.Inner", "inner")])
def test_it_finds_services_from_here(spec: str, name: str) -> None:
    assert load_service(spec).name == name


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("loaded_one", "package.module:Service"),
        ("loaded_one:", "package.module:Service"),
        ("loaded-one:Good", "package.module:Service"),
        ("loaded_two:Good", "no module 'loaded_two'"),
        ("loaded_one.deeper:Good", "no module 'loaded_one.deeper'|is not a package"),
        ("loaded_one:Bad", "has no 'Bad'; services in it: Good"),
        ("loaded_one:number", "no subclass of treaty.Service, but 3"),
        ("loaded_needy:Good", "does not import: No module named 'loaded_missing'"),
        ("loaded_broken:Good", "does not import: ZeroDivisionError"),
    ],
)
def test_it_says_what_is_wrong(spec: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_service(spec)


def test_a_current_directory_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigurationError, match="the current directory, where 'loaded_one' is looked for first"):
        load_service("loaded_one:Good")
