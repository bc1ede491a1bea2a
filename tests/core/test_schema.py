"""The published JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

from treaty.codec import BODIES
from treaty.schema import schema, text

PUBLISHED = Path(__file__).parents[2] / "docs" / "wire.schema.json"


def test_the_published_schema_is_fresh() -> None:
    assert PUBLISHED.read_text() == text(), "run: python -m treaty.schema > docs/wire.schema.json"


def test_every_kind_of_body_is_in_it() -> None:
    assert set(schema()["kinds"]) == {kind.decode() for kind in BODIES}


def test_every_reference_can_be_followed() -> None:
    written = json.dumps(schema())
    names = {part.split('"')[0] for part in written.split('"#/$defs/')[1:]}
    assert names <= set(schema()["$defs"])


def test_no_description_is_indented_as_its_source_is() -> None:
    described = [one["description"] for one in schema()["$defs"].values() if "description" in one]
    assert described
    assert not [one for one in described if "\n " in one]
