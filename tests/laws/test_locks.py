"""How locks are held where a signal may strike at any time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = [path.parent for root in ("core", "transports") for path in (ROOT / root).rglob("*.py")]
FOLDERS = sorted({room for room in ROOMS if room.name != "demo"})  # whose programs end when they are interrupted


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_blocks_hold_a_lock_and_no_condition(folder: Path) -> None:
    """Entering and leaving a condition are functions of Python: an exception out of a signal's handler can strike when the
    lock is taken and the block is not begun, or before it is given back. Entering a lock is one step.
    """
    trees = {path.name: ast.parse(path.read_text("utf-8")) for path in folder.glob("*.py")}
    conditions = {
        target.attr
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and _makes_condition(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute)
    }
    entered = [
        f"{name}:{node.lineno}"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.With | ast.AsyncWith)
        for item in node.items
        if isinstance(item.context_expr, ast.Attribute) and item.context_expr.attr in conditions
    ]
    assert entered == []


def _makes_condition(made: ast.expr | None) -> bool:
    return isinstance(made, ast.Call) and ast.unparse(made.func).endswith("Condition")
