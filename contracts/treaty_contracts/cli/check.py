"""``treaty check``: the verdict of the contract on a target, with everything that its author needs to mend it.

It must not know how rules are run: it shows the events of a session, keeps a tally, and writes files.
"""

from __future__ import annotations

import logging
import shlex
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from treaty.cli.screen import show_error, show_warning
from treaty.cli.signals import raising
from treaty.cli.streams import CannotWriteError
from treaty_contracts import host, session
from treaty_contracts.baseline import Known, read, sort_out
from treaty_contracts.cli.asked import asked
from treaty_contracts.cli.files import Files
from treaty_contracts.cli.screen import STYLES, Screen
from treaty_contracts.cli.verdicts import MEANINGS, show_verdict, worst
from treaty_contracts.lanes import JOBS, MOST
from treaty_contracts.loading import GROUP, check_spec, installed
from treaty_contracts.profile import PROFILES
from treaty_contracts.registry import REQUIREMENT_SETS, every_rule
from treaty_contracts.report import Report
from treaty_contracts.session import Began, Declared, Ended, Event, Judged, Noted, Order, Over, Refused, Running
from treaty_contracts.summary import ExitCode
from treaty_contracts.tally import Tally
from treaty_contracts.target import SetupError
from treaty_contracts.verdict import VIOLATIONS, Outcome, Status, explain

EXAMPLES: Final = """\
treaty check my_package.contract:target
treaty check my_package.contract:target --rule CALL-003 --seed 7
treaty check my_package.contract:targets --baseline baseline.toml --json report.json --junit report.xml
treaty check --installed --profile standard"""
#: Our own exit codes, for the help.
EXITS: Final = MEANINGS
USAGE: Final = ExitCode.SETUP
_SIGNALLED: Final = 128
_INTERRUPTED: Final = _SIGNALLED + signal.SIGINT
#: The least and the most that times are multiplied by.
_SCALES: Final = (0.001, 1000.0)
_LOG: Final = logging.getLogger("treaty.contracts")


