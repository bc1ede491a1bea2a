"""The public surface of storage is listed once, sorted, and is all that there is."""

from __future__ import annotations

import types

from treaty import storage


def test_the_list_is_sorted_and_is_what_can_be_imported() -> None:
    kinds = [(not name.isupper(), not name[:1].isupper(), name) for name in storage.__all__]
    assert kinds == sorted(kinds) and len(set(kinds)) == len(kinds)
    public = {name for name, value in vars(storage).items() if not isinstance(value, types.ModuleType)}
    assert {name for name in public if not name.startswith("_")} == set(storage.__all__) - {"model"} | {"model"}


def test_everything_public_is_described() -> None:
    for name in storage.__all__:
        thing = getattr(storage, name)
        if isinstance(thing, type | types.FunctionType):
            assert thing.__doc__ and thing.__module__.startswith("treaty.storage."), name
