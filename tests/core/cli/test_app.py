from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import Result

import treaty
from treaty.cli import call

Run = Callable[..., Result]
COMMANDS = ["serve", "call", "ping", "describe", "watch", "keygen", "demo"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_examples_and_exit_codes(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"treaty {command}" in result.stdout.partition("Examples")[2]
    assert "130  interrupted by Ctrl-C" in result.stdout


def test_the_help_lists_every_command(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(f" {command} " in result.stdout for command in COMMANDS)


def test_the_version(run: Run) -> None:
    assert run("--version").stdout == f"treaty {treaty.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("cook",),
        ("call", "kitchen.echo", "--bogus"),
        ("call",),
        ("ping", "kitchen", "--count", "0"),
        ("call", "kitchen.echo", "--timeout", "-1"),
        ("demo", "--only", "pigeons"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(kitchen: object, run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("usage: ")
    assert result.stderr.count("\n") == 1
    assert "--help" in result.stderr


def test_something_unforeseen_is_one_line_and_no_traceback(
    kitchen: object, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(call, "Client", explode)
    result = run("call", "kitchen.echo")
    assert (result.exit_code, result.stderr) == (70, "ZeroDivisionError: surprise\n")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_libraries_it_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from treaty.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 2
    assert done.stderr == f"treaty: the command line needs {missing}: pip install 'treaty[cli]'\n"


def test_ctrl_c_while_it_is_loaded_is_no_traceback() -> None:
    code = """
import sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
from treaty.cli import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("arguments", [("keygen",), ("--help",), ("check", "--help")])
@pytest.mark.parametrize("module", ["msgspec", "treaty.client", "treaty.cli.app", "rich", "treaty.cli.demo"])
def test_a_signal_at_any_import_ends_it_quietly(module: str, arguments: tuple[str, ...]) -> None:
    code = f"""
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except BaseException:
                pass  # as an import may do that has a fallback

sys.meta_path.insert(0, Interrupts())
from treaty.cli import main
sys.exit(main())
"""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_signal_that_is_ignored_stays_so() -> None:
    code = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["treaty", "--version"]
from treaty.cli import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
