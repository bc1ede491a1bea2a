"""The catalogue as a page: ``python -m treaty_contracts.rules_page > docs/rules.md``.

This room turns entries of the catalogue into text, and must not know what any rule says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from treaty_contracts.registry import (
    QUESTIONS,
    REQUIREMENT_SETS,
    STORE,
    STORE_QUESTIONS,
    TRANSPORT,
    Level,
    Rule,
    Strength,
    counterpart,
    every_rule,
    refusal,
    required,
)
from treaty_contracts.target import HOOKS
from treaty_contracts.zoo import mutants_of

#: What each family is about.
TITLES: Final = {
    "SETUP": "what must hold before anything else is worth looking at",
    "LINE": "the caller's end of a transport",
    "INBOX": "the end of a service",
    "NOTE": "notifications",
    "CALL": "calls, on both faces of the client",
    "ERR": "errors, and what they tell",
    "ASYNC": "asyncio, cancellation, several loops and threads",
    "AUTH": "the shared secret",
    "LIFE": "closing, restarting, forking, and what is left behind",
    "WIRE": "what stands in frames, now and in later versions",
    "STORAGE": "storage over a transport: the service, its clients, and who is told of changes",
    "MODEL": "whole histories of calls and notifications, drawn and compared with a model",
    "PLAN": "many things at once, drawn as a plan and judged by what was seen",
    "REFUSE": "what is declared not to be offered",
    "STORE": "what keeps the objects of a storage service, judged by itself",
}
_STRENGTHS: Final = {
    Strength.DETERMINISTIC: "deterministic: it does the same each time, and sees what goes wrong with the values that it tries",
    Strength.STOCHASTIC: "stochastic: cases are drawn or threads are involved; how often it finds a violation is measured",
    Strength.REVIEW: "review only: no test can tell, somebody has to read the code",
}
_HEAD: Final = """\
# The rules of the contract

<!-- Made by: python -m treaty_contracts.rules_page > docs/rules.md -->

What every transport must do, and every store, and how the suite sees whether it does. An id is permanent and never given to another
rule. MUST and SHOULD are those of RFC 2119: a violated MUST makes a transport non-conformant, a violated SHOULD is
counted and shown.

The frozen requirement sets are {sets}. Rules that come later are run and shown as provisional, and
do not decide until the next set; an upgrade alone never turns a conformant target into another one.

- Nothing is "not applicable". A rule that needs a guarantee is replaced, where a transport declares "no", by the rule
  that proves this "no".
- A rule that needs a hook of the target ({hooks}) is UNVERIFIED without it. A MUST that is unverified keeps the word
  conformant away.
- Where a transport has nothing that a hook could reach, its target says ``Nothing(reason)`` in place of the hook: the
  rules are ABSENT, and the reason is shown.
- A rule whose requirements failed is blocked, and not failed.

`treaty check package.module:target` judges a target, `treaty explain ID` tells what stands here, and
`treaty check package.module:target --rule ID` runs one rule and what it requires.
"""


def alone_by_pytest(rule: Rule) -> str:
    """Return the command that runs a rule alone from a test file."""
    return f"pytest 'test_contract.py::test_contract[{rule.id}]'"


def strength(rule: Rule) -> str:
    """Say how sure a rule is."""
    return _STRENGTHS[rule.strength]


def described(rule: Rule) -> dict[str, Any]:
    """Return what there is to know about a rule, as JSON can carry it."""
    return {
        "id": rule.id,
        "family": rule.family,
        "level": rule.level.value,
        "sentence": rule.sentence,
        "intent": rule.intent,
        "causes": list(rule.causes),
        "needs": list(rule.needs),
        "refuses": rule.refuses,
        "hooks": list(rule.hooks),
        "requires": list(rule.requires),
        "surfaces": list(rule.surfaces),
        "strength": rule.strength.value,
        "since": rule.since,
        "provisional": rule.id not in required(REQUIREMENT_SETS[rule.kind]),
        "mutants": list(mutants_of(rule.id)),
    }


def page() -> str:
    """Return the page as it is published."""
    head = _HEAD.format(
        sets=f"{_counted(TRANSPORT)} for transports, and {_counted(STORE)} for stores",
        hooks=", ".join(f"`{hook}`" for hook in HOOKS),
    )
    return "\n".join([head, *_questions(), *_contents(), *_families()]).rstrip() + "\n"


def _counted(kind: str) -> str:
    name = REQUIREMENT_SETS[kind]
    levels = list(required(name).values())
    return f"**`{name}`** ({levels.count(Level.MUST)} MUST, {levels.count(Level.SHOULD)} SHOULD)"


def _questions() -> Iterator[str]:
    yield "## The questions of the declaration\n"
    yield "| guarantee | proven by, if yes | proven by, if no |"
    yield "| --- | --- | --- |"
    for question in (*QUESTIONS, *STORE_QUESTIONS):
        yes, no = counterpart(question).id, refusal(question).id
        yield f"| `{question}` | {_link(yes)} | {_link(no)} |"
    yield ""


def _contents() -> Iterator[str]:
    yield "## All rules\n"
    yield "| id | level | sentence |"
    yield "| --- | --- | --- |"
    for rule in every_rule():
        yield f"| {_link(rule.id)} | {rule.level.value} | {_cell(rule.sentence)} |"
    yield ""


def _families() -> Iterator[str]:
    for family, members in groupby(every_rule(), key=lambda rule: rule.family):
        yield f"## {family}: {TITLES.get(family, 'rules')}\n"
        for rule in members:
            yield from _section(rule)


def _section(rule: Rule) -> Iterator[str]:
    yield f'### <a id="{rule.id.lower()}"></a>{rule.id}\n'
    yield f"**{rule.level.value}**: {rule.sentence}\n"
    yield f"{rule.intent}\n"
    name = REQUIREMENT_SETS[rule.kind]
    if rule.id not in required(name):
        yield f"Provisional: not part of {name}.\n"
    facts = {
        "likely causes": "; ".join(rule.causes),
        "needs": ", ".join(f"`{name}` (else {_link(refusal(name).id)})" for name in rule.needs),
        "proves a declared no to": f"`{rule.refuses}`" if rule.refuses else "",
        "hooks": ", ".join(f"`{name}`" for name in rule.hooks),
        "requires": ", ".join(map(_link, rule.requires)),
        "judged on": " and ".join(rule.surfaces),
        "strength": strength(rule),
        "broken transports that must die on it": ", ".join(f"`{name}`" for name in mutants_of(rule.id)),
        "since": rule.since,
    }
    yield from (f"- {title}: {text}" for title, text in facts.items() if text)
    yield ""


def _link(identifier: str) -> str:
    return f"[{identifier}](#{identifier.lower()})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
