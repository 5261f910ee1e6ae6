"""The folder can be copied into another project: it needs torch, and no name of its own."""

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossbench import losses
from lossbench.losses.kernels.build import build
from lossbench.losses.kernels.switches import NoKernelsError

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
    # What Triton compiles is imported with the first tensor on CUDA.
    compiled = {"triton"} if "cuda" in file.relative_to(FOLDER).parts else set()
    assert set(imported(file)) <= ALLOWED | compiled


def test_triton_is_not_imported_with_the_package() -> None:
    program = (
        "import sys, lossbench.losses; "
        "assert not {'triton', 'lossbench.losses.kernels.cuda'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=FOLDER.parent)


def test_every_public_name_exists() -> None:
    for module in (losses, losses.functional, losses.modules):
        assert len(set(module.__all__)) == len(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)


# What installs packages, copies this folder, or waits for the compiler.
LEFT_OUT = ("test_package.py", "test_registry.py", "test_compiled.py", "test_kernels*.py")


def test_passes_its_tests_alone_and_under_another_name(tmp_path: Path) -> None:
    """With the kernels, where they can be built: this file's neighbours have tested without."""
    with contextlib.suppress(NoKernelsError):
        build()
    ignored = shutil.ignore_patterns("__pycache__", *LEFT_OUT)
    shutil.copytree(FOLDER, tmp_path / "borrowed", ignore=ignored)
    shutil.copytree(Path(__file__).parent, tmp_path / "tests", ignore=ignored)
    for file in (tmp_path / "tests").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"^from losses\b", "from borrowed", text, flags=re.MULTILINE)
        text = re.sub(
            r"^from lossbench import losses$", "import borrowed as losses", text, flags=re.MULTILINE
        )
        file.write_text(text, encoding="utf-8")
    # The folder of this project must not be found, wherever it is installed.
    (tmp_path / "losses.py").write_text("raise ImportError('the original is in use')")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests", "-q", "-x", "--import-mode=importlib"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "LOSSES_EXAMPLES": "1",
            "LOSSES_KERNELS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 1000
