"""Runs one rule on one target under a time limit, and turns whatever happens into a verdict.

Each rule runs in a forked child, and there in a thread of its own, so that a hang, a crash or an exit is a verdict and
not the end of the run, and the next rule starts fresh. This room must not know pytest, nor what any rule says.
"""

from __future__ import annotations

import faulthandler
import logging
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from treaty import TreatyError
from treaty_contracts import recording, wrapping
from treaty_contracts.declaring import Declaration
from treaty_contracts.expect import Violated, plain, said
from treaty_contracts.isolation import FAULT, GRACE, MEDDLED, MEDDLING, described, in_child
from treaty_contracts.kinds import KINDS, AnyTarget, before, kind_of
from treaty_contracts.profile import PROFILES, Profile
from treaty_contracts.registry import TRANSPORT, Rule, Strength, counterpart, declares, find, refusal
from treaty_contracts.script import program
from treaty_contracts.stacks import of_error, of_threads
from treaty_contracts.target import Nothing, SetupError
from treaty_contracts.verdict import Outcome, Status, Violation

#: What must hold of a transport before anything else is worth looking at.
FIRST: Final = KINDS[TRANSPORT].first
#: How often a rule that failed is run again, to tell what always fails from what sometimes does.
AGAIN: Final = 2
_HERE: Final = str(Path(__file__).parent)
#: What only hands on to the target raises when that cannot be called like this, or is no such thing.
_HANDING_ON: Final = frozenset({recording.__file__, wrapping.__file__})
_STACK: Final = 60
_OPEN: Final = (Status.UNVERIFIED, Status.ABSENT)
_PRINTED: Final = "something was printed while it ran"
#: That many rules have used up the second that it takes to prepare for them.
_MANY: Final = 16


class Run:
    """One run of the contract on one target: what was judged already is not judged again.

    Args:
        target: the transport or store under test.
        profile: ``"quick"``, ``"standard"`` or ``"deep"``.
        seed: of everything that is drawn; 0 draws the same each time.
        isolated: whether each rule runs in a process of its own. Without, a debugger reaches what runs, a target that
            ends its process ends the run, and one that hangs leaves its threads behind.

    Raises:
        SetupError: there is no such profile.
    """

    def __init__(
        self, target: AnyTarget, profile: str | Profile = "quick", seed: int = 0, *, isolated: bool = True
    ) -> None:
        self.target = target
        self.profile = profile if isinstance(profile, Profile) else _profile(profile)
        self.seed = seed
        self.outcomes: dict[str, Outcome] = {}
        self._isolated = isolated
        self._kind = kind_of(target)
        #: What the target declares; it is checked before the first rule.
        self.declaration = Declaration(target, self.profile.patience(target.time_scale), isolated=isolated)

    def judge(self, rule: Rule) -> Outcome:
        """Return the verdict on one rule; the rules that it requires are judged first."""
        if rule.id not in self.outcomes:
            while other := self.awaited(rule):
                self.judge(find(other))
            self.outcomes[rule.id] = self.settled(rule) or self.run(rule)
        return self.outcomes[rule.id]

    def awaited(self, rule: Rule) -> str:
        """Return the next rule that must be judged before anything can be said about one, if any."""
        for identifier in before(rule):
            if identifier not in self.outcomes:
                return identifier
            if self.outcomes[identifier].status is not Status.PASSED:
                return ""
        other = self._other(rule)
        return other.id if other is not None and other.id not in self.outcomes else ""

    def run(self, rule: Rule) -> Outcome:
        """Run a rule, whatever it requires."""
        if not self._isolated:
            return run_rule(self.target, rule, self.profile, self.seed)
        prepare(len(self.outcomes))
        return run_isolated(self.target, rule, self.profile, self.seed)

    def root(self, outcome: Outcome) -> Outcome:
        """Return what blocks an outcome in the end, which may be itself."""
        while outcome.status is Status.BLOCKED:
            outcome = self.outcomes[outcome.blocker]
        return outcome

    def confirm(self, rule: Rule) -> Outcome:
        """Run a rule again that failed: one that passes now is unstable, which is no better.

        What hung, crashed or passed is left as it is.
        """
        found = self.judge(rule)
        if found.status is not Status.FAILED:
            return found
        if found.ran:
            again = self.confirm(find(found.ran))
            self.outcomes[rule.id] = found = msgspec.structs.replace(again, rule=rule.id, ran=found.ran)
            return found
        for _ in range(AGAIN):
            again = self.run(rule)
            if again.status is Status.PASSED:
                reason = f"it failed, and passed when it was run again with the same seed, {self.seed}"
                self.outcomes[rule.id] = found = msgspec.structs.replace(found, status=Status.UNSTABLE, reason=reason)
                break
        return found

    @property
    def guarantees(self) -> msgspec.Struct:
        """What the target declares. It is opened for this once, in a process of its own.

        Raises:
            DeclarationError: it lacks an answer, or has a wrong one.
            SetupError: it cannot be opened.
        """
        return self.declaration.said

    def settled(self, rule: Rule) -> Outcome | None:
        """Return the verdict on a rule that has not to be run for it, once nothing is awaited."""
        blocker = self._blocker(rule)
        if blocker and self.outcomes[blocker].status in _OPEN:
            # Nobody could tell about what this one rests on: so nobody can tell here.
            return msgspec.structs.replace(self.outcomes[blocker], rule=rule.id)
        if blocker:
            return Outcome(rule=rule.id, target=self.target.name, status=Status.BLOCKED, blocker=blocker)
        if rule.strength is Strength.REVIEW:
            return self._unverified(rule, "no test can tell: it takes a review of the code")
        other = self._other(rule)
        if other is not None:
            done = self.outcomes[other.id]
            if rule.hooks and done.status is Status.PASSED and _more_holds(done):
                # What evidently holds is not got rid of by declaring it away.
                return self._unverified(rule, f"{other.id} saw that more holds than is declared: declare it")
            return msgspec.structs.replace(done, rule=rule.id, ran=done.ran or done.rule)
        nothing = [given for hook in rule.hooks if isinstance(given := getattr(self.target, hook), Nothing)]
        if nothing:
            reason = nothing[0].reason
            return Outcome(rule=rule.id, target=self.target.name, status=Status.ABSENT, reason=reason)
        missing = [hook for hook in rule.hooks if getattr(self.target, hook) is None]
        if missing:
            return self._unverified(rule, f"the target has no hook {' and no hook '.join(missing)}")
        return None

    def _blocker(self, rule: Rule) -> str:
        return next((one for one in before(rule) if self.outcomes[one].status is not Status.PASSED), "")

    def _other(self, rule: Rule) -> Rule | None:
        """The rule that is run in place of this one, because the transport declares the opposite."""
        if rule.id in self._kind.first or not (rule.needs or rule.refuses) or rule.applies(self.guarantees):
            return None
        if rule.refuses:
            return counterpart(rule.refuses)
        return refusal(next(name for name in rule.needs if not declares(self.guarantees, name)))

    def _unverified(self, rule: Rule, reason: str) -> Outcome:
        return Outcome(rule=rule.id, target=self.target.name, status=Status.UNVERIFIED, reason=reason)


