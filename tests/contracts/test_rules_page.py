"""The published page is that of the catalogue."""

from __future__ import annotations

from pathlib import Path

from treaty_contracts import rules
from treaty_contracts.registry import FAMILIES
from treaty_contracts.rules_page import TITLES, described, page

PUBLISHED = Path(__file__).parents[2] / "docs" / "rules.md"


def test_the_published_page_is_that_of_the_catalogue() -> None:
    assert PUBLISHED.read_text() == page(), "run: python -m treaty_contracts.rules_page > docs/rules.md"


def test_it_names_the_frozen_set_and_every_rule() -> None:
    text = page()
    assert "`contract/1.0`" in text
    for rule in rules():
        assert f'<a id="{rule.id.lower()}"></a>' in text
        assert rule.sentence in text
        assert described(rule)["id"] == rule.id
    assert set(TITLES) == set(FAMILIES)
