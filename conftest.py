"""What pytest has to know about our own tests: options, Hypothesis profiles, and one line for each transport at the end.

Nothing here is shipped: whoever runs the contract on a transport of their own needs no conftest.
"""

# ruff: noqa: D103 - pytest describes its hooks

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from treaty_contracts.host import HOME

_TRANSPORTS: Final = ("memory", "zmq", "kombu")
#: Our profile: the one of Hypothesis, and the one of the contract.
_PROFILES: Final = {"dev": "quick", "ci": "standard", "deep": "deep"}
_OUTCOMES: Final = pytest.StashKey[dict[str, Counter[str]]]()
_REASONS: Final = pytest.StashKey[dict[str, dict[str, int]]]()
#: Tests of adapters that could not be run, by the reason.
_MISSED: Final = pytest.StashKey[Counter[str]]()
#: The modules that take longest, first of all: what begins last should be short, so that no process works on alone. And
#: those that wait most stand between those that compute: together they would leave the processors idle.
_LONGEST: Final = (
    "test_zoo.py",
    "test_over_amqp.py",
    "test_zoo_on_the_way.py",
    "test_redis_sent.py",
    "test_check.py",
    "test_link.py",
    "test_machine.py",
    "test_transport.py",
    "test_same_verdict.py",
    "test_over_redis.py",
    "test_targets.py",
    "test_demo.py",
    "test_streams.py",
)
#: More were never tried.
_MOST_WORKERS: Final = 17
#: What a report says of the target that it is about.
_ABOUT: Final = "contract target"

# Helpers beside the tests: what they assert is shown as what the tests assert is.
pytest.register_assert_rewrite("tests.core.world", "tests.core.strategies")

for _name, _examples in (("dev", 40), ("ci", 500), ("deep", 20_000)):
    settings.register_profile(
        f"treaty-{_name}",
        max_examples=_examples,
        deadline=None,
        derandomize=_name == "dev",
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("treaty")
    group.addoption(
        "--transport",
        action="append",
        choices=_TRANSPORTS,
        default=[],
        help="run only what belongs to this transport: the contract on each of its configurations, and the adapter's "
        "own tests (tests/transports/<name>/ or test_<name>.py). May be given several times. Everything else is "
        "deselected, the tests of the core as well.",
    )
    group.addoption(
        "--profile",
        choices=tuple(_PROFILES),
        default=os.environ.get("TREATY_TEST_PROFILE", "dev"),
        help="how thoroughly to look: dev draws few cases, the same each time; ci draws more, deep very many. The "
        "contract runs with its profile quick, standard or deep. Default: dev, or TREATY_TEST_PROFILE.",
    )


def pytest_configure(config: pytest.Config) -> None:
    profile = config.getoption("--profile")
    if profile not in _PROFILES:  # pytest checks what is given as an option, and not what a variable says
        raise pytest.UsageError(f"TREATY_TEST_PROFILE is {profile!r}: use one of {', '.join(_PROFILES)}")
    settings.load_profile(f"treaty-{profile}")
    os.environ.setdefault("TREATY_PROFILE", _PROFILES[profile])
    # What Hypothesis finds in our modules takes it a second: the commands that tests run read what others have found.
    os.environ.setdefault(HOME, str(config.rootpath / ".hypothesis"))
    config.stash[_OUTCOMES] = {}
    config.stash[_REASONS] = {}
    config.stash[_MISSED] = Counter()
    config.pluginmanager.register(_Summary(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """More than there are processors, as most tests wait; what the variable of pytest-xdist says goes first."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(3 * processors + 1, _MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByRun(LoadScopeScheduling):
        """What shares a run of the contract, or what a module sets up once, stays in one process."""

        def _split_scope(self, nodeid: str) -> str:
            module, _, test = nodeid.partition("::")
            return f"{module}::{test.partition('[')[0]}" if module.endswith("targets.py") else module

    config.option.loadscopereorder = False  # what has most tests is not what takes longest
    return ByRun(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    turns = {name: turn for turn, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: turns.get(item.path.name, len(turns)))
    chosen = config.getoption("--transport")
    if chosen:
        kept = [item for item in items if _belongs(item, chosen)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def _belongs(item: pytest.Item, chosen: list[str]) -> bool:
    target = _target(item)
    if target:
        return target.partition("/")[0] in chosen
    if item.path.parent.name == "transports":
        return item.path.stem.removeprefix("test_") in chosen
    return item.path.parent.parent.name == "transports" and item.path.parent.name in chosen


def _target(item: pytest.Item) -> str:
    return str(getattr(getattr(item, "function", None), "contract_target", ""))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if target := _target(item):
        report.user_properties.append((_ABOUT, target))
    return report


class _Summary:
    """Counts reports, in whichever process their tests ran."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        target = next((str(value) for name, value in report.user_properties if name == _ABOUT), "")
        if target and (report.when == "call" or report.outcome != "passed"):
            self._config.stash[_OUTCOMES].setdefault(target, Counter())[report.outcome] += 1
            if report.skipped and isinstance(report.longrepr, tuple):
                reasons = self._config.stash[_REASONS].setdefault(target, {})
                reason = report.longrepr[2].removeprefix("Skipped: ")
                reasons[reason] = reasons.get(reason, 0) + 1
        elif report.skipped and report.nodeid.startswith("tests/transports/") and isinstance(report.longrepr, tuple):
            self._config.stash[_MISSED][report.longrepr[2].removeprefix("Skipped: ")] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if missed := config.stash[_MISSED]:
        terminalreporter.section("adapters' own tests that were not run", red=True)
        for reason, count in missed.items():
            terminalreporter.line(f"{count} not run: {reason}")
    outcomes = config.stash[_OUTCOMES]
    if not outcomes:
        return
    terminalreporter.section("contract")
    width = max(map(len, outcomes)) + 2
    for target, counted in outcomes.items():
        reasons = config.stash[_REASONS].get(target, {})
        terminalreporter.line(f"{target:<{width}}{_line(counted, reasons)}")


def _line(counted: Counter[str], reasons: dict[str, int]) -> str:
    run = counted["passed"] + counted["failed"]
    why = "; ".join(reasons)
    if not run:
        return f"not run: {why}"
    parts = [f"{counted['passed']} passed", *([f"{counted['failed']} failed"] * bool(counted["failed"]))]
    parts += [f"{counted['skipped']} not run ({why})"] * bool(counted["skipped"])
    return f"{counted.total()} rules: {', '.join(parts)}"