def _more_holds(outcome: Outcome) -> bool:
    """Whether a refusal rule warned, other than of what was printed, which says nothing about the transport."""
    return any(not warning.startswith(_PRINTED) for warning in outcome.warnings)


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise SetupError(f"there is no profile {name!r}: use one of {', '.join(PROFILES)}")
    return PROFILES[name]


def prepare(count: int) -> None:
    """Do once what each child would do for itself, if so many rules are to run in children that it pays."""
    if count < _MANY:
        return
    from treaty_contracts.warming import warm  # it needs the catalogue

    with suppress(Exception):  # what a target has made impossible here shows in the rules that need it
        warm()


def run_isolated(target: AnyTarget, rule: Rule, profile: Profile, seed: int = 0) -> Outcome:
    """Run a rule as :func:`run_rule` does, in a process of its own, whose end is a verdict too."""
    started = time.monotonic()
    limit = profile.patience(target.time_scale) * len(rule.surfaces) + GRACE
    ended = in_child(lambda: msgspec.json.encode(run_rule(target, rule, profile, seed)), limit)
    printed = (f"printed meanwhile:\n{of_threads(ended.printed)}",) if ended.printed else ()
    try:
        outcome = msgspec.json.decode(ended.report, type=Outcome) if ended.report else None
    except msgspec.MsgspecError:  # somebody wrote into the middle of it
        outcome, ended = None, ended._replace(end=described(MEDDLED))
    if outcome:
        violation = outcome.violation
        if violation is not None and printed:
            violation = msgspec.structs.replace(violation, notes=(*violation.notes, *printed))
        warnings = outcome.warnings
        if outcome.status is Status.PASSED and printed:
            warnings = (*warnings, f"{_PRINTED}: {ended.printed.rpartition(chr(10))[2]}")
        return msgspec.structs.replace(outcome, violation=violation, warnings=warnings)
    if ended.end == f"exit code {FAULT}":
        return Outcome(
            rule=rule.id,
            target=target.name,
            status=Status.ERROR,
            seconds=time.monotonic() - started,
            reason="the rule could not be run",
            notes=printed,
        )
    hung = not ended.end
    observed = (
        f"none: the whole process stood still for {limit:g} s, and was killed"
        if hung
        else MEDDLING
        if ended.end == described(MEDDLED)
        else f"the process in which the rule ran ended with {ended.end}"
    )
    return Outcome(
        rule=rule.id,
        target=target.name,
        status=Status.HUNG if hung else Status.CRASHED,
        seconds=time.monotonic() - started,
        violation=Violation(expected="an end of the rule", observed=observed, notes=printed),
    )


