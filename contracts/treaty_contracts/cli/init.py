"""``treaty init``: the files with which a transport of one's own plugs in. What is there already is left alone.

It must not know what stands in the files.
"""

from __future__ import annotations

import shlex
from errno import EISDIR
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from treaty import ConfigurationError
from treaty.cli.screen import out
from treaty_contracts.cli.exits import READING
from treaty_contracts.templates import about, module_of, written

EXAMPLES: Final = """\
treaty init my_package
treaty init my_package:make_transport --directory contract"""
#: Our own exit codes, for the help.
EXITS: Final = READING


def init(
    package: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE[:FUNCTION]",
            help="Where your transport is: the function takes a URL and returns it; 'connect' unless you say otherwise.",
            show_default=False,
        ),
    ],
    *,
    directory: Annotated[Path, typer.Option("--directory", "-d", help="Where to.")] = Path(),
) -> None:
    """Write a target, a baseline, a test file and a workflow for a transport of yours.

    Nothing is ever overwritten.
    """
    name, colon, factory = package.partition(":")
    if not all(map(_is_name, name.split("."))) or (colon and not _is_name(factory)):
        raise typer.BadParameter(f"{package!r} names no package: write 'my_package' or 'my_package:function'")
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"{directory} is no directory: name one with --directory, or one that is to be made")
    console = out()
    made, foreign = 0, list[str]()
    for file, text in written(name, factory or "connect", directory).items():
        path = Path(file)
        if _write(path, text):
            made += 1
            console.print(Text.assemble(("written  ", "green"), str(path)), soft_wrap=True)
            continue
        mine = about(file, path.read_text("utf-8", "replace"), name) if path.is_file() else True
        foreign += [str(path)] * (not mine)
        whose = "it is there already" if mine else f"it is there already, and is not about {module_of(name)}"
        console.print(Text.assemble(("kept     ", "yellow"), f"{path}: {whose}"), soft_wrap=True)
    console.print()
    console.print(Text("What to do next", "bold"))
    for number, step in enumerate(_steps(package, directory, foreign), 1):
        console.print(Text(f"  {number}. {step}"), soft_wrap=True)
    if not made:
        console.print(Text("\nEverything was there already."))


def _steps(package: str, directory: Path, foreign: list[str]) -> list[str]:
    """Say what to do next.

    Args:
        package: what was asked for.
        directory: where the files are.
        foreign: the files there that belong to another target.
    """
    module = module_of(package.partition(":")[0])
    where = f"cd {shlex.quote(str(directory))} && " if directory != Path() else ""
    own = shlex.quote(str(directory / module))
    test = (
        f"{', '.join(foreign)} belong{'s' * (len(foreign) == 1)} to another target, as does the baseline: "
        f"run treaty init {package} --directory {own} for files of its own, or name {module} in there as well"
        if foreign
        else f"{where}pytest test_contract.py"
    )
    return [
        f"look at open_end in {directory / (module + '.py')}: does it open your transport?",
        f"{where}treaty check {module}:target",
        test,
        "mend what fails; what has to wait goes into contract-baseline.toml, with a reason, a link and a date",
    ]


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there yet, and return whether that was so."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a directory")
        if path.exists():
            return False
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return True


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)
