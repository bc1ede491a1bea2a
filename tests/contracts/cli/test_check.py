"""``treaty check``: what a person sees, what a script gets, and no target that does harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from treaty.cli.app import app
from treaty_contracts import rules
from treaty_contracts.cli.verdicts import MEANINGS, WORST, worst
from treaty_contracts.host import HOME
from treaty_contracts.report import read
from treaty_contracts.summary import ExitCode

Write = Callable[[str], str]
KNOWN = '[[known]]\nrule = "{rule}"\nreason = "names are cut"\nlink = "https://example.org/1"\nexpires = {date}\n'


PRETENDING = """\
import treaty_memory
from treaty_contracts import Target
from treaty_contracts.zoo import animals, zoo_target

memory = Target(name="memory", open=lambda context: treaty_memory.connect(f"memory://{context.namespace}"))
target = zoo_target(animals()["pretends-to-publish"], memory)
"""
SCALES = ("inf", "nan", "0", "-1", "1e+09")


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], prog_name="treaty")


def test_a_part_that_passes_is_incomplete(mine: str) -> None:
    result = check(f"{mine}:good", "--rule", "setup-003")
    assert result.exit_code == ExitCode.INCOMPLETE
    for part in ("only SETUP-003 and what they require: 3 rules", "partial", "INCOMPLETE", "not run"):
        assert part in result.stdout, result.stdout
    assert result.stderr.splitlines()[:2] == [f"importing {mine}:good", "opening good, for SETUP-001"]
    assert [line.split()[1:3] for line in result.stderr.splitlines()[2:]] == [
        ["SETUP-001", "passed"],
        ["SETUP-002", "passed"],
        ["SETUP-003", "passed"],
    ]


def test_a_failure_teaches(mine: str) -> None:
    result = check(f"{mine}:broken", "--rule", "SETUP-003", "--seed", "3", "--time-scale", "1.5")
    assert result.exit_code == ExitCode.VIOLATED
    for part in (
        "SETUP-003 FAILED on",
        "MUST: A frame for one service never reaches another one",
        "expected:",
        "observed:",
        "frames:",
        "likely causes:",
        f"replay: treaty check {mine}:broken --rule SETUP-003 --seed 3 --time-scale 1.5",
        "script (--scripts DIRECTORY writes all of it):",
        "arrives(",
        "violated    SETUP-003",
        "NON-CONFORMANT  (exit code 1",
    ):
        assert part in result.stdout, (part, result.stdout)
    assert "Traceback" not in result.output


def test_what_runs_in_place_of_another_is_counted_and_is_one_fault(write: Write) -> None:
    name = write(PRETENDING)
    result = check(f"{name}:target", "-r", "NOTE-001")
    assert result.exit_code == ExitCode.VIOLATED
    assert "violated    REFUSE-NOTIFICATIONS (and NOTE-001, for which it ran)" in result.stdout, result.stdout
    progress = [line.split()[0].split("/") for line in result.stderr.splitlines()[2:]]
    assert {total for _, total in progress[3:]} == {str(len(progress))}


def test_a_declared_yes_is_counted_as_what_is_run(mine: str) -> None:
    result = check(f"{mine}:good", "-r", "REFUSE-ORDERED")
    lines = [line.split()[0] for line in result.stderr.splitlines()[2:]]
    assert lines[-1] == f"{len(lines)}/{len(lines)}", result.stderr


def test_what_is_for_reviewers_is_called_that(mine: str) -> None:
    result = check(f"{mine}:good", "-r", "AUTH-006")
    assert result.stderr.rstrip().endswith("AUTH-006                 review only")


def test_what_is_blocked_is_only_counted(mine: str) -> None:
    result = check(f"{mine}:dying", "--rule", "SETUP-003")
    assert result.exit_code == ExitCode.VIOLATED
    assert "SETUP-001 CRASHED" in result.stdout and "exit code 7" in result.stdout
    assert "SETUP-003 BLOCKED" not in result.stdout
    assert "blocked     2 by SETUP-001: SETUP-002, SETUP-003" in result.stdout


def test_files(mine: str, tmp_path: Path) -> None:
    options = ["--json", "r.json", "--junit", "r.xml", "--badge", "b.json", "--scripts", "s"]
    result = check(f"{mine}:two", "--rule", "SETUP-003", *options)
    assert result.exit_code == ExitCode.VIOLATED
    good, broken = read("r.json")
    assert (good.header.target, good.footer.exit_code, broken.footer.exit_code) == ("good", 4, 1)
    assert broken.header.source == f"{mine}:two" and broken.header.only == ("SETUP-003",)
    assert len(ET.parse("r.xml").getroot()) == 2
    assert not Path("b.json").exists()
    assert "no badge was written: good: only a part was run" in result.stderr
    (script,) = Path("s").iterdir()
    assert f"script: PYTHONPATH=. python {script}" in result.stdout
    # It imports the target by its module, which is in the current directory.
    here = os.environ | {"PYTHONPATH": "."}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60, env=here)
    assert done.returncode == 1, done.stderr
    assert "ModuleNotFoundError" not in done.stderr


def test_known_failures(mine: str, tmp_path: Path) -> None:
    Path("known.toml").write_text(KNOWN.format(rule="SETUP-003", date="2999-01-01"))
    result = check(f"{mine}:broken", "--rule", "SETUP-003", "--baseline", "known.toml")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "which is known: names are cut (https://example.org/1)" in result.stdout
    assert "known       SETUP-003 until 2999-01-01: names are cut" in result.stdout
    assert "likely causes" not in result.stdout


@pytest.mark.parametrize(
    ("rule", "date", "said"),
    [
        ("SETUP-003", "2999-01-01", "SETUP-003 is in the baseline as failing, and passes: take the entry out"),
        ("SETUP-003", "2020-01-01", "SETUP-003 was to be known until 2020-01-01: mend it, or decide anew"),
        ("CALL-999", "2999-01-01", "CALL-999 is in the baseline, and there is no such rule"),
    ],
)
def test_a_stale_baseline(mine: str, rule: str, date: str, said: str) -> None:
    Path("known.toml").write_text(KNOWN.format(rule=rule, date=date))
    result = check(f"{mine}:good", "--rule", "SETUP-003", "--baseline", "known.toml")
    assert result.exit_code == ExitCode.STALE
    assert f"baseline    {said}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no target: write 'treaty check package.module:target'"),
        (("mine",), "'mine' names no target"),
        (("mine:x", "--rule", "CALL003"), "there is no rule 'CALL003': did you mean CALL-003?"),
        (("mine:x", "-r", "NOPE"), "there is no rule 'NOPE': the families are SETUP, LINE"),
        (("mine:x", "--profile", "fast"), "there is no profile 'fast': use one of quick, standard, deep"),
        (("mine:x", "--baseline", "none.toml"), "the baseline none.toml cannot be read"),
        (("mine:x", "--json", "no/such/folder/r.json"), "cannot be written: No such file or directory"),
        (("mine:x", "--bogus"), "No such option"),
        *((("mine:x", one, "-"), f"{one} cannot be '-'") for one in ("--json", "--junit", "--badge")),
        *((("mine:x", "--time-scale", one), f"--time-scale {one} cannot multiply times") for one in SCALES),
        (("mine:x", "--json", "same", "--junit", "./same"), "--json and --junit are the same file, same"),
        (("mine:x", "--badge", "same", "--scripts", "same"), "--badge and --scripts are the same file, same"),
        (("mine:x", "--seed", "lucky"), "--seed"),
        (("mine:x", "--jobs", "257"), "--jobs 257: at most 256 rules run side by side"),
        (("nowhere_at_all:x", "--rule", "SETUP-001"), "there is no module 'nowhere_at_all'"),
    ],
)
def test_wrong_usage_is_a_set_up_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = check(*arguments)
    assert result.exit_code == ExitCode.SETUP, result.output
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "raised ZeroDivisionError"),
        ("import sys; sys.exit(0)", "raised SystemExit: 0"),
        ("import os; os._exit(0)", "the process ended while it was imported, with exit code 0"),
        ("import os; os.kill(os.getpid(), 11)", "the process ended while it was imported, with signal SIGSEGV"),
    ],
)
def test_what_does_not_import_is_a_set_up_error(write: Write, text: str, said: str) -> None:
    result = check(f"{write(text)}:target", "--json", "r.json", "--junit", "r.xml")
    assert result.exit_code == ExitCode.SETUP, result.output
    assert said in result.stdout and "NO VERDICT" in result.stdout
    assert "Traceback" not in result.output
    (report,) = read("r.json")
    assert said in report.footer.error
    assert ET.parse("r.xml").find(".//error") is not None


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("print('welcome')", 4, "warning     the import printed something: welcome"),
        ("import os; os.chdir('/')", 4, "changed the working directory"),
        ("import sys; sys.setrecursionlimit(60)", 4, "changed how deep calls may nest"),
        ("import sys; sys.stdout = sys.stderr = None", 4, "changed sys.stdout"),
        ("import sys; sys.path.clear()", 4, "took entries out of sys.path"),
        ("import warnings; warnings.simplefilter('error')", 4, "changed which warnings are errors"),
        ("import warnings; warnings.simplefilter('ignore')", 4, "changed which warnings are shown"),
        ("import signal; signal.signal(signal.SIGUSR2, signal.SIG_IGN)", 4, "changed what SIGUSR2 does"),
        ("import logging; logging.disable()", 4, "changed what is logged at all"),
        ("import socket; socket.setdefaulttimeout(9)", 4, "changed the default timeout of sockets"),
        ("import threading; threading.excepthook = print", 4, "changed threading.excepthook"),
        ("import random; random.seed(1)", 4, "seeded the random numbers of the program"),
        ("import time; time.monotonic = lambda: 0.0", 5, "replaced time.monotonic"),
        ("import os; os.rmdir('own')", 5, "removed the directory for temporary files, "),
        ("import os; os.closerange(0, 1000)", 5, "descriptors were closed while it was imported"),
        ("import os; os.fork()", 4, "INCOMPLETE"),
        ("raise type('E', (Exception,), {'__str__': None})", 5, "its text cannot be had"),
    ],
)
def test_what_an_import_may_do_to_the_program(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int, said: str
) -> None:
    (tmp_path / "own").mkdir()
    # For the session alone, which is another process: of this one it may take nothing away.
    monkeypatch.setenv("TMPDIR", str(tmp_path / "own"))
    name = write(f"from treaty_memory.contract import memory\n{text}\n")
    result = check(f"{name}:memory", "--rule", "SETUP-001")
    assert (result.exit_code, said in result.stdout) == (code, True), result.output
    assert result.stdout.count("profile quick") == (code == 4)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("raising", 1, "OSError: no broker at localhost:1234"),
        ("killed", 1, "ended with signal SIGKILL"),
        ("hanging", 1, "SETUP-001 HUNG"),
        ("signalling", 1, "signal only works in main thread"),
        ("printing", 4, "something was printed while it ran: hello \\x1b[31m there"),
        ("patricide", 5, "the process ended while the contract was run on it, with signal SIGKILL"),
        ("number", 5, "is int; it must be a treaty_contracts.Target"),
    ],
)
def test_what_a_bad_target_gets(mine: str, target: str, code: int, said: str) -> None:
    result = check(f"{mine}:{target}", "--rule", "SETUP-001")
    assert (result.exit_code, said in result.stdout) == (code, True), result.output
    assert target != "killed" or "likely causes" not in result.stdout  # those are of the rule, and not of a crash
    assert "\x1b" not in result.output
    assert "contracts/treaty_contracts/" not in result.output


@pytest.mark.parametrize("option", ["--json", "--junit", "--badge"])
def test_a_full_disk_is_a_set_up_error(mine: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treaty_contracts.cli.files.badge", lambda _: "{}" * 10_000)
    result = check(f"{mine}:good", "--rule", "SETUP-001", option, "/dev/full")
    assert result.exit_code == ExitCode.SETUP, result.output
    assert "set-up: /dev/full cannot be written: No space left on device" in result.stderr
    assert "at fault" not in result.output and "Traceback" not in result.output


def test_a_script_that_cannot_be_written_is_a_set_up_error(mine: str) -> None:
    arguments = (f"{mine}:broken", "--rule", "SETUP-003", "--scripts", "s")
    assert check(*arguments).exit_code == ExitCode.VIOLATED
    (script,) = Path("s").iterdir()
    script.unlink()
    script.mkdir()
    result = check(*arguments)
    assert result.exit_code == ExitCode.SETUP, result.output
    assert f"set-up: {script} cannot be written: Is a directory" in result.stderr


def test_the_baseline_is_not_written_over(mine: str) -> None:
    Path("known.toml").write_text("")
    result = check(f"{mine}:good", "--baseline", "known.toml", "--json", "known.toml")
    assert result.exit_code == ExitCode.SETUP
    assert "--baseline and --json are the same file, known.toml" in result.stderr


@pytest.mark.parametrize("option", ["", "--in-process"])
def test_nothing_is_left_in_the_folder(mine: str, option: str) -> None:
    command = [
        sys.executable,
        "-m",
        "treaty.cli",
        "check",
        f"{mine}:good",
        "--rule",
        "CALL-001",  # one of those for which Hypothesis draws
        *filter(None, [option]),
    ]
    before = set(Path().iterdir())
    # Without the place where Hypothesis keeps its files for these tests.
    environment = {name: value for name, value in os.environ.items() if name != HOME}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == ExitCode.INCOMPLETE, done.stdout + done.stderr
    assert {path.name for path in set(Path().iterdir()) - before} <= {"__pycache__"}


def test_in_process(mine: str) -> None:
    result = check(f"{mine}:broken", "--rule", "SETUP-003", "--in-process")
    assert result.exit_code == ExitCode.VIOLATED
    assert "SETUP-003 FAILED" in result.stdout


def test_the_worst_target_decides() -> None:
    assert set(WORST) == set(ExitCode) and set(MEANINGS) >= {int(code) for code in ExitCode}
    assert worst([0, 4, 1, 2]) is ExitCode.VIOLATED
    assert worst([1, 5]) is ExitCode.SETUP
    assert worst([5, 3]) is ExitCode.SUITE
    assert worst([0, 0]) is ExitCode.CONFORMANT


def test_a_fault_of_ours_is_called_that(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("treaty_contracts.cli.check.show_verdict", broken)
    result = check(f"{mine}:good", "--rule", "SETUP-001")
    assert result.exit_code == ExitCode.SUITE
    assert "the contract suite is at fault: ZeroDivisionError: surprise" in result.stderr


def test_the_help_lists_the_exit_codes() -> None:
    result = check("--help")
    assert result.exit_code == 0
    for code, meaning in MEANINGS.items():
        assert f"{int(code):>3}  {meaning}" in result.stdout


def test_what_is_installed(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treaty_contracts.cli.check.installed", lambda: ([f"{mine}:good"], []))
    assert "good  only SETUP-001" in check("--installed", "--rule", "SETUP-001").stdout
    monkeypatch.setattr("treaty_contracts.cli.check.installed", lambda: ([], []))
    result = check("--installed")
    assert result.exit_code == ExitCode.SETUP and "treaty.contracts" in result.stderr


def test_a_report_is_json_lines(mine: str) -> None:
    check(f"{mine}:good", "--rule", "SETUP-001", "--json", "r.json")
    lines = [json.loads(line) for line in Path("r.json").read_text().splitlines()]
    assert [line["line"] for line in lines] == ["header", "rule", "footer"]
    assert lines[0]["catalogue"] == len(rules())
