"""What code changes in the program around it is named, and put back where that can be done."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from treaty_contracts import SetupError
from treaty_contracts import aftermath as aftermath_room
from treaty_contracts.aftermath import Aftermath
from treaty_contracts.isolation import in_child


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1), "how deep calls may nest"),
        (lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN if _ignored() else signal.SIG_DFL), "what SIGPIPE does"),
        (lambda: setattr(sys, "stdout", None), "sys.stdout"),
        (lambda: setattr(sys, "excepthook", print), "sys.excepthook"),
        (lambda: setattr(sys, "unraisablehook", print), "sys.unraisablehook"),
        (lambda: setattr(threading, "excepthook", print), "threading.excepthook"),
        (lambda: signal.signal(signal.SIGHUP, print), "what SIGHUP does"),
        (lambda: signal.signal(signal.SIGRTMIN + 3, print), f"what signal {signal.SIGRTMIN + 3} does"),
        (lambda: socket.setdefaulttimeout(900), "the default timeout of sockets"),
        (lambda: logging.disable(logging.CRITICAL), "what is logged at all"),
        (lambda: os.chdir("/"), "the working directory"),
        (lambda: warnings.simplefilter("error", ImportWarning), "which warnings are errors"),
        (lambda: warnings.simplefilter("ignore"), "which warnings are shown"),
        (lambda: warnings.simplefilter("always", ResourceWarning), "which warnings are shown"),
    ],
)
def test_what_can_be_put_back(change: Callable[[], object], named: str) -> None:
    def work() -> bytes:
        aftermath = Aftermath("it")
        change()
        first = aftermath.mended()
        return repr((first, aftermath.mended())).encode()

    assert in_child(work, 30).report == repr(((f"it changed {named}",), ())).encode()


def _ignored() -> bool:
    return signal.getsignal(signal.SIGPIPE) is not signal.SIG_IGN


class _Own(Warning):
    """Of a library."""


def test_filters_for_certain_warnings_are_nobodys_trouble() -> None:
    with warnings.catch_warnings():
        aftermath = Aftermath("it")
        warnings.filterwarnings("ignore", message="an old friend")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="friend")
        warnings.simplefilter("always", _Own)
        assert aftermath.mended() == ()


def test_of_filters_only_those_that_are_everybodys_trouble_go() -> None:
    with warnings.catch_warnings():
        before, aftermath = list(warnings.filters), Aftermath("it")
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        warnings.filterwarnings("ignore", message="an old friend")
        assert "it changed which warnings are shown" in aftermath.mended()
        harmless, *rest = warnings.filters
        assert (harmless[0], rest) == ("ignore", before)


@pytest.mark.parametrize(
    "modules",
    ["kombu, kombu.transport.redis", "zmq, zmq.asyncio", "redis, fakeredis", "sqlite3, sqlalchemy", "hypothesis"],
)
def test_importing_a_library_is_worth_no_word(modules: str) -> None:
    """In a fresh interpreter, as here they may have been imported before; what the suite imports itself comes late."""
    text = f"import sys; before = set(sys.modules); import {modules}; print(len(set(sys.modules) - before) > 1)"
    program = (
        "import importlib.util, sys, types\n"
        f"package = types.ModuleType('treaty_contracts'); package.__path__ = [{str(Path(aftermath_room.__file__).parent)!r}]\n"
        "sys.modules['treaty_contracts'] = package\n"
        "target = types.ModuleType('treaty_contracts.target'); target.SetupError = Exception\n"
        "sys.modules['treaty_contracts.target'] = target\n"
        "from treaty_contracts.aftermath import Aftermath\n"
        f"aftermath = Aftermath('it'); {text}; print(aftermath.mended())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True\n()\n", done.stdout + done.stderr


def test_entries_of_the_path_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before, aftermath = set(sys.path), Aftermath("it")
    sys.path[:] = ["/mine"]
    assert aftermath.mended() == ("it took entries out of sys.path",)
    assert set(sys.path) == {"/mine", *before}


def test_a_clock_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    before, aftermath = time.monotonic, Aftermath("it")
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    with pytest.raises(SetupError, match=r"^it replaced time\.monotonic, by which everything here is measured$"):
        aftermath.mended()
    assert time.monotonic is before


def test_a_directory_for_temporary_files_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    aftermath = Aftermath("it")
    own.rmdir()  # by its name, and empty: never what gettempdir() says, which may be everybody's
    with pytest.raises(SetupError, match=f"^it removed the directory for temporary files, {own}$"):
        aftermath.mended()


def test_no_directory_for_temporary_files_to_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/x']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(SetupError, match="there is no directory for temporary files: No usable"):
        Aftermath("it")


def test_a_child_that_goes_on_as_if_it_were_the_program_is_ended() -> None:
    def work() -> bytes:
        aftermath = Aftermath("it")
        child = os.fork()
        aftermath.mended()
        return str(os.waitpid(child, 0)[1]).encode()

    ended = in_child(work, 30)
    assert (ended.report, ended.printed) == (
        b"0",
        "it forked, and the child went on as if it were the program: it was ended",
    )
