"""What ``package.module:attribute`` may lead to, and every way in which it leads nowhere."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from treaty_contracts import SetupError
from treaty_contracts.loading import load

Write = Callable[[str], str]


def test_a_target_a_list_and_a_function(mine: str) -> None:
    (one,) = load(f"{mine}:good").found
    assert (one.target.name, one.lines) == ("good", (f"from {mine} import good", "", "target = good"))
    assert next(found.target.name for found in load(f"{mine}:two").found) == "good"
    (made,) = load(f"{mine}:made").found
    assert made.lines[-1] == "target = next(one for one in made() if one.name == 'good')"


def test_the_lines_lead_to_the_target(mine: str, tmp_path: Path) -> None:
    for spec in ("good", "two", "made"):
        for found in load(f"{mine}:{spec}").found:
            names: dict[str, object] = {}
            exec("\n".join(found.lines), names)
            assert getattr(names["target"], "name", "") == found.target.name


@pytest.mark.parametrize(
    ("attribute", "complaint"),
    [
        ("nothing", "has no 'nothing'; targets in it: good, broken, raising"),
        ("number", "is int; it must be a treaty_contracts.Target or StoreTarget, a list of them"),
        ("empty", "the list is empty"),
        ("mixed", r":mixed\[1\] is NoneType; it must be a treaty_contracts.Target"),
        ("twins", "more than one target of the name 'good'"),
        ("fail", r"fail\(\) raised TypeError"),
    ],
)
def test_what_is_no_target(mine: str, attribute: str, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        load(f"{mine}:{attribute}")


@pytest.mark.parametrize("spec", ["", "mine", "mine:", ":target", "a b:c", "mine:a.b()"])
def test_what_is_no_spec(spec: str) -> None:
    with pytest.raises(SetupError, match=r"names no target: write 'package\.module:target'"):
        load(spec)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 / 0", r"raised ZeroDivisionError: division by zero \(.*module_[0-9a-f]+.py:1\)"),
        ("import sys; sys.exit(3)", "raised SystemExit: 3"),
        ("import no_such_library", "raised ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("x = (", "raised SyntaxError"),
        (
            "from treaty_contracts import Target\ntarget = Target(name='x', open=None)",
            "open is a function, not NoneType",
        ),
        (
            "from treaty import Guarantees\nGuarantees(ordered=True)",
            r"py:2\): the declaration lacks an answer: Missing required argument 'crosses_processes'; each of these .*, max_frame",
        ),
    ],
)
def test_what_does_not_import(write: Write, text: str, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        load(f"{write(text)}:target")


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SetupError, match=r"there is no module 'nowhere_at_all\.mine', looked for in"):
        load("nowhere_at_all.mine:target")


def test_handlers_that_the_import_changes_are_named_and_put_back(write: Write) -> None:
    name = write(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nfrom treaty_memory.contract import targets\n"
    )
    before = signal.getsignal(signal.SIGTERM)
    assert load(f"{name}:targets").warnings == (f"the import of {name!r} changed what SIGTERM does",)
    assert signal.getsignal(signal.SIGTERM) is before