def check(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PACKAGE.MODULE:TARGET]...",
            help="A treaty_contracts.Target or StoreTarget, a list of them, or a function that returns either.",
            show_default=False,
        ),
    ] = None,
    *,
    all_installed: Annotated[
        bool, typer.Option("--installed", help=f"All targets that installed packages name (entry points {GROUP}).")
    ] = False,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", "-r", metavar="ID", help="Only this rule and what it requires; repeatable."),
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", "-p", metavar="|".join(PROFILES), help="How thoroughly to look.")
    ] = "quick",
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Of everything that is drawn; 0 draws the same each time.")
    ] = 0,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="The failures that are known, as TOML.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write a report as JSON lines.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write a report as JUnit XML.")] = None,
    badge: Annotated[
        Path | None, typer.Option("--badge", metavar="FILE", help="Write a badge for shields, if one is earned.")
    ] = None,
    scripts: Annotated[
        Path | None,
        typer.Option(
            "--scripts", metavar="DIRECTORY", help="Write the programs of failures there, and do not show them."
        ),
    ] = None,
    time_scale: Annotated[
        float, typer.Option("--time-scale", metavar="X", help="Multiply all times: for slow machines.")
    ] = 1.0,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", metavar="N", min=1, help="Rules to run side by side, of targets that say parallel=True."
        ),
    ] = JOBS,
    in_process: Annotated[
        bool,
        typer.Option("--in-process", help="Run everything in this process: for a debugger. A crash ends the command."),
    ] = False,
) -> None:
    """Judge a transport or a store by the contract.

    Each rule runs in a process of its own: a hang or a crash is a verdict on that rule. Failures are explained at once,
    and run again twice at the end, to tell what always fails from what sometimes does. Of several targets, the worst
    decides the exit code: the suite's fault, set-up, violation, stale baseline, incomplete, in this order.
    """
    try:
        specs = _specs(targets or [], all_installed=all_installed)
        orders = [
            Order(
                spec=spec,
                profile=_profile(profile),
                seed=seed,
                only=_only(rule or []),
                time_scale=_scale(time_scale),
                isolated=not in_process,
                jobs=_jobs(jobs),
            )
            for spec in specs
        ]
        entries = read(baseline) if baseline else ()
        known, stale = sort_out(entries, [one.id for one in every_rule()], datetime.now(UTC).date())
        files = Files(json, junit, badge, scripts, baseline)
    except SetupError as error:
        show_error("set-up", str(error))
        raise typer.Exit(ExitCode.SETUP) from None
    extra = f" --baseline {shlex.quote(str(baseline))}" if baseline else ""
    desk = _Desk(files, known, list(stale.values()), extra)
    try:
        with raising(_Ended, signal.SIGTERM, signal.SIGHUP), host.nothing_left(), desk.screen:
            for order in orders:
                desk.judge(order)
    except KeyboardInterrupt:
        desk.interrupted("interrupted")
        raise typer.Exit(_INTERRUPTED) from None
    except _Ended as ended:
        desk.interrupted(f"ended by {ended.signal.name}")
        raise typer.Exit(_SIGNALLED + ended.signal) from None
    except SetupError as error:  # a file, as all that is wrong with a target is told as an event
        show_error("set-up", str(error))
        raise typer.Exit(ExitCode.SETUP) from None
    except (BrokenPipeError, CannotWriteError):
        raise  # it is about standard output, and the program deals with that
    except Exception as error:
        _LOG.debug("the command failed", exc_info=True)
        show_error("the contract suite is at fault", f"{type(error).__name__}: {error}")
        raise typer.Exit(ExitCode.SUITE) from None
    finally:
        files.close()
    try:
        for text in files.end(desk.reports):
            show_warning(text)
    except SetupError as error:
        show_error("set-up", str(error))
        raise typer.Exit(ExitCode.SETUP) from None
    raise typer.Exit(worst(report.footer.exit_code for report in desk.reports))


