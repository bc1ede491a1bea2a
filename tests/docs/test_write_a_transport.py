"""The tutorial quotes the example, and says nothing that the example does not."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "write-a-transport.md"
EXAMPLE = ROOT / "examples" / "third_party"
#: What is code, by the language in which it is fenced; what is fenced without one is drawn or typed.
SOURCES = {
    "python": chain((EXAMPLE / "treaty_unix").glob("*.py"), (EXAMPLE / "tests").glob("*.py")),
    "toml": [EXAMPLE / "pyproject.toml"],
}
TEXTS = {language: [path.read_text(encoding="utf-8") for path in paths] for language, paths in SOURCES.items()}
TEXT = TUTORIAL.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
#: Words of prose that people read in a minute, and lines of code.
WORDS, LINES, MINUTES = 180, 15, 30


@pytest.mark.parametrize(("language", "block"), BLOCKS, ids=[block.strip().splitlines()[0] for _, block in BLOCKS])
def test_each_piece_of_code_is_cut_out_of_the_example(language: str, block: str) -> None:
    assert any(block in f"\n{text}" and f"\n{block}" in f"\n{text}" for text in TEXTS[language]), block


def test_there_are_pieces() -> None:
    assert len(BLOCKS) > 15


def test_it_is_read_in_half_an_hour() -> None:
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    code = sum(block.count("\n") for _, block in BLOCKS)
    assert len(prose.split()) / WORDS + code / LINES < MINUTES


def test_every_rule_that_is_named_exists() -> None:
    from treaty_contracts import rules

    known = {rule.id for rule in rules()}
    assert set(re.findall(r"\b[A-Z]+-\d{3}\b", TEXT)) <= known


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (TUTORIAL.parent / link).exists()
