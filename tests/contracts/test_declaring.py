"""What a target declares: asked for before anything is judged by it."""

from __future__ import annotations

import msgspec
import pytest

import treaty_memory
from treaty import Transport
from treaty_contracts import Context, Target, contract
from treaty_contracts.runner import Run
from treaty_contracts.target import DeclarationError

MEMORY = Target(name="memory", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))


def test_the_declaration_is_looked_at_once_before_the_first_rule() -> None:
    """For command and test file alike; a target that cannot be opened is left to the first rule."""
    opened: list[str] = []

    def bare(context: Context) -> Transport:
        opened.append(context.role)
        transport = MEMORY.opened(context)
        transport.guarantees = msgspec.structs.replace(transport.guarantees, ordered="mostly")
        return transport

    run = Run(Target(name="bare", open=bare), isolated=False)
    for _ in range(2):
        with pytest.raises(DeclarationError, match="ordered is 'mostly', and must be True or False"):
            run.declaration.check()
    assert opened == ["client"]

    def closed(_: Context) -> Transport:
        opened.append("closed")
        raise SystemExit

    run = Run(Target(name="closed", open=closed), isolated=False)
    run.declaration.check()
    run.declaration.check()
    assert opened == ["client", "closed"]


def test_a_test_file_tells_of_a_wrong_declaration() -> None:
    def bare(context: Context) -> Transport:
        transport = MEMORY.opened(context)
        transport.guarantees = None  # type: ignore[assignment]
        return transport

    judge = contract(Target(name="bare", open=bare, parallel=True))
    with pytest.raises(pytest.fail.Exception, match=r"CALL-001 is not judged: .* are NoneType: .*questions") as told:
        judge("CALL-001", None)
    assert told.value.__context__ is None