class _Ended(BaseException):
    """A signal says that the command is to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


class _Desk:
    """Where the events of all sessions are shown and counted."""

    def __init__(self, files: Files, known: Mapping[str, Known], stale: list[str], extra: str) -> None:
        self.screen = Screen()
        self.reports: list[Report] = []
        self._files = files
        self._known = known
        self._stale = stale
        self._extra = extra
        self._tally: Tally | None = None

    def judge(self, order: Order) -> None:
        """Judge the targets of one spec."""
        self.screen.wait(order.spec)
        events = (host.events if order.isolated else session.run)(order)
        notes: list[Noted] = []
        for event in _closing(events):
            if isinstance(event, Over):
                return
            if isinstance(event, Noted):
                notes.append(event)
                continue
            if self._tally is None:
                self._tally = Tally(order, self._known, self._stale, self._files.write)
                for note in notes:
                    self._tally.enter(note)
            self._tally.enter(event)
            self._show(event, order, self._tally)

    def _show(self, event: Event, order: Order, tally: Tally) -> None:
        if isinstance(event, Began):
            self.screen.begin(event.target, len(event.planned), _about(order, event))
        elif isinstance(event, Declared):
            self.screen.plan(len(tally.planned))
        elif isinstance(event, Running):
            self.screen.running(event.rule, again=event.again)
        elif isinstance(event, Judged):
            self._tell(event.outcome, order, tally)
        elif isinstance(event, Refused | Ended):
            if isinstance(event, Refused) and not tally.planned:
                self.screen.begin(event.target, 0, "")
            self.reports.append(tally.end())
            self._tally = None
            show_verdict(self.screen.console, self.reports[-1])

    def _tell(self, outcome: Outcome, order: Order, tally: Tally) -> None:
        again = outcome.rule in self.screen.told
        if not again:
            self.screen.judged(outcome)
        status = outcome.status
        if status not in VIOLATIONS and status is not Status.ERROR:
            return
        entry = tally.known.get(outcome.rule)
        if entry is not None and not again:
            self.screen.show(f"{outcome.headline}, which is known: {entry.reason} ({entry.link})", "yellow")
        elif again and status is Status.UNSTABLE:
            self.screen.show(f"{outcome.headline}\n  {outcome.reason}", STYLES[status])
        elif not again and outcome.ran in tally.outcomes and tally.outcomes[outcome.ran].status is status:
            self.screen.show(f"{outcome.headline}: see above", STYLES[status])
        elif not again and entry is None:
            text = explain(outcome, _replay(order, outcome.rule) + self._extra)
            script = self._files.script(outcome)
            self.screen.show(f"{text}\n{script}" if script else text, STYLES[status])

    def interrupted(self, how: str) -> None:
        """Say what is known so far, and how it came to an end."""
        tally = self._tally
        if tally is not None and tally.outcomes:
            bad = [one.rule for one in tally.outcomes.values() if one.status in VIOLATIONS]
            text = f"{tally.target}: {len(tally.outcomes)} of {len(tally.planned)} rules were judged"
            self.screen.show(f"{text}; violated: {', '.join(bad)}" if bad else f"{text}, none violated")
        show_error(how, "this is no verdict")


def _closing(events: Iterator[Event]) -> Iterator[Event]:
    """Yield events, and let go of whatever makes them, however this ends."""
    try:
        yield from events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()


def _specs(targets: list[str], *, all_installed: bool) -> list[str]:
    found, left_out = installed() if all_installed else ([], [])
    for text in left_out:
        show_error("left out", text)
    if all_installed and not found:
        raise SetupError(f"no installed package names a target: that is an entry point of the group {GROUP!r}")
    specs = list(dict.fromkeys([*targets, *found]))
    if not specs:
        raise SetupError("no target: write 'treaty check package.module:target', or --installed")
    for spec in specs:
        check_spec(spec)
    return specs


def _profile(name: str) -> str:
    if name not in PROFILES:
        raise SetupError(f"there is no profile {name!r}: use one of {', '.join(PROFILES)}")
    return name


def _scale(factor: float) -> float:
    least, most = _SCALES
    if not least <= factor <= most:  # neither is what is not a number
        raise SetupError(f"--time-scale {factor:g} cannot multiply times: write a number from {least:g} to {most:g}")
    return factor


def _jobs(number: int) -> int:
    if number > MOST:
        raise SetupError(f"--jobs {number}: at most {MOST} rules run side by side")
    return number


def _only(identifiers: list[str]) -> tuple[str, ...]:
    wanted = []
    for identifier in identifiers:
        try:
            wanted.append(asked(identifier).id)
        except LookupError as error:
            raise SetupError(str(error.args[0])) from None
    return tuple(dict.fromkeys(wanted))


def _about(order: Order, event: Began) -> str:
    hooks = f"hooks {', '.join(event.hooks)}" if event.hooks else "no hooks"
    partial = f"only {', '.join(order.only)} and what they require: " if order.only else ""
    return f"{partial}{_some(len(event.planned))} of {REQUIREMENT_SETS[event.kind]}, profile {order.profile}, seed {order.seed}, {hooks}"


def _some(number: int) -> str:
    return f"{number} rule{'s' * (number != 1)}"


def _replay(order: Order, rule: str) -> str:
    options = [f"--rule {rule}", f"--seed {order.seed}"]
    defaults = msgspec.structs.asdict(Order(spec=""))
    if order.profile != defaults["profile"]:
        options.append(f"--profile {order.profile}")
    if order.time_scale != defaults["time_scale"]:
        options.append(f"--time-scale {order.time_scale:g}")
    return f"treaty check {shlex.quote(order.spec)} {' '.join(options)}"
