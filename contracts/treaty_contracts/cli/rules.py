"""``treaty rules``: the catalogue at a glance.

It must not know what any rule says.
"""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Final

import typer
from rich.text import Text

from treaty.cli.screen import out, show_json
from treaty_contracts.cli.exits import READING
from treaty_contracts.registry import FAMILIES, REQUIREMENT_SETS, Strength, every_rule, required
from treaty_contracts.rules_page import TITLES, described

EXAMPLES: Final = """\
treaty rules
treaty rules --family CALL
treaty rules --json"""
#: Our own exit codes, for the help.
EXITS: Final = READING


def rules(
    family: Annotated[
        str, typer.Option("--family", "-f", metavar="NAME", help=f"Only one of {', '.join(FAMILIES)}.")
    ] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Everything about them, as JSON.")] = False,
) -> None:
    """List the rules of the contract."""
    wanted = family.upper()
    if wanted and wanted not in FAMILIES:
        raise typer.BadParameter(f"there is no family {family!r}: use one of {', '.join(FAMILIES)}")
    chosen = [rule for rule in every_rule() if wanted in ("", rule.family)]
    if not chosen:
        raise typer.BadParameter(f"the family {wanted} has no rules yet")
    if as_json:
        show_json([described(rule) for rule in chosen])
        return
    console = out()
    sets = {name: required(name) for name in REQUIREMENT_SETS.values()}
    demanded = {one: level for each in sets.values() for one, level in each.items()}
    width = max(len(rule.id) for rule in chosen) + 2
    for name, members in groupby(chosen, key=lambda rule: rule.family):
        console.print(Text.assemble((name, "bold"), f"  {TITLES.get(name, '')}"), soft_wrap=True)
        for rule in members:
            marks = [
                *(["provisional"] * (rule.id not in demanded)),
                *([f"needs {', '.join(rule.needs)}"] * bool(rule.needs)),
                *([f"proves a declared no to {rule.refuses}"] * bool(rule.refuses)),
                *([f"hook {', '.join(rule.hooks)}"] * bool(rule.hooks)),
                *(["review only"] * (rule.strength is Strength.REVIEW)),
            ]
            mark = f"  [{'; '.join(marks)}]" if marks else ""
            console.print(
                Text.assemble(
                    "  ", (f"{rule.id:<{width}}", "cyan"), f"{rule.level.value:<7}", rule.sentence, (mark, "dim")
                ),
                soft_wrap=True,
            )
        console.print()
    parts = []
    for name, levels in sets.items():
        among = [levels[rule.id].value for rule in chosen if rule.id in levels]
        if among:
            parts.append(f"{name} demands {among.count('MUST')} MUST and {among.count('SHOULD')} SHOULD")
    text = f"{len(chosen)} rules; {', '.join(parts)} of them. More on one: treaty explain {chosen[0].id}"
    console.print(Text(text), soft_wrap=True)
