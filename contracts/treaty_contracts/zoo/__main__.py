"""``python -m treaty_contracts.zoo``: runs the census in processes of its own, and writes the matrix.

It must not know any animal or rule in particular.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TextIO

from treaty_contracts.zoo.animals import on_the_way
from treaty_contracts.zoo.census import Found, census, census_at, inhabitants, settle_in
from treaty_contracts.zoo.matrix import rendered
from treaty_contracts.zoo.rates import RATES, measured, read_rates, write_rates

#: After how many inhabitants a process makes room for a new one: what a broken one leaves behind goes with it.
_TURNS = 8


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> int:
    """Run the command and return its exit code: 1 when any set of failing rules is not the declared one."""
    options = _parser().parse_args(arguments)
    known, judge = inhabitants(), census
    if options.on:
        known, judge = list(on_the_way()), partial(census_at, spec=options.on)
    unknown = sorted(set(options.only or ()) - set(known))
    if unknown:
        sys.stderr.write(f"nobody in the zoo is called {', '.join(unknown)}\n")
        return 2
    if options.rates:
        write_rates(
            measured(options.seeds, options.jobs, lambda line: print(line, file=out, flush=True)), options.rates
        )
    surprising = 0
    for number in range(1, options.runs + 1):
        surprising += _one_run(options.only or known, judge, options.jobs, f"run {number} of {options.runs}", out)
    if options.write:
        rates = read_rates(options.write.with_name(RATES))
        options.write.write_text(rendered(rates), "utf-8")
        print(f"{options.write} is written", file=out)
    return 1 if surprising else 0


def _one_run(names: Sequence[str], judge: Callable[[str], Found], jobs: int, label: str, out: TextIO) -> int:
    """Return on how many inhabitants something was not as declared."""
    began, surprising = time.monotonic(), 0
    for done, found in enumerate(_all(names, judge, jobs), 1):
        surprising += bool(found.surprises)
        state = "NOT AS DECLARED" if found.surprises else f"{len(found.failed)} fail" if found.failed else "passes all"
        print(f"{label}: {done:>3}/{len(names)} {found.name:<32} {found.seconds:5.1f} s  {state}", file=out, flush=True)
        for line in found.surprises:
            print("    " + line.replace("\n", "\n    "), file=out, flush=True)
    verdict = f"{surprising} not as declared" if surprising else "all as declared"
    print(f"{label}: {len(names)} inhabitants, {verdict}, {time.monotonic() - began:.0f} s", file=out, flush=True)
    return surprising


def _all(names: Sequence[str], judge: Callable[[str], Found], jobs: int) -> Iterator[Found]:
    with get_context("spawn").Pool(jobs, initializer=settle_in, maxtasksperchild=_TURNS) as pool:
        yield from pool.imap_unordered(judge, names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m treaty_contracts.zoo", description="Test the rules themselves.")
    parser.add_argument("--runs", type=int, default=1, help="how many times to run everything")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this one; may be given several times")
    parser.add_argument(
        "--on", metavar="SPEC", help="run those that are broken on the way between processes, on a target with hooks"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many processes run at once")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the matrix of what is declared, as Markdown")
    parser.add_argument("--rates", type=Path, metavar="FILE", help="measure the stochastic rules first, and write JSON")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds make a rate")
    return parser


if __name__ == "__main__":
    sys.exit(main())
