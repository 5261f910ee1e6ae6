"""The folder can be copied into another project: it needs torch, and no name of its own."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import losses

FOLDER = Path(losses.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
ALLOWED = {*sys.stdlib_module_names, "torch"}


def imported(file: Path) -> Iterator[str]:
    """The top-level names that a file imports; relative imports have none."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_imports_torch_and_nothing_else(file: Path) -> None:
    assert set(imported(file)) <= ALLOWED


def test_every_public_name_exists() -> None:
    for module in (losses, losses.functional, losses.modules):
        assert len(set(module.__all__)) == len(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)


def test_works_under_another_name(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "borrowed", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import sys, torch, borrowed; "
        "assert borrowed.get('mse')(torch.ones(2), torch.zeros(2)) == 1; "
        "assert 'losses' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
