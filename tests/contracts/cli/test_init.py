"""``treaty init``: the files work at once, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from treaty.cli.app import app
from treaty_contracts.baseline import read
from treaty_contracts.templates import scheme

STUB = """\
import treaty_memory

def connect(url):
    scheme, _, name = url.partition("://")
    assert scheme == "{scheme}", url
    return treaty_memory.connect(f"memory://{{name}}")
"""


FOREIGN = ["test_contract.py", ".github/workflows/contract.yml"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments], prog_name="treaty")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name = f"stub_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{name}.py").write_text(STUB.format(scheme=name.replace("_", "-")))
    return name


def test_the_files_work_at_once(package: str) -> None:
    result = run(package)
    assert result.exit_code == 0, result.output
    assert f"treaty check {package}_contract:target" in result.stdout
    assert read("contract-baseline.toml") == ()
    check = [sys.executable, "-m", "treaty.cli", "check", f"{package}_contract:target", "--rule", "SETUP-003"]
    done = subprocess.run(
        [*check, "--baseline", "contract-baseline.toml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4, done.stdout + done.stderr
    item = "test_contract.py::test_contract[SETUP-003]"
    pytest_run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", item]
    done = subprocess.run(pytest_run, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in done.stdout, done.stdout


def test_nothing_is_overwritten(package: str) -> None:
    Path("test_contract.py").write_text("mine")
    result = run(package)
    assert "kept     test_contract.py: it is there already" in result.stdout
    assert Path("test_contract.py").read_text() == "mine"
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert "Everything was there already" in run(package).stdout
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_second_package_is_told_whose_files_are_kept(package: str) -> None:
    assert run("other").exit_code == 0
    result = run(package)
    module = f"{package}_contract"
    kept = (f"kept     {file}: it is there already, and is not about {module}" for file in FOREIGN)
    assert all(line in result.stdout for line in kept), result.stdout
    assert "kept     contract-baseline.toml: it is there already\n" in result.stdout
    assert "pytest test_contract.py" not in result.stdout
    assert f"{', '.join(FOREIGN)} belong to another target" in result.stdout
    assert f"run treaty init {package} --directory {module} for files of its own" in result.stdout
    again = run(package, "--directory", module)
    assert "kept" not in again.stdout and f"cd {module} && pytest test_contract.py" in again.stdout
    assert "pytest test_contract.py" in run("other").stdout


def test_a_file_is_no_directory(package: str) -> None:
    Path("file").write_text("mine")
    result = run(package, "-d", "file")
    assert result.exit_code == 2
    assert "file is no directory" in result.stderr and not result.stdout
    Path(".github").write_text("mine")
    result = run(package)
    assert result.exit_code == 2 and ".github/workflows/contract.yml cannot be written" in result.stderr


def test_a_directory_is_no_file(package: str) -> None:
    Path(f"{package}_contract.py").mkdir()
    result = run(package)
    assert result.exit_code == 2, result.output
    assert f"{package}_contract.py cannot be written: it is a directory" in result.stderr
    assert "kept" not in result.stdout


def test_the_workflow_keeps_the_badge(package: str) -> None:
    run(package)
    text = Path(".github/workflows/contract.yml").read_text()
    assert "path: |\n            report.*\n            badge.json\n" in text
    assert text.count('working-directory: "."\n') == 2


def test_elsewhere_and_another_function(package: str) -> None:
    assert run(f"{package}:make", "--directory", "a b").exit_code == 0
    text = (Path("a b") / f"{package}_contract.py").read_text()
    assert f"{package}.make(" in text
    compile(text, "target", "exec")


def test_the_workflow_is_where_workflows_are_read(package: str, tmp_path: Path) -> None:
    assert run(package, "--directory", "conformance/mine").exit_code == 0
    assert not (Path("conformance/mine") / ".github").exists()
    text = Path(".github/workflows/mine.yml").read_text()
    assert text.count('working-directory: "conformance/mine"\n') == 2
    assert "path: |\n            conformance/mine/report.*\n            conformance/mine/badge.json\n" in text
    elsewhere = tmp_path / "elsewhere"
    assert run(package, "--directory", str(elsewhere)).exit_code == 0
    assert 'working-directory: "."\n' in (elsewhere / ".github/workflows/contract.yml").read_text()


def test_the_scheme_is_what_the_package_has_announced() -> None:
    assert scheme("treaty_memory") == "memory"
    assert scheme("treaty_carrier_pigeon") == "carrier-pigeon"


@pytest.mark.parametrize("name", ["", "my-package", "a:b:c", "a:", "../x", "class", "my.class", "a:def"])
def test_what_is_no_package(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(name)
    assert result.exit_code == 2 and "names no package" in result.stderr
    assert not list(tmp_path.iterdir())
