"""The rules: what each one says, how much it weighs, what it needs, and the function that judges it.

This room holds the catalogue and nothing that runs it. It must not know pytest, nor any transport.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any, Final, TypeAlias

import msgspec

from treaty import Guarantees
from treaty_contracts.target import HOOKS

#: The families, in the order in which their rules run: what the later ones rest on comes first.
FAMILIES: Final = (
    "SETUP",
    "LINE",
    "INBOX",
    "NOTE",
    "CALL",
    "ERR",
    "ASYNC",
    "AUTH",
    "LIFE",
    "WIRE",
    "STORAGE",
    "MODEL",
    "PLAN",
    "REFUSE",
    "STORE",
)
#: What is judged: a transport, by the rules of all families but one, or a store.
TRANSPORT: Final = "transport"
STORE: Final = "store"
#: The guarantees that are answered with yes or no (``notices_absence``: with a time, or ``None`` for no).
QUESTIONS: Final = tuple(name for name in Guarantees.__struct_fields__ if name != "max_frame")
#: The same of stores: what their classes declare.
STORE_QUESTIONS: Final = ("durable", "shared")
#: Both ways to call: a rule on these is judged once on each.
BOTH: Final = ("blocking", "asyncio")
#: The frozen requirement sets that verdicts are about, by what is judged. Rules that came later are provisional until the next one.
REQUIREMENT_SETS: Final = {TRANSPORT: "contract/1.0", STORE: "store/1.0"}
#: The one about transports.
REQUIREMENT_SET: Final = REQUIREMENT_SETS[TRANSPORT]

_ID: Final = re.compile(rf"({'|'.join(FAMILIES)})-([0-9]{{3}}|[A-Z]+(-[A-Z]+)*)")

#: The fields that list something.
_LISTS: Final = ("causes", "hooks", "mutants", "needs", "requires", "surfaces")

#: A rule that works on the bench of its kind: a :class:`~treaty_contracts.bench.Bench`, or one for stores.
Check: TypeAlias = Callable[[Any], None]


class RuleError(ValueError):
    """An entry of the catalogue that is incomplete, contradicts itself, or has an id that is taken."""


class Level(Enum):
    """How much a rule weighs, in the words of RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Strength(Enum):
    """How sure a rule is to find what it looks for."""

    #: It does the same each time: a violation is found if it shows with the values that are tried.
    DETERMINISTIC = "deterministic"
    #: Drawn cases or threads are involved: a violation is found with a probability that is measured.
    STOCHASTIC = "stochastic"
    #: No test can tell; a reviewer reads the code.
    REVIEW = "review-only"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the contract. Its id is permanent and is never given to another rule."""

    id: str
    level: Level
    #: What the rule demands, in one normative sentence.
    sentence: str
    #: Why anybody should care.
    intent: str
    #: What is wrong when it fails, the likeliest first.
    causes: tuple[str, ...]
    #: The broken transports that must die on it.
    mutants: tuple[str, ...]
    check: Check
    #: The guarantees that must be declared for the rule to apply.
    needs: tuple[str, ...] = ()
    #: The hooks of the target without which nobody can tell.
    hooks: tuple[str, ...] = ()
    #: The guarantee whose declared "no" the rule proves.
    refuses: str = ""
    #: The rules that must hold first.
    requires: tuple[str, ...] = ()
    #: The version of the contract in which it appeared.
    since: str = "1.0"
    strength: Strength = Strength.DETERMINISTIC
    #: The surfaces on which it is judged.
    surfaces: tuple[str, ...] = ("blocking",)

    @property
    def family(self) -> str:
        """The part of the id before the first dash."""
        return self.id.partition("-")[0]

    @property
    def kind(self) -> str:
        """What it judges."""
        return STORE if self.family == "STORE" else TRANSPORT

    def applies(self, guarantees: msgspec.Struct) -> bool:
        """Whether a target with this declaration is judged by this rule, and not by its counterpart."""
        if self.refuses:
            return not declares(guarantees, self.refuses)
        return all(declares(guarantees, name) for name in self.needs)


_RULES: Final[dict[str, Rule]] = {}


def rule(identifier: str, **entry: Any) -> Callable[[Check], Check]:
    """Enter a function into the catalogue. The keyword arguments are the fields of :class:`Rule`.

    Raises:
        RuleError: the entry is incomplete, contradicts itself, or the id is taken.
    """

    def enter(check: Check) -> Check:
        try:
            made = Rule(id=identifier, check=check, **entry)
        except TypeError as error:
            raise RuleError(f"rule {identifier}: {error}") from None
        for problem in problems(made):
            raise RuleError(f"rule {identifier} {problem}")
        _RULES[identifier] = made
        _in_order.cache_clear()
        return check

    return enter


def problems(made: Rule) -> list[str]:
    """Say what is wrong with an entry of the catalogue."""
    found = [
        f"has a {type(value).__name__} for {name}, not a tuple: is a comma missing?"
        for name in _LISTS
        if not isinstance(value := getattr(made, name), tuple)
    ]
    if found:
        return found
    if not _ID.fullmatch(made.id):
        found.append("has an id of another form: write FAMILY-001 or REFUSE-WORDS")
    if made.id in _RULES:
        found.append("is there already: ids are permanent, and given once")
    if not (made.sentence.endswith(".") and made.intent.endswith(".") and made.causes):
        found.append("needs a sentence, an intent and likely causes")
    if not made.mutants and made.strength is not Strength.REVIEW:
        found.append("names no broken transport that must die on it")
    for kind, names, known in (
        ("needs", (*made.needs, *filter(None, [made.refuses])), STORE_QUESTIONS if made.kind == STORE else QUESTIONS),
        ("surfaces", made.surfaces, BOTH),
        ("hooks", made.hooks, HOOKS),
    ):
        found += [f"{kind}: there is no {name!r}" for name in names if name not in known]
    return found


def rules(kind: str = TRANSPORT) -> list[Rule]:
    """Return the rules about transports, or about stores, in the order in which they run."""
    return [rule for rule in every_rule() if rule.kind == kind]


def every_rule() -> list[Rule]:
    """Return the whole catalogue, whatever its rules judge."""
    import_module("treaty_contracts.catalogue")
    return list(_in_order())


@cache
def _in_order() -> tuple[Rule, ...]:
    """Return the rules that were entered so far. A run asks for them thousands of times."""
    return tuple(sorted(_RULES.values(), key=lambda one: (FAMILIES.index(one.family), one.id)))


def find(identifier: str) -> Rule:
    """Return one rule.

    Raises:
        KeyError: there is none; the text lists those that come close.
    """
    catalogue = every_rule()
    if identifier in _RULES:
        return _RULES[identifier]
    known = [one.id for one in catalogue]
    near = [one for one in known if one.partition("-")[0] == identifier.partition("-")[0].upper()]
    raise KeyError(f"there is no rule {identifier!r}; there are {', '.join(near or known)}")


def required(name: str = REQUIREMENT_SET) -> dict[str, Level]:
    """Return the ids and levels that a frozen requirement set lists."""
    text = files("treaty_contracts").joinpath("requirements", f"{name.replace('/', '-')}.txt").read_text("utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {identifier: Level(level) for identifier, level in lines}


def declares(guarantees: msgspec.Struct, question: str) -> bool:
    """Whether the answer to a question is yes."""
    answer = getattr(guarantees, question)
    return answer is not None if question == "notices_absence" else bool(answer)


def counterpart(question: str) -> Rule:
    """Return the rule that proves a declared "yes": the first that needs it."""
    return next(one for one in every_rule() if question in one.needs)


def refusal(question: str) -> Rule:
    """Return the rule that proves a declared "no"."""
    return next(one for one in every_rule() if one.refuses == question)


#: The names of the fields, for the documents that are generated from the catalogue.
RULE_FIELDS: Final = tuple(field.name for field in fields(Rule))
