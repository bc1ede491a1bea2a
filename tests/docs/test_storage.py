"""The page about shared state quotes its example, and its tables say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from treaty import storage
from treaty.storage.tables import METADATA

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "storage.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLE = (ROOT / "examples" / "storage.py").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.strip().splitlines()[0] for block in BLOCKS])
def test_each_piece_of_code_is_cut_out_of_the_example(block: str) -> None:
    assert f"\n{block}" in EXAMPLE, block


def test_there_are_pieces() -> None:
    assert len(BLOCKS) == 5


@pytest.mark.parametrize(
    "error",
    [
        storage.NotFound,
        storage.Conflict,
        storage.ValidationFailed,
        storage.UnknownModel,
        storage.Unreadable,
        storage.StoreUnavailable,
    ],
)
def test_the_table_of_errors_has_their_codes_and_statuses(error: type[storage.StorageError]) -> None:
    row = rf"^\| `{error.__name__}` \| `(storage\.[a-z-]+)` \| (\d+) \|"
    found = re.search(row, TEXT, re.MULTILINE)
    assert found, error
    source = (ROOT / "core" / "treaty" / "storage" / "errors.py").read_text(encoding="utf-8")
    assert f'@error("{found[1]}", status={found[2]})\nclass {error.__name__}(' in source


def test_every_call_is_in_the_table() -> None:
    public = {name for name in vars(storage.StorageClient) if not name.startswith("_")} - {"close"}
    assert {name for name in public if f"`{name}(" not in TEXT} == set()


def test_the_tables_of_the_database_are_named() -> None:
    assert all(f"`{name}`" in TEXT for name in METADATA.tables)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT))
def test_every_link_leads_to_something(link: str) -> None:
    assert (PAGE.parent / link).exists()
