"""What differs between the kinds of targets: the bench of a rule, what is declared, which rules come first.

The runner asks here, so that it is the same for transports and for stores. This room must not know rules.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from treaty import Guarantees
from treaty_contracts.bench import Bench
from treaty_contracts.profile import Profile
from treaty_contracts.registry import STORE, TRANSPORT, Rule
from treaty_contracts.store_bench import StoreBench
from treaty_contracts.store_target import RETAIN, Promises, StoreContext, StoreTarget
from treaty_contracts.target import Context, Target
from treaty_contracts.workbench import Workbench

#: Whatever can be judged.
AnyTarget: TypeAlias = Target | StoreTarget
#: The classes of what can be judged.
TARGETS: Final = (Target, StoreTarget)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of target."""

    name: str
    #: What must hold before anything else is worth looking at.
    first: tuple[str, ...]
    #: What a target declares, as a record.
    declaration: type[msgspec.Struct]
    #: Asks a target what it declares, by opening it.
    declared: Callable[[Any], msgspec.Struct]
    #: Makes the bench of a rule.
    bench: Callable[[Any, Profile, int, str, Rule], Workbench]


def _declared(target: Target) -> Guarantees:
    context = Context(namespace="declaration", role="client", secret="", time_scale=target.time_scale)
    with target.opened(context) as transport:
        # Here, and not wherever it is opened: that each end answers alike, and well, is for a rule.
        target.check_answers(transport)
        return transport.guarantees


def _promised(target: StoreTarget) -> Promises:
    with tempfile.TemporaryDirectory(prefix="contract-store-") as folder:
        context = StoreContext(
            namespace="c" + os.urandom(6).hex(), folder=Path(folder), retain=RETAIN, time_scale=target.time_scale
        )
        try:
            return target.promises(context)
        finally:
            if target.drop is not None:
                target.drop(context)


#: The kinds by name.
KINDS: Final = {
    TRANSPORT: Kind(
        name=TRANSPORT,
        first=("SETUP-001", "SETUP-002", "SETUP-005"),
        declaration=Guarantees,
        declared=_declared,
        bench=lambda target, profile, seed, surface, rule: Bench(target, profile, seed, surface, rule.hooks),
    ),
    STORE: Kind(
        name=STORE,
        first=("STORE-001",),
        declaration=Promises,
        declared=_promised,
        bench=lambda target, profile, seed, surface, rule: StoreBench(target, profile, seed),  # noqa: ARG005 - as above
    ),
}


def kind_of(target: AnyTarget) -> Kind:
    """Return the kind of a target."""
    return KINDS[STORE if isinstance(target, StoreTarget) else TRANSPORT]


def side_by_side(target: AnyTarget) -> bool:
    """Whether rules may run side by side on a target."""
    return isinstance(target, Target) and target.parallel


def before(rule: Rule) -> tuple[str, ...]:
    """Return the ids of the rules that must hold before a rule is worth running."""
    first = KINDS[rule.kind].first
    if rule.id in first:
        return rule.requires
    # What else stands in that family is as basic, and is worth hearing even of a transport that loses frames.
    return tuple(dict.fromkeys((*(first[:2] if rule.family == "SETUP" else first), *rule.requires)))
