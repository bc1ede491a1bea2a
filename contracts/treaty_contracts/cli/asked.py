"""What somebody meant who wrote the id of a rule.

It must not know what any rule says.
"""

from __future__ import annotations

from difflib import get_close_matches

from treaty_contracts.registry import FAMILIES, Rule, every_rule


def asked(identifier: str) -> Rule:
    """Return a rule by its id, however it is written.

    Raises:
        LookupError: there is none. The text names those that come close, else the families.
    """
    catalogue = {rule.id: rule for rule in every_rule()}
    wanted = identifier.strip().upper()
    if wanted in catalogue:
        return catalogue[wanted]
    near = get_close_matches(wanted, catalogue, n=3, cutoff=0.75)
    # A dash that is missing is nearer than any other letter.
    near = [one for one in catalogue if one.replace("-", "") == wanted.replace("-", "")] or near
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"the families are {', '.join(FAMILIES)}; see 'treaty rules'"
    )
    raise LookupError(f"there is no rule {identifier!r}: {hint}")
