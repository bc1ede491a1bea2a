"""The arrows between the rooms, read from the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from tests.each import each

import treaty

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "treaty"
TRANSPORTS = ROOT / "transports"
CONTRACTS = ROOT / "contracts"

#: The rooms of the core, each row above the next: a room may import only what stands above it.
PURE = [
    "errors",
    "messages",
    "converting",
    "values",
    "codec",
    "schema",
    "sealing",
    "transport",
    "registry",
    "routing",
    "ledger",
    "guard",
    "engine",
    "notices",
]
DRIVERS = [
    "logs", "signals", "children", "driving", "closing", "coroutines", "landing", "places", "statuses", "pending", "reading", "switchboard", "subscription", "client", "incoming", "job", "reception", "writing", "serving", "service",
]  # fmt: skip
ORDER = [*PURE, *DRIVERS]
#: Rooms that stand below the public names, and may use them as everybody does.
ON_TOP = {"__init__", "__main__", "cli", "storage"}
#: Inside storage: those that must not know threads, clocks or sockets, and those that may know a database.
STORAGE = CORE / "storage"
PURE_STORAGE = [
    "errors",
    "records",
    "documents",
    "keys",
    "fields",
    "models",
    "planning",
    "lineage",
    "progress",
    "store",
    "follower",
    "asks",
]
SQL = {"sql", "tables", "engines", "causes", "checks"}
#: Inside the engine.
ENGINE = ["instant", "caller", "answerer", "__init__"]

CLOCKS_AND_SOCKETS = {
    "socket",
    "time",
    "threading",
    "asyncio",
    "select",
    "selectors",
    "queue",
    "concurrent",
    "subprocess",
}
#: The one foreign library of each adapter, with what belongs to it.
FOREIGN = {
    "treaty_memory": set[str](),
    "treaty_zmq": {"zmq"},
    "treaty_kombu": {"kombu", "amqp", "redis", "fakeredis", "vine"},
}
CONTRACTS_MAY_IMPORT = {"treaty", "treaty_contracts", "pytest", "_pytest", "hypothesis", "msgspec", "packaging"}
#: What its commands stand on besides.
COMMANDS_MAY_IMPORT = {"typer", "rich"}


def python_files(*roots: Path) -> list[Path]:
    return sorted(chain.from_iterable(root.rglob("*.py") for root in roots if root.exists()))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _of_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not _of_types_only(child):
            yield child
            yield from _walk(child)


@cache
def imports(path: Path) -> list[str]:
    """The modules that a file imports when it runs: ``a.b`` for ``import a.b`` and for ``from a.b import c``."""
    found = []
    for node in _walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(_absolute(node, path))
    return found


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    # An adapter names its own modules from where it stands, so that a copy of its folder works anywhere.
    adapter = path.relative_to(ROOT / "transports").parts[0]
    assert node.level == 1 and path.parent.name == adapter, f"{path}: a relative import out of its folder"
    return f"{adapter}.{node.module or ''}".rstrip(".")


def imported_names(path: Path, module: str) -> set[str]:
    nodes = (node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module == module)
    return {alias.name for node in nodes for alias in node.names}


def room(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def foreign(path: Path) -> set[str]:
    """The top-level packages outside the standard library that a file imports."""
    return {name.partition(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


CORE_FILES = [path for path in python_files(CORE) if room(path) not in ON_TOP]


def test_every_room_of_the_core_has_its_place_in_the_order() -> None:
    assert {room(path) for path in CORE_FILES} == set(ORDER)


@each(CORE_FILES, named)
def test_a_room_imports_only_what_stands_above_it(path: Path) -> None:
    here = room(path)
    above = ORDER[: ORDER.index(here)]
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "treaty":
            there = rest.partition(".")[0]
            assert there == here or there in above, f"{here} imports {there or 'the public names'}"


@each(python_files(CORE / "engine"), named)
def test_the_two_pumps_do_not_know_each_other(path: Path) -> None:
    above = ENGINE[: ENGINE.index(path.stem)]
    inside = {name.removeprefix("treaty.engine.") for name in imports(path) if name.startswith("treaty.engine.")}
    assert inside <= set(above)
    assert path.stem == "__init__" or not inside & {"caller", "answerer"}


@each([path for path in CORE_FILES if room(path) in PURE], named)
def test_the_pure_rooms_know_no_clock_thread_or_socket(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path)} & CLOCKS_AND_SOCKETS


@each(CORE_FILES, named)
def test_the_core_stands_on_the_standard_library_and_msgspec(path: Path) -> None:
    assert foreign(path) <= {"treaty", "msgspec"}


@each(python_files(STORAGE), named)
def test_storage_uses_the_public_names_as_everybody_does(path: Path) -> None:
    inside = [name for name in imports(path) if name.startswith("treaty.")]
    assert not [name for name in inside if not (name + ".").startswith("treaty.storage.")]
    assert imported_names(path, "treaty") <= set(treaty.__all__)
    assert foreign(path) <= {"treaty", "msgspec", *(["sqlalchemy"] if path.stem in SQL else [])}


@pytest.mark.parametrize("name", PURE_STORAGE)
def test_the_pure_rooms_of_storage_know_no_clock_thread_or_socket(name: str) -> None:
    within = {imported.removeprefix("treaty.storage.") for imported in imports(STORAGE / f"{name}.py")}
    assert not {imported.partition(".")[0] for imported in within} & CLOCKS_AND_SOCKETS
    assert {imported for imported in within if (STORAGE / f"{imported}.py").exists()} <= set(PURE_STORAGE)


def test_sql_is_loaded_only_where_a_store_is_made() -> None:
    """Importing storage needs msgspec and nothing else: nobody imports the room at the top of a file."""
    for path in python_files(STORAGE):
        top = {node.module for node in tree(path).body if isinstance(node, ast.ImportFrom)}
        assert path.stem in SQL or not top & {f"treaty.storage.{name}" for name in SQL}, path


@each(CORE_FILES, named)
def test_the_core_does_not_know_storage(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith("treaty.storage")]


@each(python_files(TRANSPORTS), named)
def test_an_adapter_imports_public_names_and_one_library(path: Path) -> None:
    package = path.relative_to(TRANSPORTS).parts[0]
    suite = {"treaty_contracts"} if path.stem == "contract" else set()
    assert foreign(path) <= {"treaty", package, *FOREIGN[package], *suite}
    # What runs the contract is loaded by whoever runs it, and by no other module.
    assert path.stem == "contract" or f"{package}.contract" not in imports(path)
    assert not [name for name in imports(path) if name.startswith("treaty.")]
    assert imported_names(path, "treaty") <= set(treaty.__all__)


@each(python_files(CONTRACTS), named)
def test_the_contract_knows_the_core_and_no_adapter(path: Path) -> None:
    commands = path.is_relative_to(CONTRACTS / "treaty_contracts" / "cli")
    assert foreign(path) <= CONTRACTS_MAY_IMPORT | (COMMANDS_MAY_IMPORT if commands else set())
    assert commands or not [name for name in imports(path) if name.startswith("treaty.cli")]
    assert imported_names(path, "treaty") <= set(treaty.__all__)


def test_importing_the_core_loads_no_adapter_and_no_foreign_library() -> None:
    loaded = {
        name
        for path in python_files(CORE)
        if room(path) not in {"__main__", "cli"}
        for name in foreign(path)
        if path.parent != STORAGE or path.stem not in SQL
    }
    assert loaded <= {"treaty", "msgspec"}


@each(python_files(CORE, TRANSPORTS, CONTRACTS), named)
def test_nothing_that_can_run_foreign_code_is_used(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path)} & {
        "pickle",
        "marshal",
        "shelve",
        "dill",
        "cloudpickle",
    }
    called = {
        node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "__import__"}


def _sleeps(path: Path) -> list[int]:
    """Lines that sleep, whatever ``time`` is called there."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in {a.name for a in node.names}:
            found.append(node.lineno)
        if (
            isinstance(node, ast.Attribute)
            and node.attr == "sleep"
            and isinstance(node.value, ast.Name)
            and node.value.id == "time"
        ):
            found.append(node.lineno)
    return found


@each(python_files(CORE, ROOT / "tests" / "core", ROOT / "tests" / "laws"), named)
def test_nobody_sleeps(path: Path) -> None:
    assert not _sleeps(path)
