"""The catalogue itself: complete, approved, and true to its own laws."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tests.each import each

import treaty_contracts
from treaty_contracts import Level, Rule, Strength, find, required, rule, rules
from treaty_contracts.registry import (
    FAMILIES,
    QUESTIONS,
    REQUIREMENT_SETS,
    STORE,
    RuleError,
    counterpart,
    every_rule,
    problems,
    refusal,
)
from treaty_contracts.zoo import animals

ROOM = Path(treaty_contracts.__file__).parent
SOURCES = sorted(ROOM.rglob("*.py"))
#: What the command may use besides.
_OF_THE_COMMAND = {"typer", "rich"}
#: What the suite is installed with.
_INSTALLED = {"pytest", "hypothesis", "packaging"}


def test_every_rule_is_complete() -> None:
    for one in every_rule():
        assert [problem for problem in problems(one) if "already" not in problem] == [], one.id
        assert one.since == "1.0"
        assert len(one.sentence) > 30, one.id


def test_the_list_is_approved() -> None:
    """Adding, removing or re-levelling a rule is a change of this file, which somebody has to read."""
    for kind, name in REQUIREMENT_SETS.items():
        assert required(name) == {one.id: one.level for one in rules(kind)}


def test_requirements_exist_and_come_first() -> None:
    order = [one.id for one in every_rule()]
    for one in every_rule():
        for needed in one.requires:
            assert order.index(needed) < order.index(one.id), (one.id, needed)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_has_a_rule_for_yes_and_one_for_no(question: str) -> None:
    assert counterpart(question).needs
    assert refusal(question).family == "REFUSE"


def test_every_animal_is_named_by_its_main_rule_and_by_none_that_it_survives() -> None:
    for animal in animals().values():
        assert animal.name in find(animal.main).mutants, (animal.main, animal.name)
    for one in rules():
        wrong = [name for name in one.mutants if name not in animals() or one.id not in animals()[name].kills]
        assert not wrong, (one.id, wrong)


def test_a_rule_rests_on_no_rule_of_the_other_side() -> None:
    """A requirement that applies only where something is declared runs as its refusal elsewhere, which must do."""
    for one in rules():
        for needed in map(find, one.requires):
            assert not needed.refuses, (one.id, needed.id)


def test_only_one_rule_is_left_to_reviewers() -> None:
    assert [one.id for one in rules() if one.strength is Strength.REVIEW] == ["AUTH-006"]


def test_find_says_what_there_is() -> None:
    assert find("CALL-003").id == "CALL-003"
    with pytest.raises(KeyError, match="CALL-001, CALL-002"):
        find("CALL-999")


def entry(**changes: object) -> dict[str, object]:
    return {
        "level": Level.MUST,
        "sentence": "Something is demanded of every transport.",
        "intent": "It matters.",
        "causes": ("a mistake",),
        "mutants": ("an-animal",),
        **changes,
    }


@pytest.mark.parametrize(
    ("identifier", "changes", "complaint"),
    [
        ("call-1", {}, "another form"),
        ("SETUP-001", {}, "already"),
        ("CALL-900", {"sentence": "no full stop"}, "sentence"),
        ("CALL-900", {"causes": ()}, "causes"),
        ("CALL-900", {"mutants": ()}, "no broken transport"),
        ("CALL-900", {"needs": ("telepathy",)}, "telepathy"),
        ("CALL-900", {"surfaces": ("telegraph",)}, "telegraph"),
        ("CALL-900", {"mutants": ("dead")}, "a str for mutants, not a tuple: is a comma missing"),
        ("CALL-900", {"causes": "a mistake"}, "a str for causes"),
        ("CALL-900", {"needs": ["ordered"]}, "a list for needs"),
        ("CALL-900", {"nonsense": 1}, "nonsense"),
    ],
)
def test_a_bad_entry_is_refused(identifier: str, changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(RuleError, match=complaint):
        rule(identifier, **entry(**changes))(lambda _: None)
    assert isinstance(find("SETUP-001"), Rule)


@each(SOURCES, lambda path: str(path.relative_to(ROOM)))
def test_the_suite_knows_no_adapter_and_never_sleeps(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            root = module.partition(".")[0]
            allowed = {"treaty", "treaty_contracts", "msgspec", *_INSTALLED, *sys.stdlib_module_names}
            if path.parent.name == "cli":
                allowed |= {"typer", "rich"}
            allowed |= _OF_THE_COMMAND if "cli" in path.relative_to(ROOM).parts else set()
            assert root in allowed, f"{path.name} imports {module}"
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called != "sleep", f"{path.name}:{node.lineno} sleeps"


@each(SOURCES, lambda path: str(path.relative_to(ROOM)))
def test_no_comparison_is_thrown_away(path: Path) -> None:
    """A comparison that is a statement of its own checks nothing, and looks as if it did."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        assert not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare)), f"{path.name}:{node.lineno}"


@each(SOURCES, lambda path: str(path.relative_to(ROOM)))
def test_rooms_are_small_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    doc = ast.get_docstring(ast.parse(text)) or ""
    assert len(doc.splitlines()) >= 3, f"{path.name} has no docstring of three lines"


def test_the_catalogue_needs_no_pytest() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "from treaty_contracts import rules, find\n"
        "print(len(rules()), find('CALL-001').id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.split() == [str(len(rules())), "CALL-001"], done.stderr


def test_families_are_all_there() -> None:
    assert {one.family for one in every_rule()} == set(FAMILIES)
    assert {one.family for one in rules(STORE)} == {STORE.upper()}
