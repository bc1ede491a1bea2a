"""``treaty explain``: everything about one rule.

It must not know what any rule says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.text import Text

from treaty.cli.screen import out
from treaty_contracts.cli.asked import asked
from treaty_contracts.cli.exits import READING
from treaty_contracts.registry import REQUIREMENT_SETS, Rule, Strength, counterpart, refusal, required
from treaty_contracts.rules_page import alone_by_pytest, strength
from treaty_contracts.zoo import mutants_of

EXAMPLES: Final = """\
treaty explain CALL-003
treaty explain REFUSE-ORDERED"""
#: Our own exit codes, for the help.
EXITS: Final = READING


def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="An id such as CALL-003.", show_default=False)],
) -> None:
    """Explain a rule: what it demands, why, what is wrong when it fails, and how it is run alone."""
    try:
        found = asked(rule)
    except LookupError as error:
        raise typer.BadParameter(str(error.args[0])) from None
    console = out()
    console.print(Text.assemble((found.id, "bold cyan"), f"  {found.level.value}"), soft_wrap=True)
    console.print(Text(f"  {found.sentence}", "bold"), soft_wrap=True)
    console.print()
    for title, lines in _sections(found):
        for number, line in enumerate(lines):
            head = title if not number else ""
            console.print(Text.assemble((f"  {head:<14}", "bold"), line), soft_wrap=True)


def _sections(rule: Rule) -> Iterator[tuple[str, list[str]]]:
    yield "why", [rule.intent]
    causes = [f"{number}. {cause}" for number, cause in enumerate(rule.causes, 1)]
    yield "likely causes", causes
    if rule.needs:
        others = [f"{name}: a declared no runs {refusal(name).id} in its place" for name in rule.needs]
        yield "needs", others
    if rule.refuses:
        yield "proves", [f"a declared no to {rule.refuses}; a yes runs {counterpart(rule.refuses).id} in its place"]
    if rule.hooks:
        yield "hooks", [f"{', '.join(rule.hooks)}: a target without is UNVERIFIED here, and cannot be conformant"]
    if rule.requires:
        yield "requires", [f"{', '.join(rule.requires)}: while one of them fails, this one is blocked"]
    yield "judged on", [" and ".join(rule.surfaces)]
    yield "strength", [strength(rule)]
    name = REQUIREMENT_SETS[rule.kind]
    demanded = rule.id in required(name)
    yield "since", [f"{rule.since}, {f'part of {name}' if demanded else 'provisional: it does not decide'}"]
    if mutants_of(rule.id):
        yield "kills", [f"{', '.join(mutants_of(rule.id))}: broken transports on which it is tested"]
    if rule.strength is not Strength.REVIEW:
        yield "alone", [f"treaty check package.module:target --rule {rule.id}", alone_by_pytest(rule)]
