"""The folder can be copied into another project: it needs torch, and no name of its own."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lossbench import losses
from lossbench.losses.registry import ENTRIES

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


def test_every_public_name_exists() -> None:
    for module in (losses, losses.functional):
        assert len(set(module.__all__)) == len(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)


def test_functions_are_exported_and_hide_no_module() -> None:
    for name in losses.functional.__all__:
        assert getattr(losses, name) is getattr(losses.functional, name)
    functions = {entry.build().function for entry in ENTRIES}
    assert functions <= {getattr(losses.functional, name) for name in losses.functional.__all__}
    for name in (file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__"):
        assert isinstance(getattr(losses, name), ModuleType), name


COPIED = """
import sys, torch
from borrowed import registry

for name in registry.names():
    entry = registry.entry(name)
    labels = torch.tensor([0, 1])
    z = torch.tensor([0.5, -2.0]) if entry.task == "binary" else torch.tensor([[0.5, -1], [2, 0.1]])
    z = z.double().requires_grad_()
    value = entry.per_example_loss(entry.build(reduction="none"), z, labels)
    assert value.shape == (2,) and value.isfinite().all(), name
    if entry.reference is not None:
        def reference(input, target, entry=entry):
            return entry.reference(input, target, "none")
        expected = entry.per_example_loss(reference, z, labels)
        torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    assert gradient.isfinite().all(), name
assert not {"losses", "lossbench", "triton", "borrowed.kernels.cuda"} & set(sys.modules)
print(len(registry.names()))
"""


def test_the_copied_folder_works_under_another_name(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "borrowed", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", COPIED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "LOSSES_KERNELS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(len(ENTRIES)), done.stderr
