"""The programs of failures: on the broken transport they end with 1, on the healthy one with 0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import treaty_memory
from treaty_contracts import Target, find
from treaty_contracts.operations import Operations
from treaty_contracts.profile import PROFILES
from treaty_contracts.recording import Recorder, Trace
from treaty_contracts.runner import run_isolated
from treaty_contracts.script import LIMIT, addressed, program, steps
from treaty_contracts.zoo import animals, zoo_target

IMPORT = """\
import sys
import treaty_memory
from treaty_contracts import Target
from treaty_contracts.zoo import animals, zoo_target
healthy = Target(name="healthy", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))
broken = zoo_target(animals()[sys.argv[1]], healthy) if len(sys.argv) > 1 else healthy
"""
HEALTHY = Target(name="healthy", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))


def ended(folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    (folder / "mine.py").write_text(IMPORT)
    path = folder / "program.py"
    path.write_text(addressed(text, ["from mine import broken as target"]))
    done = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("rule", "animal", "said"),
    [
        ("SETUP-001", "dead", "nothing came"),
        ("SETUP-003", "shares-all-names", "came, due was"),
        ("LINE-007", "one-reply-only", "nothing came"),
        ("LINE-009", "dead-caller-raises", "nothing but errors of treaty"),
        ("LINE-010", "takes-any-name", "must raise InvalidTarget"),
        ("LINE-012", "no-size-check", "must raise FrameTooLarge"),
        ("LIFE-001", "second-close-raises", "must raise nothing"),
        ("LIFE-003", "reopens-silently", "must raise ClosedError"),
    ],
)
def test_it_repeats_what_went_wrong(rule: str, animal: str, said: str, tmp_path: Path) -> None:
    outcome = run_isolated(zoo_target(animals()[animal], HEALTHY), find(rule), PROFILES["quick"])
    assert outcome.violation is not None
    text = outcome.violation.script
    assert text, outcome
    code, last = ended(tmp_path, text, animal)
    assert (code, last[:5]) == (1, "WRONG") and said in last, last
    assert ended(tmp_path, text) == (0, "OK    this is all that was done")


def recorded(trace: Trace) -> Recorder:
    return Recorder(treaty_memory.connect("memory://recorded"), trace, "client")


def test_what_went_well_has_no_program() -> None:
    trace = Trace()
    with recorded(trace) as transport, transport.serve("s") as inbox, transport.dial() as line:
        line.send("s", b"ask", 1)
        delivery = inbox.receive(1)
        assert delivery is not None
        delivery.reply(b"answer")
        delivery.settle()
        assert line.receive(1) == b"answer"
        assert line.receive(0) is None
    verbs = [one.verb for one in trace.operations.snapshot()]
    assert verbs == [
        "open",
        "serve",
        "dial",
        "send",
        "receive",
        "reply",
        "settle",
        "receive",
        "receive",
        "close",
        "close",
        "close",
    ]
    assert program(trace.operations.snapshot(), "nothing") == ""


def log_of(*calls: tuple[str, str, tuple[object, ...], str, bytes | None]) -> Operations:
    log = Operations()
    guarantees = treaty_memory.connect("memory://x").guarantees
    log.making("", "open", ("client", guarantees), "client", lambda: None)
    for subject, verb, arguments, made, frame in calls:
        if verb == "receive":
            log.awaited(subject, 1.0, lambda frame=frame: frame)  # type: ignore[misc]  # bound here
        elif made:
            log.making(subject, verb, arguments, made, lambda: None)
        else:
            log.done(subject, verb, arguments, lambda: None)
    return log


ENDS: tuple[tuple[str, str, tuple[object, ...], str, bytes | None], ...] = (
    ("client", "serve", ("s", 5), "inbox-1", None),
    ("client", "dial", (), "line-1", None),
)


def test_it_is_a_pure_function_of_the_log() -> None:
    log = log_of(
        *ENDS, ("line-1", "send", ("s", b"a" * 700, 1.0), "", None), ("inbox-1", "receive", (), "", b"a" * 699)
    )
    text = program(log.snapshot(), 'a "title" \\ """')
    assert text == program(log.snapshot(), 'a "title" \\ """')
    compile(text, "program", "exec")
    assert "FRAME_1 = b'a' * 700" in text
    assert 'delivery_1 = arrives("inbox_1", FRAME_1, inbox_1)' in steps(text)
    assert "def opened" not in steps(text)


def test_what_nobody_sent_is_nothing_to_judge_by() -> None:
    assert program(log_of(*ENDS, ("inbox-1", "receive", (), "", b"from afar")).snapshot(), "t") == ""
    assert program(log_of(("line-9", "send", ("s", b"a", 1.0), "", None)).snapshot(), "t") == ""


def test_what_comes_twice_is_wrong() -> None:
    log = log_of(
        *ENDS,
        ("line-1", "send", ("s", b"a", 1.0), "", None),
        ("inbox-1", "receive", (), "", b"a"),
        ("inbox-1", "receive", (), "", b"a"),
    )
    assert 'nothing("inbox_1", inbox_1)' in program(log.snapshot(), "t")


def test_a_long_one_leaves_out_what_went_well_or_is_none() -> None:
    well: list[tuple[str, str, tuple[object, ...], str, bytes | None]] = []
    for number in range(LIMIT):
        frame = b"%d" % number
        well += [("client", "publish", ("c", frame), "", None), ("feed-1", "receive", (), "", frame)]
    feed = ("client", "subscribe", ("c",), "feed-1", None)
    lost = [("client", "publish", ("c", b"x"), "", None), ("feed-1", "receive", (), "", b"y")]
    text = program(log_of(feed, *well, *lost).snapshot(), "t")
    assert "is left out" in text
    assert len(steps(text).splitlines()) < 2 * LIMIT
    many = [("client", "publish", ("c", b"%d" % number), "", None) for number in range(LIMIT)]
    assert program(log_of(feed, *many, *lost).snapshot(), "t") == ""


def test_too_much_is_not_kept() -> None:
    log = Operations()
    for _ in range(500):
        log.done("client", "publish", ("c", b"x"), lambda: None)
    assert log.snapshot() == ()
    log.restart()
    log.making("", "open", ("client", None), "client", lambda: None)
    kept = log.snapshot()
    assert len(kept) == 1
    log.done("client", "close", (), lambda: None)
    log.resume(kept)
    assert log.snapshot() == kept
