"""What ``treaty init`` writes: a target, a baseline, a test file and a workflow, as text.

This room must not touch files.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from pathlib import PurePath
from typing import Final

_TARGET: Final = '''\
"""The transport of {package} as the Treaty contract opens it: ``treaty check {module}:target``."""

import {package}
from treaty import Transport
from treaty_contracts import Context, Target


def open_end(context: Context) -> Transport:
    """Open one end. This is called once for each end, also in forked children.

    Two ends with one namespace must meet, and those of two must never: make it part of the address.
    """
    return {package}.{factory}(f"{scheme}://{{context.namespace}}")


target = Target(
    name="{name}",
    open=open_end,
    # A slow machine or a distant broker: multiply all times of the suite.
    # time_scale=2.0,
    # Namespaces share no port and no file: rules may run side by side, and the whole takes less time.
    # parallel=True,
    # Without these hooks the rules that need them are UNVERIFIED, and the word conformant is not given:
    # tap=..., inject=..., restart_peer=..., cut_link=...
    # What they are: python -c "import treaty_contracts; help(treaty_contracts.Target)"
)
'''
_BASELINE: Final = """\
# Failures that are known. A rule that is listed here and passes, or whose entry has expired, is an error.
# No patterns: one entry for one rule.
#
# [[known]]
# rule = "CALL-003"
# reason = "answers swap when two calls are open on one socket"
# link = "https://example.org/issues/17"
# expires = 2030-01-31
"""
_TEST: Final = '''\
"""One item for each rule of the contract: ``pytest {test}``."""

from pathlib import Path

from {module} import target
from treaty_contracts import contract

test_contract = contract(target, baseline=Path(__file__).with_name("{baseline}"))
'''
_WORKFLOW: Final = """\
# A badge can be made of badge.json: https://shields.io/badges/endpoint-badge
name: contract
on: [push, pull_request]
jobs:
  contract:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install . 'treaty[contracts]'
      - run: >-
          treaty check {module}:target --baseline {baseline}
          --json report.json --junit report.xml --badge badge.json
        working-directory: {where}
      - run: treaty matrix report.json --html report.html
        working-directory: {where}
        if: always()
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: contract
          path: |
            {below}report.*
            {below}badge.json
"""
_BASELINE_NAME: Final = "contract-baseline.toml"
_TEST_NAME: Final = "test_contract.py"
_WORKFLOWS: Final = PurePath(".github/workflows")


def written(package: str, factory: str, directory: PurePath) -> dict[PurePath, str]:
    """Return the files by path, from where the command is run.

    Args:
        package: the importable package of the transport.
        factory: the function in it that takes a URL and returns a transport.
        directory: where to; only the workflow stays above it if it can, as workflows are read at the top of a
            repository, and nowhere else.
    """
    inside = not directory.is_absolute() and ".." not in directory.parts
    top, below = (PurePath(), directory) if inside else (directory, PurePath())
    workflow = _WORKFLOW.format(
        module=module_of(package),
        baseline=_BASELINE_NAME,
        where=json.dumps(below.as_posix()),
        below="" if below == PurePath() else f"{below.as_posix()}/",
    )
    module = module_of(package)
    target = _TARGET.format(
        package=package,
        module=module,
        factory=factory,
        scheme=scheme(package),
        name=package.rpartition(".")[2].removeprefix("treaty_"),
    )
    return {
        directory / f"{module}.py": target,
        directory / _BASELINE_NAME: _BASELINE,
        directory / _TEST_NAME: _TEST.format(module=module, test=_TEST_NAME, baseline=_BASELINE_NAME),
        top / _WORKFLOWS / f"{below.name or 'contract'}.yml": workflow,
    }


def about(file: PurePath, text: str, package: str) -> bool:
    """Whether a file that is there already is about the target of this package, as far as its text tells.

    Args:
        file: one of the paths that :func:`written` gives.
        text: what stands in it.
        package: the importable package of the transport.
    """
    naming = file.name == _TEST_NAME or file.suffix == ".yml"
    return not naming or re.search(rf"\b{re.escape(module_of(package))}\b", text) is not None


def module_of(package: str) -> str:
    """Return the name of the module in which the target of a package stands."""
    return f"{package.replace('.', '_')}_contract"


def scheme(package: str) -> str:
    """Return the scheme of the URLs of a package: what it has announced, else what its name suggests."""
    for entry in entry_points(group="treaty.transports"):
        if entry.value.partition(":")[0].split(".")[0] == package.split(".")[0]:
            return entry.name
    return package.rpartition(".")[2].removeprefix("treaty_").replace("_", "-")
