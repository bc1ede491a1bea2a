"""The registry of what is broken: transports with one defect each, and cores with one, for what no transport can break.

An animal names the exact set of rules that fail on it, and a part of what the first of them says. It must not know any
animal in particular.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from treaty import Guarantees, Transport
from treaty_contracts.profile import Profile
from treaty_contracts.registry import FAMILIES
from treaty_contracts.target import Context, Target
from treaty_contracts.wrapping import WrappedTransport
from treaty_contracts.zoo.references import COMPLETE, MINIMAL, opener
from treaty_contracts.zoo.way import WAY

#: In a hurry, as what must come comes at once here, or never: few cases, small bursts, short waits.
ZOO: Final = Profile(name="zoo", examples=8, burst=16, rounds=2, limit=40.0)
#: By what the waits are multiplied. What an animal does too slowly takes far longer than what is allowed on this scale.
SCALE: Final = 0.25
#: The same for what lives on the way: a transport that crosses processes may take a second to close when it is cut.
FARTHER: Final = 0.6
#: The same where only what must fail is run: what is late fails, and so does what is late for another reason.
HASTE: Final = 0.07

_W = TypeVar("_W", bound=type[WrappedTransport])


@dataclass(frozen=True, kw_only=True)
class Animal:
    """Something broken, with exactly one defect."""

    name: str
    #: What is wrong with it, in one sentence.
    defect: str
    #: The rule that the defect violates, word for word.
    main: str
    #: Every rule that fails on it; each other one passes, or is blocked by one of these.
    kills: frozenset[str]
    #: A part of what the main rule expected or observed.
    shows: str
    #: What the healthy transport below it does, and declares.
    base: Guarantees
    #: Wraps the healthy transport.
    wrap: Callable[[Transport], Transport]
    #: Breaks the core as long as it is entered; nothing for what is broken in the transport.
    active: Callable[[], AbstractContextManager[None]]
    #: Whether the core is broken, and not the transport.
    core: bool
    #: Whether it is broken on the way between processes: it lives on a target with hooks, and not on a reference.
    hooked: bool


_ANIMALS: Final[dict[str, Animal]] = {}
#: The main rule and all rules that kill what is broken and no transport, by name.
_OUTSIDERS: Final[dict[str, tuple[str, frozenset[str]]]] = {}


def broken(
    name: str, *, kills: tuple[str, ...], shows: str, base: Guarantees = COMPLETE, hooked: bool = False
) -> Callable[[_W], _W]:
    """Enter a wrapper into the zoo; the first line of its docstring says what is wrong with it.

    Args:
        name: of the animal.
        kills: the rules that fail on it, the main one first.
        shows: a part of what the main rule expected or observed.
        base: what the transport that is wrapped does.
        hooked: whether it takes a target with hooks to live on.
    """

    def enter(wrapper: _W) -> _W:
        _enter(name, wrapper.__doc__, kills, shows, base=base, wrap=wrapper, hooked=hooked)
        return wrapper

    return enter


def broken_core(
    name: str, *, kills: tuple[str, ...], shows: str, base: Guarantees = COMPLETE, hooked: bool = False
) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Iterator[None]]]:
    """Enter a generator that breaks the core, yields, and mends it. The arguments are those of :func:`broken`."""

    def enter(breaking: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
        active = contextmanager(breaking)
        _enter(name, breaking.__doc__, kills, shows, base=base, active=active, core=True, hooked=hooked)
        return breaking

    return enter


def _enter(name: str, doc: str | None, kills: tuple[str, ...], shows: str, **more: Any) -> None:
    if name in _ANIMALS:
        raise ValueError(f"there is an animal called {name!r} already")
    entry = {"wrap": lambda transport: transport, "active": nullcontext, "core": False, **more}
    defect = (doc or "").partition("\n")[0]
    _ANIMALS[name] = Animal(name=name, defect=defect, main=kills[0], kills=frozenset(kills), shows=shows, **entry)


def animals() -> dict[str, Animal]:
    """Return all animals by name."""
    return dict(_ANIMALS)


def at_home() -> dict[str, Animal]:
    """Return the animals that live on the references, by name."""
    return {name: animal for name, animal in _ANIMALS.items() if not animal.hooked}


def on_the_way() -> dict[str, Animal]:
    """Return the animals that live on a target with hooks, by name."""
    return {name: animal for name, animal in _ANIMALS.items() if animal.hooked}


def mutants_of(identifier: str) -> tuple[str, ...]:
    """Return the names of the animals that die on a rule: those whose main rule it is first."""
    here = [(name, animal.main, animal.kills) for name, animal in _ANIMALS.items()]
    # A store may be called what a transport is called.
    there = [(name, main, kills) for name, (main, kills) in _OUTSIDERS.items()]
    found = [(main != identifier, name) for name, main, kills in (*here, *there) if identifier in kills]
    return tuple(name for _, name in sorted(found))


def outsider(name: str, kills: tuple[str, ...]) -> None:
    """Say which rules kill something broken that is no transport, and has a registry of its own."""
    if name in _ANIMALS or name in _OUTSIDERS:
        raise ValueError(f"there is an animal called {name!r} already")
    _OUTSIDERS[name] = (kills[0], frozenset(kills))


def rank(identifier: str) -> tuple[int, str]:
    """Return by what ids are sorted: the order in which the rules run."""
    return FAMILIES.index(identifier.partition("-")[0]), identifier


def zoo_target(animal: Animal, healthy: Target | None = None, *, time_scale: float = SCALE) -> Target:
    """Make the target of a broken transport, on its reference or on another healthy one.

    An animal of the core is broken only while :attr:`Animal.active` is entered.
    """
    below = opener(animal.base) if healthy is None else healthy.opened

    def opened(context: Context) -> Transport:
        WAY.secret = context.secret
        return animal.wrap(below(context))

    return Target(
        name=f"{'the zoo' if healthy is None else healthy.name}, {animal.name}",
        open=opened,
        time_scale=time_scale,
        **({} if healthy is None else WAY.hooks(healthy)),
    )


def base_name(base: Guarantees) -> str:
    """Say what a healthy transport is, in words: one of the two references, and what is different."""
    near, name = min(
        ((COMPLETE, "complete"), (MINIMAL, "minimal")),
        key=lambda one: sum(getattr(base, field) != getattr(one[0], field) for field in base.__struct_fields__),
    )
    changes = [
        f"{field}={getattr(base, field)}"
        for field in base.__struct_fields__
        if getattr(base, field) != getattr(near, field)
    ]
    return f"{name} ({', '.join(changes)})" if changes else name
