"""What the project says of itself is so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import treaty

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRIES = {
    **{f"treaty.transports:{name}": value for name, value in PROJECT["entry-points"]["treaty.transports"].items()},
    **{f"scripts:{name}": value for name, value in PROJECT["scripts"].items()},
}


def test_the_changelog_has_an_entry_for_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?{re.escape(treaty.__version__)}\]?\b", changelog, re.MULTILINE)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_point_leads_somewhere(name: str) -> None:
    module, _, attribute = ENTRIES[name].partition(":")
    assert callable(getattr(import_module(module), attribute))


@pytest.mark.parametrize("name", PROJECT["entry-points"]["treaty.commands"])
def test_every_command_is_a_module_with_a_function_and_examples(name: str) -> None:
    module = import_module(PROJECT["entry-points"]["treaty.commands"][name].partition(" ")[0])
    assert callable(getattr(module, name))
    assert f"treaty {name}" in module.EXAMPLES


def test_every_scheme_has_its_extra_or_needs_none() -> None:
    for scheme in PROJECT["entry-points"]["treaty.transports"]:
        assert scheme == "memory" or scheme.partition("+")[0] in PROJECT["optional-dependencies"]


def test_the_core_needs_msgspec_and_nothing_else() -> None:
    assert [re.split(r"\W", need)[0] for need in PROJECT["dependencies"]] == ["msgspec"]


def test_every_package_is_typed() -> None:
    packages = [
        path.parent for root in ("core", "transports", "contracts") for path in (ROOT / root).glob("*/__init__.py")
    ]
    assert packages and all((package / "py.typed").exists() for package in packages)


@pytest.mark.parametrize(
    ("adapter", "url"),
    [
        ("treaty_memory", "memory://vendored"),
        ("treaty_zmq", "zmq+inproc://vendored"),
        ("treaty_kombu", "kombu+memory://v"),
    ],
)
def test_an_adapter_is_vendored_by_copying_its_folder(adapter: str, url: str, tmp_path: Path) -> None:
    """Deep in a stranger's tree and under another name, the copied folder carries a call, and not the installed one."""
    site = tmp_path / "site"
    vendored = site / "their_app"
    shutil.copytree(ROOT / "transports" / adapter, vendored / "carrier", ignore=shutil.ignore_patterns("__pycache__"))
    (vendored / "__init__.py").write_text("")
    core = tmp_path / "core"
    shutil.copytree(ROOT / "core", core, ignore=shutil.ignore_patterns("__pycache__"))
    program = f"""
import sys
sys.path[:0] = [{str(site)!r}, {str(core)!r}]
from their_app import carrier
from treaty import Client, Service
SECRET = "an example of a secret, long enough"

class Slow(Service):
    name = "slow"

    def on_echo(self, message, text):
        return text

transport = carrier.connect({url!r})
assert type(transport).__module__.startswith("their_app.carrier"), type(transport).__module__
assert {adapter!r} not in sys.modules
with Slow(transport, secret=SECRET), Client(transport, secret=SECRET) as client:
    print(client.call("slow.echo", ["hi"]))
transport.close()
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False, env=environment
    )
    assert (done.stdout, done.returncode) == ("hi\n", 0), done.stderr
