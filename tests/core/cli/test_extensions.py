from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import Result

from treaty.cli import extensions

Run = Callable[..., Result]
MODULE = """\
EXAMPLES = "treaty wave --twice"
EXITS = {0: "it waved", 9: "it was told nonsense"}
USAGE = 9

def wave(*, twice: bool = False) -> None:
    "Wave."
    print("wave " * (1 + twice))
"""


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a command called wave, whose module has this text."""

    def install(text: str) -> None:
        (tmp_path / "waving.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "waving", raising=False)
        entry = EntryPoint("wave", "waving [arms]", "treaty.commands")
        monkeypatch.setattr(extensions, "entry_points", lambda **_: [entry])

    return install


def test_a_command_from_elsewhere_is_one_of_ours(brought: Callable[[str], None], run: Run) -> None:
    brought(MODULE)
    assert run("wave", "--twice").stdout == "wave wave \n"
    assert " wave " in run("--help").stdout
    text = run("wave", "--help").stdout
    assert "treaty wave --twice" in text and "  9  it was told nonsense" in text


def test_it_says_how_wrong_usage_ends(brought: Callable[[str], None], run: Run) -> None:
    brought(MODULE)
    result = run("wave", "--bogus")
    assert result.exit_code == 9
    assert "(see 'treaty wave --help')" in result.stderr
    brought(MODULE.replace("USAGE = 9", ""))
    assert run("wave", "--bogus").exit_code == 2


def test_without_its_libraries_it_says_what_to_install(brought: Callable[[str], None], run: Run) -> None:
    brought("import no_such_library")
    result = run("wave", "anything", "--at", "all")
    assert result.exit_code == 2
    assert "the command 'wave' needs no_such_library: " in result.stderr
    assert "[arms]'" in result.stderr or "install what" in result.stderr
    assert "Not available" in run("--help").stdout


def test_one_that_is_broken_harms_no_other(brought: Callable[[str], None], run: Run) -> None:
    brought("1 / 0")
    assert "cannot be loaded: ZeroDivisionError" in run("wave").stderr
    assert run("keygen").exit_code == 0


def test_our_own_commands_load_none_of_them() -> None:
    code = (
        "import sys; from treaty.cli.app import app; from typer.testing import CliRunner;"
        "assert CliRunner().invoke(app, ['call', '--help']).exit_code == 0;"
        "print([name for name in ('pytest', 'hypothesis', 'treaty_contracts') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout == "[]\n", done.stderr


def test_without_the_extra_check_says_what_to_install() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; sys.argv = ['treaty', 'check', 'x:y']; from treaty.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "pip install 'treaty[contracts]'" in done.stderr
