"""The known-answer frames: what was written once still holds."""

from __future__ import annotations

from pathlib import Path

from treaty_contracts.vectors import PATH, load, main, make, verify, write


def test_they_hold() -> None:
    vectors = load()
    assert verify(vectors) == []
    assert len(vectors.good) >= 10
    assert {bad.reason for bad in vectors.bad} == {"size", "magic", "version", "key", "tag", "kind", "body"}


def test_a_change_of_the_wire_is_noticed() -> None:
    vectors = load()
    first, second = vectors.good[:2]
    swapped = type(first)(first.name, first.frame, second.message)
    tampered = type(vectors)(vectors.key, [swapped], [type(vectors.bad[0])("good", first.frame, b"q", "tag")])
    assert verify(tampered) == [
        "request by name: means something else",
        "request by name: is written in another way",
        "good: accepted instead of tag",
    ]


def test_the_file_is_what_the_core_makes(tmp_path: Path) -> None:
    write(tmp_path / "vectors.json")
    assert (tmp_path / "vectors.json").read_text() == PATH.read_text()
    assert load(tmp_path / "vectors.json") == make()


def test_the_script_says_what_it_wrote() -> None:
    before, said = PATH.read_bytes(), list[str]()
    main(said.append)
    assert PATH.read_bytes() == before
    assert "11 good and 20 bad frames" in said[0]
