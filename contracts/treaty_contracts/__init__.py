"""The contract suite of Treaty: what every transport and store must do, and the proof that one does.

It imports ``treaty``, pytest and Hypothesis, and never an adapter: whoever wrote a transport hands it over as a
:class:`Target`, and a store as a :class:`StoreTarget`. The catalogue can be read without pytest.
"""

from treaty_contracts.registry import Level, Rule, Strength, find, required, rule, rules
from treaty_contracts.store_target import Promises, StoreContext, StoreTarget
from treaty_contracts.suite import contract
from treaty_contracts.target import Context, Nothing, SetupError, Target
from treaty_contracts.verdict import Outcome, Status, Violation, explain

__all__ = [
    "Context",
    "Level",
    "Nothing",
    "Outcome",
    "Promises",
    "Rule",
    "SetupError",
    "Status",
    "StoreContext",
    "StoreTarget",
    "Strength",
    "Target",
    "Violation",
    "contract",
    "explain",
    "find",
    "required",
    "rule",
    "rules",
]