def run_rule(target: AnyTarget, rule: Rule, profile: Profile, seed: int = 0) -> Outcome:
    """Run the check of one rule on each of its surfaces in this process, whatever it requires or needs."""
    started = time.monotonic()
    observations, quiet, warnings = 0, 0.0, dict[str, None]()
    for surface in rule.surfaces:
        outcome = _Attempt(target, rule, profile, seed, surface).outcome()
        observations += outcome.observations
        quiet += outcome.quiet
        warnings.update(dict.fromkeys(outcome.warnings))
        if outcome.status is not Status.PASSED:
            return outcome
    return Outcome(
        rule=rule.id,
        target=target.name,
        status=Status.PASSED,
        observations=observations,
        seconds=time.monotonic() - started,
        quiet=quiet,
        warnings=tuple(warnings),
    )


class _Attempt:
    """One check on one surface, in a thread that is given up when its time is over."""

    def __init__(self, target: AnyTarget, rule: Rule, profile: Profile, seed: int, surface: str) -> None:
        self._target = target
        self._rule = rule
        self._limit = profile.patience(target.time_scale)
        self._surface = surface
        self._bench = kind_of(target).bench(target, profile, seed, surface, rule)
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
        # Whatever came of it: who took it for a frame may have been a thread of the core.
        raised = self._bench.trace.misfit or raised
        if raised is None:
            if self._bench.expect.observations == 0:
                return self._made(Status.ERROR, reason="the rule judged nothing, so it cannot have passed")
            return self._made(Status.PASSED)
        notes = tuple(plain(str(note)) for note in getattr(raised, "__notes__", ()))
        if isinstance(raised, Violated):
            return self._failed(raised.expected, raised.observed, notes)
        if isinstance(raised, SetupError):
            where = (of_error(raised.__cause__),) if raised.__cause__ else ()
            return self._failed("a target that can be used", plain(str(raised)), (*notes, *where), opening=True)
        from hypothesis.errors import Flaky  # late, as those that show verdicts need none of it

        if isinstance(raised, Flaky):
            return self._failed("the same end each time the same case is run", plain(f"both: {raised}"), notes)
        if self._opening(raised):
            observed = f"your target's open raised {said(raised)}"
            return self._failed("a target that can be opened", observed, (*notes, of_error(raised)), opening=True)
        if _is_ours(raised):
            stack = plain("".join(traceback.format_exception(raised)[-_STACK:]))
            return self._made(Status.ERROR, reason=said(raised), notes=(stack,))
        return self._failed("no exception here", said(raised), (*notes, of_error(raised)))

    def _opening(self, raised: BaseException) -> bool:
        """Whether the target's own ``open`` raised, or cannot even be called."""
        code = type(self._target).opened.__code__
        frames = [frame.f_code for frame, _ in traceback.walk_tb(raised.__traceback__)]
        return code in frames and (frames[-1] is code or not _is_ours(raised))

    def _failed(self, expected: str, observed: str, notes: tuple[str, ...], *, opening: bool = False) -> Outcome:
        return self._made(Status.FAILED, violation=self._violation(expected, observed, notes, opening=opening))

    def _hung(self) -> Outcome:
        violation = self._violation(
            f"an end within {self._limit:g} s", "none: the rule was given up, its thread still runs", (_stacks(),)
        )
        return self._made(Status.HUNG, violation=violation)

    def _violation(self, expected: str, observed: str, notes: tuple[str, ...], *, opening: bool = False) -> Violation:
        return Violation(
            expected=expected,
            observed=observed,
            done=tuple(self._bench.done),
            surface=self._surface if len(self._rule.surfaces) > 1 else "",
            trace=self._bench.trace.lines(),
            notes=notes,
            script=program(self._bench.trace.operations.snapshot(), f"{self._rule.id} on {self._target.name}"),
            opening=opening,
        )

    def _made(self, status: Status, **more: Any) -> Outcome:
        return Outcome(
            rule=self._rule.id,
            target=self._target.name,
            status=status,
            observations=self._bench.expect.observations,
            seconds=time.monotonic() - self._started,
            quiet=self._bench.quiet,
            warnings=tuple(self._bench.warnings),
            **more,
        )


def _is_ours(raised: BaseException) -> bool:
    """Whether an exception was raised by the suite's own code, and not by the target or the core below it."""
    from hypothesis.errors import HypothesisException  # late, as above

    if isinstance(raised, HypothesisException):
        return True
    if isinstance(raised, TreatyError):
        return False
    last = traceback.extract_tb(raised.__traceback__)[-1:]
    if not last or last[0].filename in _HANDING_ON:
        return False
    return last[0].filename.startswith(_HERE) and "zoo" not in Path(last[0].filename).parts


def _stacks() -> str:
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return of_threads(file.read())


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """What services log about handlers that fail on purpose is no news for the terminal."""
    root, silence = logging.getLogger(), logging.NullHandler()
    root.addHandler(silence)
    try:
        yield
    finally:
        root.removeHandler(silence)
