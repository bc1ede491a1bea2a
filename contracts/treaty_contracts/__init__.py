"""The contract suite of Treaty: what every transport must do, and the proof that one does.

It imports ``treaty``, pytest and Hypothesis, and never an adapter: whoever wrote a transport hands it over as a
:class:`Target`. The catalogue can be read without pytest.
"""

from treaty_contracts.registry import Level, Rule, Strength, find, required, rule, rules
from treaty_contracts.suite import contract
from treaty_contracts.target import Context, SetupError, Target
from treaty_contracts.verdict import Outcome, Status, Violation, explain

__all__ = [
    "Context",
    "Level",
    "Outcome",
    "Rule",
    "SetupError",
    "Status",
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
