"""The built wheel in new environments: with torch alone, and with the extra `bench`."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("losses", "models", "benchmarks")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("uv") is None, reason="uv makes the environments"),
]

MODEL = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_outputs, width=2):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, 4), nn.ReLU())
        self.head = nn.Linear(width, num_outputs)

    def forward(self, input):
        return self.head(self.body(input).mean((2, 3)))
"""
LOSS = """
from torch import nn
from torch.nn import functional as F
from lossbench.losses import register

@register("my-loss", task="binary")
class Loss(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(input, target, reduction=self.reduction)
"""


def run(command: list[object], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def checked(command: list[object], **options) -> str:
    done = run(command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> tuple[Path, Path]:
    """The sdist of this clone and the wheel that is built from it."""
    directory = tmp_path_factory.mktemp("dist")
    checked(["uv", "build", "--quiet", "--out-dir", directory, ROOT])
    (sdist,), (wheel,) = directory.glob("*.tar.gz"), directory.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def install(distributions, tmp_path_factory):
    """Install the wheel with an extra into a new environment; return its directory of programs."""

    def make(extra: str) -> Path:
        directory = tmp_path_factory.mktemp("environment") / "venv"
        checked(["uv", "venv", "--quiet", "--python", sys.executable, directory])
        scripts = directory / ("Scripts" if os.name == "nt" else "bin")
        wheel = f"lossbench{extra} @ {distributions[1].as_uri()}"
        checked(["uv", "pip", "install", "--quiet", "--python", scripts / "python", wheel])
        return scripts

    return make


def test_every_source_file_is_in_wheel_and_sdist_once(distributions) -> None:
    sdist, wheel = distributions
    expected = sorted(
        f"lossbench/{path.relative_to(ROOT).as_posix()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    expected = sorted([*expected, *(f"lossbench/{n}" for n in ("__init__.py", "__main__.py"))])
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted([*expected, "lossbench/py.typed"])
    with tarfile.open(sdist) as archive:
        files = [member for member in archive if "/src/" in member.name]
    assert all(member.isreg() for member in files)
    assert sorted(member.name.partition("/src/")[2] for member in files) == sorted(names)


def test_torch_alone_is_enough_for_losses_and_models(install, tmp_path) -> None:
    scripts = install("")
    program = (
        "import sys, torch\n"
        "from lossbench import losses, models\n"
        "logits = models.build('convnet')(torch.randn(2, 3, 32, 32)).flatten()\n"
        "losses.SigmoidFocalLoss(reduction='mean')(logits, torch.ones(2)).backward()\n"
        "assert not {'numpy', 'lossbench.benchmarks'} & set(sys.modules)\n"
    )
    checked([scripts / "python", "-c", program], cwd=tmp_path)
    kernels = [scripts / "python", "-m", "lossbench.losses.kernels", "status"]
    assert checked(kernels, cwd=tmp_path).strip()
    for command in ([scripts / "lossbench"], [scripts / "python", "-m", "lossbench"]):
        done = run([*command, "compare"], cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "pip install 'lossbench[bench]'" in done.stderr
        assert checked([*command, "--version"]).startswith("lossbench ")


def test_a_project_with_folders_of_the_same_names_trains(install, tmp_path, cats_and_dogs) -> None:
    scripts = install("[bench]")
    (site_packages,) = (scripts.parent).rglob("site-packages")
    assert not [name for name in (*PACKAGES, "tests") if (site_packages / name).exists()]
    cats_and_dogs(tmp_path / "images", 12)
    for name, text in (("models/mine.py", MODEL), ("losses/mine.py", LOSS)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    (tmp_path / "benchmarks").mkdir()
    for package in PACKAGES:
        (tmp_path / package / "__init__.py").touch()
    base = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    base |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "LOSSES_KERNELS": "0"}
    for name, extra in (("without", {}), ("with", {"PYTHONPATH": "."})):
        command = [
            *(scripts / "lossbench", "compare", "--data", "images", "--name", name),
            *("--model", "models.mine:Net", "--losses", "losses.mine:Loss"),
            *("--seeds", 1, "--epochs", 1, "--batch-size", 4, "--evaluations", 1),
        ]
        checked(command, cwd=tmp_path, env=base | extra)
        assert "my-loss" in (tmp_path / "runs" / name / "normal" / "summary.md").read_text()
        assert (tmp_path / "runs" / name / "report.html").stat().st_size > 0
