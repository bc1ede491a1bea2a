"""The files that ``treaty check`` writes: reports, JUnit, a badge, scripts. Each is opened before anything is run.

It must not know sessions, nor what stands in the files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from treaty_contracts.badge import BadgeRefused, badge
from treaty_contracts.junit import junit
from treaty_contracts.report import Report, Writer
from treaty_contracts.script import steps
from treaty_contracts.target import SetupError
from treaty_contracts.verdict import Outcome

_PLAIN: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class Files:
    """Writes what was asked for.

    Args:
        json: the reports.
        junit: for continuous integration.
        badge: for a badge of the shields kind.
        scripts: a directory for the programs of failures.
        baseline: is only read, and must be none of the others.

    Raises:
        SetupError: one of them cannot be written, now or later, or two are the same.
    """

    def __init__(
        self,
        json: Path | None,
        junit: Path | None,
        badge: Path | None,
        scripts: Path | None,
        baseline: Path | None = None,
    ) -> None:
        differ({"--baseline": baseline, "--json": json, "--junit": junit, "--badge": badge, "--scripts": scripts})
        self._junit, self._badge, self._scripts = junit, badge, scripts
        self._names: dict[str, str] = {}
        self._report = json
        self._json: IO[bytes] | None = None
        if scripts is not None:
            with _written(scripts):
                scripts.mkdir(parents=True, exist_ok=True)
        for path in filter(None, (junit, badge)):
            with _written(path):
                _try(path)
        if json is not None:
            with _written(json):
                self._json = json.open("wb")

    def write(self, line: Any) -> None:
        """Write one line of a report, at once."""
        if self._json is not None and self._report is not None:
            with _written(self._report):
                Writer(self._json).write(line)

    def script(self, outcome: Outcome) -> str:
        """Write the program of a failure, and return what to tell about it; nothing if there is none."""
        program = outcome.violation.script if outcome.violation else ""
        if not program:
            return ""
        if self._scripts is None:
            done = steps(program).strip()
            return "\n".join(
                [
                    "  script (--scripts DIRECTORY writes all of it):",
                    *(f"    {line}".rstrip() for line in done.splitlines()),
                ]
            )
        path = self._scripts / f"{self._plain(outcome.target)}-{outcome.rule}.py"
        with _written(path):
            path.write_text(program, "utf-8")
        # From where the command was started, where it found the target, too.
        return f"  script: PYTHONPATH=. python {shlex.quote(str(path))}"

    def _plain(self, target: str) -> str:
        """Return the name of a target as part of a file's, different from that of any other one."""
        name = _PLAIN.sub("-", target)
        while self._names.setdefault(name, target) != target:
            name += "_"
        return name

    def end(self, reports: Sequence[Report]) -> list[str]:
        """Write what is written at the end, and return what there is to say about it."""
        if self._junit is not None:
            with _written(self._junit):
                self._junit.write_text(junit(reports), "utf-8")
        if self._badge is None:
            return []
        with _written(self._badge):
            try:
                self._badge.write_text(badge(reports), "utf-8")
            except BadgeRefused as refused:
                # What an earlier run earned is not true any more.
                if self._badge.is_file():
                    self._badge.unlink()
                return [f"no badge was written: {refused}"]
        return []

    def close(self) -> None:
        """Close the report: what is not finished now stays so."""
        if self._json is not None:
            # What could not be written was said when it was written.
            with suppress(OSError):
                self._json.close()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into one error that names it."""
    try:
        yield
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror or error}") from error


def differ(paths: Mapping[str, Path | None]) -> None:
    """See that no two options name one file; what is no file, such as ``/dev/null``, may be named by several.

    Args:
        paths: what each option names, by the option.

    Raises:
        SetupError: two of them are the same, by whatever path, or one is ``-``.
    """
    options: dict[Path, str] = {}
    for option, path in paths.items():
        if str(path) == "-":
            raise SetupError(f"{option} cannot be '-', as for standard output: give it a path")
        if path is None or (path.exists() and not (path.is_file() or path.is_dir())):
            continue
        other = options.setdefault(path.resolve(), option)
        if other != option:
            raise SetupError(f"{other} and {option} are the same file, {path}: give each its own")


def _try(path: Path) -> None:
    """Find out whether a file can be written, and leave it as it is."""
    there = path.exists()
    path.open("a").close()
    if not there:
        path.unlink()
