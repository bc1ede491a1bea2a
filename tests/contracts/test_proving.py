"""A program is offered only where it repeats the failure, and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from treaty_contracts import Status, host
from treaty_contracts.proving import repeats
from treaty_contracts.session import Judged, Order

SETTING = """\
import sys
from treaty_contracts import Target
from treaty_contracts.zoo import animals, zoo_target
import treaty_memory
healthy = Target(name="healthy", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))
broken = zoo_target(animals()["shares-all-names"], healthy)
here_only = broken if "treaty_contracts.host" in sys.orig_argv else healthy
"""


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("print('WRONG it is'); raise SystemExit(1)", True),
        ("print('WRONG it is')", False),
        ("print('OK all is well'); raise SystemExit(1)", False),
        ("import nothing_of_the_kind", False),
        ("import threading; print('WRONG it is', flush=True); threading.Event().wait()", False),
    ],
)
def test_only_what_ends_with_what_is_wrong_repeats_it(program: str, found: bool) -> None:
    assert repeats(program, 1.5) is found


def test_nothing_of_it_is_left() -> None:
    before = set(psutil.Process().children(recursive=True))
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
    assert not repeats(f"{child}; import signal; signal.pause()", 1.0)
    left = [one for one in psutil.Process().children(recursive=True) if one not in before]
    _, alive = psutil.wait_procs(left, timeout=5)
    assert not alive


@pytest.mark.parametrize(("name", "offered"), [("broken", True), ("here_only", False)])
def test_a_program_that_does_not_repeat_the_failure_is_not_offered(
    write: Callable[[str], str], name: str, offered: bool
) -> None:
    events = host.events(Order(spec=f"{write(SETTING)}:{name}", only=("SETUP-003",)))
    ends = [event.outcome for event in events if isinstance(event, Judged) and event.outcome.rule == "SETUP-003"]
    assert [one.status for one in ends] == [Status.FAILED] * 2
    for one in ends:
        assert one.violation is not None
        assert bool(one.violation.script) is offered
        assert any("did not fail" in note for note in one.violation.notes) is not offered
