"""The registry of broken transports, and how one is made of a target.

It must not know any animal in particular.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from treaty import Transport
from treaty_contracts.target import Target
from treaty_contracts.wrapping import WrappedTransport


@dataclass(frozen=True, kw_only=True)
class Animal:
    """A broken transport."""

    name: str
    #: What is wrong with it, in one sentence.
    defect: str
    wrap: Callable[[Transport], Transport]


_ANIMALS: Final[dict[str, Animal]] = {}


def broken(name: str) -> Callable[[type[WrappedTransport]], type[WrappedTransport]]:
    """Enter a wrapper into the zoo; the first line of its docstring says what is wrong with it."""

    def enter(wrapper: type[WrappedTransport]) -> type[WrappedTransport]:
        if name in _ANIMALS:
            raise ValueError(f"there is an animal called {name!r} already")
        _ANIMALS[name] = Animal(name=name, defect=(wrapper.__doc__ or "").partition("\n")[0], wrap=wrapper)
        return wrapper

    return enter


def animals() -> dict[str, Animal]:
    """Return all animals by name."""
    return dict(_ANIMALS)


def zoo_target(animal: Animal, healthy: Target, *, time_scale: float = 0.1) -> Target:
    """Make the target of a broken transport. It is in a hurry: what must come comes at once, or never."""
    return Target(
        name=f"{healthy.name}, {animal.name}",
        open=lambda context: animal.wrap(healthy.opened(context)),
        time_scale=time_scale,
    )
