"""How rules are run: each of the six ends is reached, and says what it should."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

import treaty_memory
import treaty_zmq.contract
from treaty import FrameTooLarge, Guarantees, Inbox, Line, Transport, Unavailable, Unsupported
from treaty.transport import check_name
from treaty_contracts import Context, Level, Rule, SetupError, Status, Target, contract, explain, find, registry, rules
from treaty_contracts.bench import Bench
from treaty_contracts.kinds import before
from treaty_contracts.profile import PROFILES
from treaty_contracts.recording import Trace
from treaty_contracts.runner import Run, run_rule
from treaty_contracts.target import HOOKS, Nothing
from treaty_contracts.verdict import Outcome
from treaty_contracts.wrapping import WrappedLine, WrappedTransport
from treaty_contracts.zoo import animals

MEMORY = Target(name="memory", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))
DOCS = Path(__file__).parents[2] / "docs"
QUICK = PROFILES["quick"]
HURRIED = replace(QUICK, limit=0.2)


pytestmark = pytest.mark.usefixtures("nothing_stays")


@pytest.fixture(autouse=True)
def there_is_such_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """What explains an outcome looks its rule up in the catalogue."""
    rules()
    monkeypatch.setitem(registry._RULES, "CALL-900", a_rule(lambda _: None))


def a_rule(check: Callable[[Bench], None], **changes: object) -> Rule:
    made = Rule(
        id="CALL-900",
        level=Level.MUST,
        sentence="It does what it must.",
        intent="It matters.",
        causes=("this", "that"),
        mutants=("an-animal",),
        check=check,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the fields of a rule


class Mute(BaseException):
    """What cannot be printed."""

    def __str__(self) -> str:
        raise LookupError


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (Mute(), "your target's open raised Mute: (its text cannot be had: LookupError)"),
        (ValueError("half \udc80"), "your target's open raised ValueError: half \\udc80"),
    ],
)
def test_whatever_open_raises_can_be_told(raised: BaseException, said: str) -> None:
    def fail(_: Context) -> Transport:
        raised.add_note("a note \udc80")
        raise raised

    outcome = Run(Target(name="mute", open=fail)).judge(find("SETUP-001"))
    assert outcome.status is Status.FAILED and outcome.violation is not None, outcome
    assert outcome.violation.observed == said
    assert "a note \\udc80" in outcome.violation.notes


class _AtAnother(WrappedLine):
    @property
    def address(self) -> str:
        return "elsewhere"


class _Elsewhere(WrappedTransport):
    def line(self, inner: Line) -> Line:
        return _AtAnother(inner)


def test_an_answer_that_would_go_elsewhere_is_told() -> None:
    target = Target(name="lost", open=lambda context: _Elsewhere(MEMORY.opened(context)), time_scale=0.05)
    outcome = run_rule(target, find("SETUP-001"), QUICK)
    assert outcome.violation is not None
    assert outcome.violation.expected == "as reply_to of a delivery the address of its line, 'elsewhere'"
    assert outcome.violation.observed.startswith("'line-")


def test_a_transport_that_declares_nothing_is_told_what_to_declare() -> None:
    def bare(context: Context) -> Transport:
        transport = MEMORY.opened(context)
        transport.guarantees = None  # type: ignore[assignment]
        return transport

    outcome = Run(Target(name="bare", open=bare)).judge(find("SETUP-001"))
    assert outcome.violation is not None
    assert "the guarantees of MemoryTransport are NoneType: they are a treaty.Guarantees" in outcome.violation.observed


@pytest.mark.parametrize("hook", HOOKS)
def test_what_needs_a_hook_is_unverified_without_it(hook: str) -> None:
    """And every hook has rules that need it, and stands in the documents."""
    needed = [rule for rule in rules() if hook in rule.hooks]
    assert needed
    none: dict[str, Any] = {hook: None}
    nothing: dict[str, Any] = {hook: Nothing("there is no cable")}
    passed = Outcome(rule="x", target="x", status=Status.PASSED, observations=1)
    for rule in needed:
        for given, status, reason in (
            (none, Status.UNVERIFIED, f"the target has no hook {hook}"),
            (nothing, Status.ABSENT, "there is no cable"),
        ):
            run = Run(replace(treaty_zmq.contract.ipc, **given))
            run.outcomes = dict.fromkeys(before(rule), passed)
            outcome = run.settled(rule)
            assert outcome is not None, rule.id
            assert (outcome.status, outcome.reason) == (status, reason)
    for page in ("rules.md", "write-a-transport.md"):
        assert f"`{hook}`" in (DOCS / page).read_text("utf-8")


def test_passed() -> None:
    outcome = run_rule(MEMORY, a_rule(lambda bench: bench.expect.equal(1, 1, "one")), QUICK)
    assert (outcome.status, outcome.observations) == (Status.PASSED, 1)


def test_on_both_surfaces() -> None:
    surfaces = []

    def check(bench: Bench) -> None:
        surfaces.append(type(bench.surface).__name__)
        bench.expect.equal(1, 1, "one")

    assert run_rule(MEMORY, a_rule(check, surfaces=("blocking", "asyncio")), QUICK).observations == 2
    assert surfaces == ["Blocking", "OnLoop"]


def test_failed_tells_everything() -> None:
    def check(bench: Bench) -> None:
        service = bench.name()
        inbox, line = bench.inbox(service), bench.line()
        bench.did("sent a frame")
        line.send(service, b"\x01\x02\x03", 1)
        bench.expect.equal(bench.arrives(inbox).frame, b"\x01", "the frame")

    outcome = run_rule(MEMORY, a_rule(check), QUICK)
    assert outcome.status is Status.FAILED
    text = explain(outcome, "pytest 'x.py::test_contract[CALL-900]'")
    for part in (
        "CALL-900 FAILED on memory",
        "MUST: It does what it must.",
        "sent a frame",
        "the frame: b'\\x01'",
        "b'\\x01\\x02\\x03'",
        "line-",
        "-> send",
        "<- receive",
        "01 02 03",
        "1. this",
        "2. that",
        "It matters.",
        "replay: pytest 'x.py::test_contract[CALL-900]'",
    ):
        assert part in text, (part, text)


def test_failed_shows_the_smallest_case() -> None:
    def check(bench: Bench) -> None:
        bench.each(st.integers(0, 1000), lambda number: bench.expect.that(number < 17, "less than 17", number))

    violation = run_rule(MEMORY, a_rule(check), replace(QUICK, examples=200)).violation
    assert violation is not None
    assert violation.observed == "17"
    assert any("case=17" in note for note in violation.notes), violation.notes


def test_a_wrong_exception_is_the_transports_fault() -> None:
    class Breaking(WrappedTransport):
        def dial(self) -> None:  # type: ignore[override]  # that is the defect
            raise OSError(5, "Input/output error")

    target = Target(name="breaking", open=lambda context: Breaking(MEMORY.open(context)))
    outcome = run_rule(target, a_rule(lambda bench: bench.expect.equal(bench.line(), None, "a line")), QUICK)
    assert outcome.status is Status.FAILED
    assert "Input/output error" in explain(outcome)


def test_hung() -> None:
    release = threading.Event()

    def check(bench: Bench) -> None:
        release.wait(10)
        bench.expect.equal(1, 1, "one")

    outcome = run_rule(MEMORY, a_rule(check), HURRIED)
    release.set()
    assert outcome.status is Status.HUNG
    assert "release.wait" in explain(outcome) or "in check" in explain(outcome)


def test_a_fault_of_the_suite_is_called_that() -> None:
    silent = run_rule(MEMORY, a_rule(lambda _: None), QUICK)
    assert silent.status is Status.ERROR
    assert "judged nothing" in explain(silent)
    broken = run_rule(MEMORY, a_rule(lambda bench: bench.expect.raises("x", print, "y")), QUICK)  # type: ignore[arg-type]
    assert broken.status is Status.ERROR
    assert "fault of the contract suite" in explain(broken)


def test_blocked() -> None:
    class Deaf(WrappedTransport):
        def serve(self, service: str, capacity: int = 1) -> Inbox:
            raise Unsupported("no")

    run = Run(Target(name="deaf", open=lambda context: Deaf(MEMORY.open(context))))
    outcome = run.judge(find("CALL-003"))
    assert (outcome.status, outcome.blocker) == (Status.BLOCKED, "SETUP-001")
    assert run.outcomes["SETUP-001"].status is Status.FAILED
    assert "blocked by SETUP-001" in explain(outcome)


def test_what_does_not_arrive_was_perhaps_never_sent() -> None:
    class Silent(WrappedLine):
        def send(self, service: str, frame: bytes, timeout: float) -> None:
            raise Unavailable("no way out", frame=frame)

    class Mute(WrappedTransport):
        def line(self, inner: Line) -> Line:
            return Silent(inner)

    mute = Target(name="mute", open=lambda context: Mute(MEMORY.open(context)), time_scale=0.02)
    violation = run_rule(mute, find("CALL-002"), QUICK).violation
    assert violation is not None
    assert re.fullmatch(r"nothing in 0\.2 s; the call of \S+ ended with Unavailable: .*no way out", violation.observed)


def test_what_a_refusal_prints_does_not_say_that_more_holds() -> None:
    class Talking(WrappedTransport):
        def __init__(self, inner: Transport) -> None:
            super().__init__(inner)
            self.guarantees = msgspec.structs.replace(inner.guarantees, notifications=False)

        def subscribe(self, channel: str) -> Inbox:
            print("no notifications here")
            raise Unsupported("no notifications here")

        def publish(self, channel: str, frame: bytes) -> None:
            raise Unsupported("no notifications here")

    talking = Target(
        name="talking",
        open=lambda context: Talking(MEMORY.open(context)),
        tap=lambda _: nullcontext(list[bytes]()),  # type: ignore[arg-type, return-value]  # not used
    )
    run = Run(talking)
    hooked = next(rule for rule in rules() if rule.hooks and "notifications" in rule.needs)
    outcome = run.judge(find("REFUSE-NOTIFICATIONS"))
    assert outcome.status is Status.PASSED, explain(outcome)
    assert any("printed" in warning for warning in outcome.warnings)
    assert run.judge(hooked).status is not Status.UNVERIFIED


def test_unverified() -> None:
    outcome = Run(MEMORY).judge(find("AUTH-006"))
    assert outcome.status is Status.UNVERIFIED
    assert "a review of the code" in outcome.reason


class Bare(WrappedTransport):
    """The other reference: everything that can be declared "no" is, and kept."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.guarantees: Guarantees = msgspec.structs.replace(
            inner.guarantees, notifications=False, ordered=False, notices_absence=0.0
        )

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.check()
        check_name(channel)
        if len(frame) > self.guarantees.max_frame:
            raise FrameTooLarge("too large")
        raise Unsupported("this transport carries no notifications")

    def subscribe(self, channel: str) -> Inbox:
        self.inner.check()
        check_name(channel)
        raise Unsupported("this transport carries no notifications")


