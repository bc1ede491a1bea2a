"""Runs one rule on one target under a time limit, and turns whatever happens into a verdict.

Each rule runs in a thread of its own, so that one that hangs is a verdict and not the end of the run. This room must
not know pytest, nor what any rule says.
"""

from __future__ import annotations

import faulthandler
import logging
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hypothesis.errors import Flaky, HypothesisException

from treaty import Guarantees, TreatyError
from treaty_contracts.bench import Bench
from treaty_contracts.expect import Violated
from treaty_contracts.profile import PROFILES, Profile
from treaty_contracts.registry import Rule, Strength, counterpart, declares, find, refusal
from treaty_contracts.target import Context, SetupError, Target
from treaty_contracts.verdict import Outcome, Status, Violation

#: What must hold before anything else is worth looking at.
FIRST: Final = ("SETUP-001", "SETUP-002")
_HERE: Final = str(Path(__file__).parent)
_STACK: Final = 60


class Run:
    """One run of the contract on one target: what was judged already is not judged again.

    Args:
        target: the transport under test.
        profile: ``"quick"``, ``"standard"`` or ``"deep"``.
        seed: of everything that is drawn; 0 draws the same each time.

    Raises:
        SetupError: there is no such profile.
    """

    def __init__(self, target: Target, profile: str | Profile = "quick", seed: int = 0) -> None:
        self.target = target
        self.profile = profile if isinstance(profile, Profile) else _profile(profile)
        self.seed = seed
        self.outcomes: dict[str, Outcome] = {}
        self._guarantees: Guarantees | None = None

    def judge(self, rule: Rule) -> Outcome:
        """Return the verdict on one rule; the rules that it requires are judged first."""
        if rule.id not in self.outcomes:
            self.outcomes[rule.id] = self._judge(rule)
        return self.outcomes[rule.id]

    def _judge(self, rule: Rule) -> Outcome:
        blocker = next((one for one in self._required(rule) if self.judge(find(one)).status is not Status.PASSED), "")
        if blocker:
            return Outcome(rule=rule, target=self.target.name, status=Status.BLOCKED, blocker=blocker)
        if rule.strength is Strength.REVIEW:
            reason = "no test can tell: it takes a review of the code"
            return Outcome(rule=rule, target=self.target.name, status=Status.UNVERIFIED, reason=reason)
        other = self._other(rule)
        if other is not None:
            done = self.judge(other)
            return replace(done, rule=rule, ran=done.ran or done.rule)
        return run_rule(self.target, rule, self.profile, self.seed)

    def _required(self, rule: Rule) -> tuple[str, ...]:
        return rule.requires if rule.id in FIRST else tuple(dict.fromkeys((*FIRST, *rule.requires)))

    def _other(self, rule: Rule) -> Rule | None:
        """The rule that is run in place of this one, because the transport declares the opposite."""
        if rule.id in FIRST or not (rule.needs or rule.refuses):
            return None
        if self._guarantees is None:
            context = Context(namespace="declaration", role="client", secret="", time_scale=self.target.time_scale)
            with self.target.opened(context) as transport:
                self._guarantees = transport.guarantees
        if rule.applies(self._guarantees):
            return None
        if rule.refuses:
            return counterpart(rule.refuses)
        return refusal(next(name for name in rule.needs if not declares(self._guarantees, name)))


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise SetupError(f"there is no profile {name!r}: use one of {', '.join(PROFILES)}")
    return PROFILES[name]


def run_rule(target: Target, rule: Rule, profile: Profile, seed: int = 0) -> Outcome:
    """Run the check of one rule on each of its surfaces, whatever it requires or needs."""
    started = time.monotonic()
    observations = 0
    for surface in rule.surfaces:
        outcome = _Attempt(target, rule, profile, seed, surface).outcome()
        observations += outcome.observations
        if outcome.status is not Status.PASSED:
            return outcome
    return Outcome(
        rule=rule,
        target=target.name,
        status=Status.PASSED,
        observations=observations,
        seconds=time.monotonic() - started,
    )


class _Attempt:
    """One check on one surface, in a thread that is given up when its time is over."""

    def __init__(self, target: Target, rule: Rule, profile: Profile, seed: int, surface: str) -> None:
        self._target = target
        self._rule = rule
        self._limit = profile.limit * target.time_scale
        self._surface = surface
        self._bench = Bench(target, profile, seed, surface)
        self._over = threading.Event()
        self._raised: BaseException | None = None
        self._started = time.monotonic()

    def outcome(self) -> Outcome:
        with _quiet_logs():
            thread = threading.Thread(target=self._work, name=f"contract-{self._rule.id}", daemon=True)
            thread.start()
            if not self._over.wait(self._limit):
                return self._hung()
            thread.join()
        return self._verdict(self._raised)

    def _work(self) -> None:
        try:
            try:
                self._rule.check(self._bench)
            finally:
                self._bench.close()
        except BaseException as raised:  # whatever it is, it becomes the verdict
            self._raised = raised
        self._over.set()

    def _verdict(self, raised: BaseException | None) -> Outcome:
        if raised is None:
            if self._bench.expect.observations == 0:
                return self._made(Status.ERROR, reason="the rule judged nothing, so it cannot have passed")
            return self._made(Status.PASSED)
        notes = tuple(getattr(raised, "__notes__", ()))
        if isinstance(raised, Violated):
            return self._failed(raised.expected, raised.observed, notes)
        if isinstance(raised, SetupError):
            return self._failed("a target that opens transports", str(raised), notes)
        if isinstance(raised, Flaky):
            return self._failed("the same end each time the same case is run", f"both: {raised}", notes)
        stack = "".join(traceback.format_exception(raised)[-_STACK:])
        if _is_ours(raised):
            return self._made(Status.ERROR, reason=f"{type(raised).__name__}: {raised}", notes=(stack,))
        return self._failed("no exception here", f"{type(raised).__name__}: {raised}", (*notes, stack))

    def _failed(self, expected: str, observed: str, notes: tuple[str, ...]) -> Outcome:
        return self._made(Status.FAILED, violation=self._violation(expected, observed, notes))

    def _hung(self) -> Outcome:
        violation = self._violation(
            f"an end within {self._limit:g} s", "none: the rule was given up, its thread still runs", (_stacks(),)
        )
        return self._made(Status.HUNG, violation=violation)

    def _violation(self, expected: str, observed: str, notes: tuple[str, ...]) -> Violation:
        return Violation(
            expected=expected,
            observed=observed,
            done=tuple(self._bench.done),
            surface=self._surface if len(self._rule.surfaces) > 1 else "",
            trace=self._bench.trace.lines(),
            notes=notes,
        )

    def _made(self, status: Status, **more: Any) -> Outcome:
        return Outcome(
            rule=self._rule,
            target=self._target.name,
            status=status,
            observations=self._bench.expect.observations,
            seconds=time.monotonic() - self._started,
            **more,
        )


def _is_ours(raised: BaseException) -> bool:
    """Whether an exception was raised by the suite's own code, and not by the target or the core below it."""
    if isinstance(raised, HypothesisException):
        return True
    if isinstance(raised, TreatyError):
        return False
    last = traceback.extract_tb(raised.__traceback__)[-1:]
    return bool(last) and last[0].filename.startswith(_HERE) and "zoo" not in Path(last[0].filename).parts


def _stacks() -> str:
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """What services log about handlers that fail on purpose is no news for the terminal."""
    root, silence = logging.getLogger(), logging.NullHandler()
    root.addHandler(silence)
    try:
        yield
    finally:
        root.removeHandler(silence)
