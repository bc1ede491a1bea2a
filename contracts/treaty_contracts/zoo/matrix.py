"""The kill matrix as Markdown: which animal dies on which rule, as it is declared.

It must not know how anything is run.
"""

from __future__ import annotations

from collections.abc import Sequence

from treaty_contracts.registry import FAMILIES, rules
from treaty_contracts.zoo.animals import Animal, animals, base_name, rank
from treaty_contracts.zoo.odd import oddities
from treaty_contracts.zoo.rates import Rate
from treaty_contracts.zoo.shelves import stores_section

_HEAD = """# The kill matrix

The contract suite is tested as well: on {count} transports and cores that are broken in exactly one point each, on
{odd} that are odd and right, and on two healthy references. Each broken one names the exact set of rules that must fail
on it; all others must pass, or be blocked by one of those. This file is written by
`python -m treaty_contracts.zoo --write docs/kill-matrix.md`, and the sets are proven by the run itself, without
`--write`; those of what is broken on the way between processes with `--on` and a target that has hooks.

`X` marks the main rule of an animal, whose text is checked as well; `x` every other rule that fails on it.
"""


def rendered(rates: Sequence[Rate] = ()) -> str:
    """Write the whole document."""
    zoo = animals()
    parts = [_HEAD.format(count=len(zoo), odd=len(oddities()))]
    parts += [_family(family, list(zoo.values())) for family in FAMILIES]
    parts.append(_animals())
    parts += [stores_section(), _healthy()]
    if rates:
        parts.append(_rates(rates))
    return "\n".join(parts)


def _family(family: str, zoo: Sequence[Animal]) -> str:
    identifiers = [rule.id for rule in rules() if rule.family == family]
    dying = [one for one in zoo if any(identifier in one.kills for identifier in identifiers)]
    if not identifiers:
        return ""
    short = [identifier.partition("-")[2] for identifier in identifiers]
    lines = [f"## {family}", "", f"| animal | {' | '.join(short)} |", f"| --- |{' :-: |' * len(short)}"]
    for one in dying:
        marks = [_mark(one, identifier) for identifier in identifiers]
        lines.append(f"| {one.name} | {' | '.join(marks)} |")
    return "\n".join([*lines, ""])


def _mark(animal: Animal, identifier: str) -> str:
    if identifier == animal.main:
        return "X"
    return "x" if identifier in animal.kills else " "


def _animals() -> str:
    lines = ["## The animals", "", "| animal | what is wrong with it | what is healthy below it | rules that fail |"]
    lines.append("| --- | --- | --- | --- |")
    for one in sorted(animals().values(), key=lambda animal: (rank(animal.main), animal.name)):
        below = "the core is broken" if one.core else "a target with hooks" if one.hooked else base_name(one.base)
        others = sorted(one.kills - {one.main}, key=rank)
        kills = ", ".join([f"**{one.main}**", *others])
        lines.append(f"| {one.name} | {one.defect} | {below} | {kills} |")
    return "\n".join([*lines, ""])


def _healthy() -> str:
    lines = ["## What must pass", "", "| name | what is odd about it |", "| --- | --- |"]
    lines.append("| complete | Nothing: it declares all that a transport inside one process can, and keeps it. |")
    lines.append("| minimal | Nothing: it declares the least that a transport can, and keeps no more. |")
    lines += [f"| {one.name} | {one.oddity} |" for one in oddities().values()]
    return "\n".join([*lines, ""])


def _rates(rates: Sequence[Rate]) -> str:
    lines = ["## How surely the rules that draw find it", ""]
    lines += ["| rule | animal | killed | seeds | rate |", "| --- | --- | --: | --: | --: |"]
    for one in sorted(rates, key=lambda rate: (rank(rate.rule), rate.animal)):
        share = one.killed / one.seeds if one.seeds else 0.0
        lines.append(f"| {one.rule} | {one.animal} | {one.killed} | {one.seeds} | {share:.1%} |")
    return "\n".join([*lines, ""])
