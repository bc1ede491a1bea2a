"""The JSON Schema of what stands in frames: ``python -m treaty.schema > docs/wire.schema.json``.

It must not know frames or seals, only the bodies that the codec reads and writes.
"""

from __future__ import annotations

import sys
from inspect import cleandoc
from typing import Any, Final

import msgspec

from treaty.codec import BODIES

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema: under ``kinds``, the body of each kind of frame; members that are not named are ignored."""
    kinds, definitions = msgspec.json.schema_components(BODIES.values(), ref_template="#/$defs/{name}")
    for definition in definitions.values():
        if "description" in definition:
            # It is a docstring, which some versions of Python keep as it is indented in the source.
            definition["description"] = cleandoc(definition["description"])
    return {
        "$schema": _DIALECT,
        "title": "The bodies of Treaty frames, version 1",
        "anyOf": list(kinds),
        "kinds": {kind.decode(): body for kind, body in zip(BODIES, kinds, strict=True)},
        "$defs": definitions,
    }


def text() -> str:
    """Return the schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
