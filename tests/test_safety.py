"""No code is run that was read from a disk or the network."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    p for part in ("losses", "models", "benchmarks") for p in (ROOT / part).rglob("*.py")
)

UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "yaml",
}
UNSAFE_FUNCTIONS = {"eval", "exec", "compile", "__import__"}
UNSAFE_METHODS = {"exec", "extractall", "unpack_archive", "import_module"}
# They import the user's modules by the name that the user gives, and lossbench's own claims.
IMPORTERS = {
    "losses/registry.py",
    "models/registry.py",
    "benchmarks/evidence/runner.py",
    "benchmarks/training/optimizer.py",
}


def faults(source: str) -> Iterator[str]:
    """Yield each line of a module that could run what it reads."""
    for node in ast.walk(ast.parse(source)):
        for fault in _imports(node) if not isinstance(node, ast.Call) else _calls(node):
            yield f"line {node.lineno}: {fault}"  # type: ignore[attr-defined]


def _imports(node: ast.AST) -> Iterator[str]:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    yield from (f"imports {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES)


def _calls(node: ast.Call) -> Iterator[str]:
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if isinstance(node.func, ast.Name) and node.func.id in UNSAFE_FUNCTIONS:
        yield f"calls {node.func.id}"
    if isinstance(node.func, ast.Attribute):
        owner, name = ast.unparse(node.func.value), node.func.attr
        if name in UNSAFE_METHODS:
            yield f"calls {owner}.{name}"
        is_torch = owner in ("torch", "torch.jit") and name == "load"
        if is_torch and options.get("weights_only") != "True":
            yield "calls torch.load without weights_only=True"
    if options.get("allow_pickle", "False") != "False":
        yield "allows a pickle"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_modules_run_nothing_they_read(path: Path) -> None:
    found = list(faults(path.read_text(encoding="utf-8")))
    if path.relative_to(ROOT).as_posix() in IMPORTERS:
        assert found
        found = [fault for fault in found if not fault.endswith("importlib.import_module")]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "import yaml",
        "import marshal",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "torch.jit.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "np.lib.format.read_array(file, allow_pickle=True)",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "archive.extractall()",
        "shutil.unpack_archive(path)",
        "builtins.exec(text)",
        "importlib.import_module(name)",
    ],
)
def test_each_fault_is_found(line: str) -> None:
    assert len(list(faults(line))) == 1


def test_safe_calls_are_no_fault() -> None:
    for line in (
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=False)",
        "model.eval()",
        "torch.compile(f)",
        "re.compile('a')",
        "import pickletools",
        "json.load(file)",
    ):
        assert list(faults(line)) == [], line


OWN_LOSS = """
from pathlib import Path
Path("imported").touch()
from torch import nn
from lossbench.losses import register
@register("mine", task="binary")
class Mine(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
    def forward(self, input, target):
        return (input - target) ** 2
"""
PROGRAM = """
import sys
from lossbench.benchmarks import cli
from lossbench.benchmarks.records.reading import read_experiment
from lossbench.losses import registry
from lossbench import models
registry.names(), registry.installed(), models.names()
cli.parse(["compare", "--losses", "mse", "my_loss:Mine", "--model", "my_model:Net"])
if sys.argv[1:]:
    registry.entry(sys.argv[1])
"""


@pytest.mark.parametrize(("names", "imported"), [((), False), (("my_loss:Mine",), True)])
def test_an_own_loss_is_imported_only_on_request(
    tmp_path: Path, names: tuple[str, ...], imported: bool
) -> None:
    (tmp_path / "my_loss.py").write_text(OWN_LOSS)
    environment = {"PYTHONPATH": f"{ROOT}", "PATH": ""}
    command = [sys.executable, "-c", PROGRAM, *names]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "imported").exists() == imported
