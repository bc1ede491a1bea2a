"""What the author of a store hands over: a name, and a way to open it.

A store is judged as a transport is, by rules of its own, with the same command and the same test. This room must not
know rules or pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from treaty.storage import Store
from treaty_contracts.target import DeclarationError, SetupError, check_name, check_scale

#: How many changes the log of a store holds at least, unless a rule asks for another bound.
RETAIN: Final = 2_000


@dataclass(frozen=True, kw_only=True)
class StoreContext:
    """For what a store is made. Two stores with one namespace have one storage; those of two share nothing."""

    #: A plain token, new for each storage: make it part of a table, a schema, a key, or a file name.
    namespace: str
    #: An empty folder for this storage, which is removed in the end: for stores that keep files.
    folder: Path
    #: How many changes the log is to hold, about: what is far more must be pruned, what is less must be there.
    retain: int
    #: By how much the times of the target are multiplied.
    time_scale: float


class Promises(msgspec.Struct, frozen=True, kw_only=True):
    """What the class of a store declares, and each of its rules is judged by."""

    durable: bool
    shared: bool


@dataclass(frozen=True, kw_only=True)
class StoreTarget:
    """A store in one configuration. ::

        from treaty_contracts import StoreTarget, contract


        def opened(context):
            return MyStore(context.folder / "objects.db", retain=context.retain)


        store_target = StoreTarget(name="mine", open=opened)
        test_contract = contract(store_target)

    The same by command: ``treaty check mypkg.contract:store_target``.

    Args:
        name: what reports call it, such as ``"sqlite"``: printable text of at most 100 characters.
        open: returns a new, closed store on the storage of a namespace, which is empty when that is seen first. It is
            called again with the same context for another store on the same storage, also in forked children.
        drop: removes the storage of a namespace when all its stores are closed. What is in the folder goes by itself.
        time_scale: multiplies every time of the suite, for slow machines and distant databases.

    Raises:
        SetupError: something is missing or of another kind.
    """

    name: str
    open: Callable[[StoreContext], Store]
    drop: Callable[[StoreContext], object] | None = None
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        check_name(self.name, "sqlite")
        if isinstance(self.open, Store):
            raise SetupError(
                f"store target {self.name!r}: open is a store; each rule needs its own: "
                "write open=lambda context: ... that makes a new one"
            )
        for what in ("open", "drop"):
            given: Any = getattr(self, what)
            if not callable(given) and (what, given) != ("drop", None):
                raise SetupError(f"store target {self.name!r}: {what} is a function, not {type(given).__name__}")
        check_scale(self.time_scale, f"store target {self.name!r}")

    def opened(self, context: StoreContext) -> Store:
        """Make a store, which is still closed.

        Raises:
            SetupError: what came back is no store.
        """
        made = self.open(context)
        if not isinstance(made, Store):
            raise SetupError(
                f"store target {self.name!r}: open returned {type(made).__name__}; it must return a treaty.storage.Store"
            )
        return made

    def promises(self, context: StoreContext) -> Promises:
        """Return what the store declares.

        Raises:
            SetupError: what came back is no store.
            DeclarationError: it does not say, or says something else than yes or no.
        """
        store = self.opened(context)
        said: dict[str, bool] = {}
        for name in Promises.__struct_fields__:
            value = getattr(store, name, None)
            if isinstance(value, bool):
                said[name] = value
            else:
                raise DeclarationError(
                    f"store target {self.name!r}: {type(store).__name__}.{name} is {value!r}; declare True or False"
                )
        return Promises(**said)