def test_what_is_declared_no_has_its_refusal_run() -> None:
    run = Run(Target(name="bare", open=lambda context: Bare(MEMORY.open(context))))
    for identifier in ("NOTE-001", "NOTE-005", "AUTH-004", "REFUSE-NOTIFICATIONS"):
        assert run.judge(find(identifier)).status is Status.PASSED, explain(run.judge(find(identifier)))
    assert run.outcomes["NOTE-001"].ran == "REFUSE-NOTIFICATIONS"
    assert run.outcomes["REFUSE-NOTIFICATIONS"].ran == ""
    assert run.judge(find("LINE-008")).ran == "REFUSE-ORDERED"
    for one in rules():
        if one.id == "CALL-900":
            continue
        outcome = run.judge(one)
        assert outcome.status in (Status.PASSED, Status.UNVERIFIED), explain(outcome)


def test_what_is_declared_yes_has_its_proof_run() -> None:
    outcome = Run(MEMORY).judge(find("REFUSE-ORDERED"))
    assert (outcome.status, outcome.ran) == (Status.PASSED, "LINE-008")
    assert "LINE-008 ran in its place" in outcome.headline


def test_a_failure_explains_the_rule_that_ran() -> None:
    target = Target(name="pretending", open=lambda context: animals()["pretends-to-publish"].wrap(MEMORY.open(context)))
    asked, ran = find("NOTE-001"), find("REFUSE-NOTIFICATIONS")
    text = explain(Run(target).judge(asked), "pytest 'x.py::test_contract[NOTE-001]'")
    for part in (
        "NOTE-001 FAILED on pretending (declared the other way: REFUSE-NOTIFICATIONS ran in its place)",
        f"MUST: {ran.sentence}",
        f"REFUSE-NOTIFICATIONS ran in place of NOTE-001, which says: {asked.sentence}",
        f"1. {ran.causes[0]}",
        ran.intent,
        "replay: pytest 'x.py::test_contract[NOTE-001]'",
    ):
        assert part in text, (part, text)
    assert asked.causes[0] not in text
    assert asked.intent not in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "", "open": print}, "has a name"),
        ({"name": "x", "open": "mine://"}, "open is a function, not str"),
        ({"name": "x", "open": None}, "open is a function, not NoneType"),
        ({"name": "x", "open": treaty_memory.connect("memory://x")}, "open is a transport object"),
        ({"name": "x", "open": print, "time_scale": 0}, "time_scale"),
        ({"name": "x", "open": print, "time_scale": float("inf")}, "time_scale"),
        ({"name": "x", "open": print, "time_scale": float("nan")}, "time_scale"),
        ({"name": "\ud800", "open": print}, r"printable text of at most 100 characters .* not '\\ud800'"),
        ({"name": "a\x1b[31m\r\nb\x00", "open": print}, r"on one line, such as 'zmq/tcp', not 'a\\x1b\[31m\\r"),
        ({"name": "x" * 101, "open": print}, "at most 100 characters"),
    ],
)
def test_a_wrong_target_is_a_set_up_error(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        Target(**arguments)  # type: ignore[arg-type]  # that is the mistake


def unreachable(_: Context) -> Transport:
    raise OSError("no broker at localhost:1234")


@pytest.mark.parametrize(
    ("opened", "observed"),
    [
        (unreachable, "your target's open raised OSError: no broker at localhost:1234"),
        (lambda: None, "your target's open raised TypeError: "),
    ],
)
def test_what_open_raises_is_said_without_the_causes_of_the_rule(opened: Any, observed: str) -> None:
    outcome = Run(Target(name="x", open=opened)).judge(find("SETUP-001"))
    assert (outcome.status, outcome.violation is not None and outcome.violation.opening) == (Status.FAILED, True)
    text = explain(outcome)
    assert observed in text and "expected:\n    a target that can be opened" in text
    assert "likely causes" not in text


def test_what_opens_nothing_is_a_set_up_error() -> None:
    with pytest.raises(SetupError, match="must return a treaty\\.Transport"):
        Target(name="x", open=lambda _: "nothing").opened(  # type: ignore[arg-type,return-value]
            Context(namespace="n", role="client", secret="", time_scale=1.0)
        )
    with pytest.raises(SetupError, match="write contract"):
        contract("memory")  # type: ignore[arg-type]  # that is the mistake


def test_a_wrong_profile_or_seed_is_a_set_up_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="no profile 'fast': use one of quick, standard, deep"):
        contract(MEMORY, profile="fast")
    monkeypatch.setenv("TREATY_PROFILE", "thorough")
    with pytest.raises(SetupError, match=r"TREATY_PROFILE is 'thorough'.* quick, standard, deep"):
        contract(MEMORY)
    monkeypatch.setenv("TREATY_PROFILE", "")
    monkeypatch.setenv("TREATY_SEED", "lucky")
    with pytest.raises(SetupError, match="TREATY_SEED is 'lucky'"):
        contract(MEMORY)
    monkeypatch.setenv("TREATY_SEED", "")
    assert contract(MEMORY).__doc__ == "The contract, on memory."


def test_the_trace_is_read_while_others_write() -> None:
    trace = Trace()
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            trace.add("line-1", "out", "send", b"x")

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(200):
            assert all(crossing.frame == b"x" for crossing in trace.snapshot())
    finally:
        over.set()
        for writer in writers:
            writer.join()
