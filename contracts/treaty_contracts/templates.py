"""What ``treaty init`` writes: a target, a baseline, a test file and a workflow, as text.

This room must not touch files.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
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
      - run: treaty matrix report.json --html report.html
        if: always()
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: contract
          path: |
            report.*
            badge.json
"""
_BASELINE_NAME: Final = "contract-baseline.toml"
_TEST_NAME: Final = "test_contract.py"
_WORKFLOW_NAME: Final = ".github/workflows/contract.yml"


def written(package: str, factory: str) -> dict[str, str]:
    """Return the files by name.

    Args:
        package: the importable package of the transport.
        factory: the function in it that takes a URL and returns a transport.
    """
    module = module_of(package)
    target = _TARGET.format(
        package=package,
        module=module,
        factory=factory,
        scheme=scheme(package),
        name=package.rpartition(".")[2].removeprefix("treaty_"),
    )
    return {
        f"{module}.py": target,
        _BASELINE_NAME: _BASELINE,
        _TEST_NAME: _TEST.format(module=module, test=_TEST_NAME, baseline=_BASELINE_NAME),
        _WORKFLOW_NAME: _WORKFLOW.format(module=module, baseline=_BASELINE_NAME),
    }


def about(file: str, text: str, package: str) -> bool:
    """Whether a file that is there already is about the target of this package, as far as its text tells.

    Args:
        file: one of the names that :func:`written` gives.
        text: what stands in it.
        package: the importable package of the transport.
    """
    naming = {_TEST_NAME, _WORKFLOW_NAME}
    return file not in naming or re.search(rf"\b{re.escape(module_of(package))}\b", text) is not None


def module_of(package: str) -> str:
    """Return the name of the module in which the target of a package stands."""
    return f"{package.replace('.', '_')}_contract"


def scheme(package: str) -> str:
    """Return the scheme of the URLs of a package: what it has announced, else what its name suggests."""
    for entry in entry_points(group="treaty.transports"):
        if entry.value.partition(":")[0].split(".")[0] == package.split(".")[0]:
            return entry.name
    return package.rpartition(".")[2].removeprefix("treaty_").replace("_", "-")
