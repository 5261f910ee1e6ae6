"""Imports point one way: read from all sources, imports inside functions and for types included."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("losses", "models", "benchmarks")
LAYERS = (
    ("cli",),
    ("commands",),
    ("evidence", "speed"),
    ("curves",),
    ("report",),
    ("training",),
    ("data",),
    ("records",),
    ("plots",),
    ("stats",),
    ("console",),
    ("subcommands",),
    ("config",),
    ("presets",),
    ("format",),
    ("errors",),
)
"""The rooms of benchmarks from top to bottom. A room imports itself and the rooms below."""
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
PARTS_OF_CLI = ("cli_errors", "cli_help")
"""Modules beside `cli` that belong to it."""
ENTRANCES = ("cli",)
"""Rooms whose functions import what a command needs, so that --help does without torch."""
HEAVY = {"matplotlib", "scipy", "tensorboard", "torchvision"}
"""Libraries that take so long to import that functions do it."""
OPTIONAL = {"ray", "pyarrow", "triton", "lightning", "liger_kernel", "fcntl", "msvcrt"}
"""Libraries that are not everywhere."""
NEEDS_OPTIONAL = {"benchmarks.training.executors.ray"}
"""Modules that import such a library."""
KNOWN = frozenset[str]({})
"""Imports that are still to be mended. Empty it."""


class Import(NamedTuple):
    """One import of one module.

    Attributes:
        source: the importing module, without `lossbench.`.
        target: the imported module; one of the project without `lossbench.`.
        in_function: whether a function imports it.
    """

    source: str
    target: str
    in_function: bool

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


def source_files() -> dict[str, Path]:
    """Return the file of every module of the project by its name without `lossbench.`."""
    files = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


FILES = source_files()
FILES_OF_PROJECT = {*FILES.values(), *(ROOT / "src" / "lossbench").glob("*.py")}


def read_imports(name: str, text: str, *, is_package: bool, known: set[str]) -> Iterator[Import]:
    """Yield the imports of the module `name`, whose source is `text`.

    Args:
        name: without `lossbench.`.
        text: its source.
        is_package: whether its file is an `__init__.py`.
        known: the names of the project's modules: of `from a import b`, b may be one of them.
    """
    package = name if is_package else name.rpartition(".")[0]
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name.removeprefix("lossbench.") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = f"lossbench.{package}".split(".") if node.level else []
            above = parts[: len(parts) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])])
            names = [f"{base}.{alias.name}".removeprefix("lossbench.") for alias in node.names]
            base = base.removeprefix("lossbench.")
            targets = [each if each in known else base for each in names]
        else:
            continue
        for target in targets:
            if target != name:
                yield Import(name, target, node in inside)


@cache
def imports() -> tuple[Import, ...]:
    """Return all imports of the project."""
    return tuple(
        each
        for name, path in FILES.items()
        for each in read_imports(
            name,
            path.read_text(encoding="utf-8"),
            is_package=path.name == "__init__.py",
            known=set(FILES),
        )
    )


def room_of(module: str) -> str:
    """Return the room of a module of benchmarks, or "" for the package itself."""
    room = [*module.split("."), ""][1]
    return "cli" if room in PARTS_OF_CLI else room


def upward(found: tuple[Import, ...]) -> list[str]:
    """Return the imports within benchmarks of a room above the importing one."""
    return [
        str(each)
        for each in found
        if each.source.startswith("benchmarks.") and each.target.startswith("benchmarks.")
        if LEVEL[room_of(each.target)] < LEVEL[room_of(each.source)]
    ]


def circle(found: tuple[Import, ...]) -> list[str]:
    """Return the modules of one import circle, or [] if there is none."""
    targets: dict[str, list[str]] = {}
    for each in found:
        targets.setdefault(each.source, []).append(each.target)
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        for target in targets.get(name, []) if name not in done else []:
            if closed := visit(target, [*path, name]):
                return closed
        done.add(name)
        return []

    return next(filter(None, (visit(name, []) for name in targets)), [])


def in_functions(found: tuple[Import, ...]) -> list[str]:
    """Return the imports inside functions that neither start-up time nor an option explains."""
    return [
        str(each)
        for each in found
        if each.in_function
        and each.source.startswith("benchmarks.")
        and room_of(each.source) not in ENTRANCES
        and each.target.partition(".")[0] not in HEAVY | OPTIONAL
        and each.target not in NEEDS_OPTIONAL
    ]


def test_every_room_has_a_level() -> None:
    rooms = {room_of(name) for name in FILES if name.startswith("benchmarks.")}
    assert rooms == set(LEVEL)


def test_rooms_import_only_rooms_below() -> None:
    assert set(upward(imports())) <= KNOWN


def test_no_import_circle() -> None:
    known = tuple(each for each in imports() if str(each) not in KNOWN)
    assert circle(known) == []


def test_functions_import_only_what_is_heavy_or_optional() -> None:
    assert set(in_functions(imports())) <= KNOWN


@pytest.mark.parametrize("package", ["losses", "models"])
def test_losses_and_models_import_torch_and_themselves(package: str) -> None:
    roots = {e.target.partition(".")[0] for e in imports() if e.source.split(".")[0] == package}
    others = roots - {package, "torch", "triton", *sys.stdlib_module_names}
    assert others == set()
    triton = {e.source for e in imports() if e.target.startswith("triton")}
    assert all(name.startswith("losses.kernels.cuda") for name in triton)


def test_each_fault_is_found() -> None:
    text = {
        "benchmarks.data.a": "def f():\n    from lossbench.benchmarks import cli\n    import json",
        "benchmarks.data.b": "if TYPE_CHECKING:\n    from .c import x",
        "benchmarks.data.c": "from . import b",
        "benchmarks.cli": "from .data import a",
        "benchmarks.data": "",
    }
    found = tuple(
        each
        for name, source in text.items()
        for each in read_imports(
            name, source, is_package=name == "benchmarks.data", known=set(text)
        )
    )
    assert upward(found) == ["benchmarks.data.a -> benchmarks.cli"]
    assert in_functions(found) == [
        "benchmarks.data.a -> benchmarks.cli",
        "benchmarks.data.a -> json",
    ]
    assert circle(found) == ["benchmarks.data.a", "benchmarks.cli"]
    assert circle(found[2:]) == ["benchmarks.data.b", "benchmarks.data.c"]


def test_no_source_file_is_loaded_under_two_names() -> None:
    """Two modules of one file are two registries, and two classes of one name."""
    names: dict[Path, dict[int, str]] = {}
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "/").resolve()
        if path in FILES_OF_PROJECT:
            names.setdefault(path, {})[id(module)] = name
    assert [sorted(each.values()) for each in names.values() if len(each) > 1] == []
    assert names
