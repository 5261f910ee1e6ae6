"""Building the kernels, and what happens where that cannot be done."""

import math
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lossbench import losses
from lossbench.losses import kernels
from lossbench.losses.kernels import build as building
from lossbench.losses.kernels.source import source

DRIVER = """
#include <cstdio>
using namespace losses;
void serial(int64_t n, int64_t, void (*f)(const void*, int64_t, int64_t), const void* c) {
  f(c, 0, n);
}
int main() {
  const double k[32] = {CONSTANTS};
  for (const Dtype dtype : {FLOAT32, FLOAT64, BFLOAT16, FLOAT16})
    for (const int64_t classes : {1, 2, 3, 31, 33, 100, 5000})
      for (const int64_t inner : {1, 3, 17}) {
        const int64_t outer = 5, n = outer * inner, all = ROWS ? n * classes : n;
        std::vector<char> z(all * size_of(dtype)), t(z), g(z), each(n * size_of(dtype));
        std::vector<int64_t> index(n);
        for (int64_t i = 0; i < n; ++i) index[i] = i % 4 ? i % classes : -100;
        std::vector<Statistics> saved(n);
        Job job{};
        job.outer = ROWS ? outer : n;
        job.classes = ROWS ? classes : 1;
        job.inner = ROWS ? inner : 1;
        job.z = {z.data(), dtype};
        if (INDEX) job.index = index.data();
        else job.t = {t.data(), dtype};
        job.ignored = -100;
        job.constants = k;
        job.each = each.data();
        job.each_dtype = job.gradient_dtype = dtype;
        job.gradient = g.data();
        job.upstream = {each.data(), dtype};
        job.scale = 1;
        job.saved = saved.data();
        job.parallel = serial;
        value(&job);
        gradient(&job);
      }
}
"""
"""Calls a kernel on memory that ends where it should not read on."""


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("-mno-avx512f",)], ids=["native", "without-avx512"])
@pytest.mark.parametrize("name", ["probability-sum", "cross-entropy", "bernoulli-sum", "nll"])
def test_sanitizers_find_no_fault(name: str, tmp_path: Path, without: tuple[str, ...]) -> None:
    if without and platform.machine() != "x86_64":
        pytest.skip("a flag for x86")
    compiler = building.compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    (request,) = [x for x in requests(name) if not x.float64][:1]
    printed = source(request)
    index, rows = "y" in request.inputs, request.loss.forms.rows
    driver = DRIVER.replace("ROWS", str(rows).lower()).replace("INDEX", str(index).lower())
    driver = driver.replace("{CONSTANTS}", "{" + ", ".join(map(repr, printed.constants)) + "}")
    driver = driver.replace("Statistics", "losses::Statistics<float>" if rows else "float")
    file = tmp_path / "kernel.cpp"
    file.write_text(printed.text + driver)
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags = ["-std=c++20", "-O1", "-march=native", "-fopenmp-simd", *without]
    command = [compiler, *flags, *building.MATH_FLAGS, *sanitize, f"-I{building.RUNTIME}"]
    program = tmp_path / "driver"
    built = subprocess.run(
        [*command, str(file), "-o", str(program)], capture_output=True, text=True
    )
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def requests(name: str) -> list[kernels.Request]:
    """What a loss asks for, by the first kind of its targets."""
    entry = losses.entry(name)
    with kernels.collected() as found:
        z = entry.input_from_logits(torch.zeros(4) if entry.task == "binary" else torch.zeros(4, 3))
        labels = torch.zeros(4, dtype=torch.long)
        entry.build(reduction="sum")(z, entry.target_from_labels(labels, z))
    return found


def test_a_library_that_is_built_is_not_built_again(native: Any) -> None:  # noqa: ARG001
    said: list[str] = []
    assert building.build(said.append).exists()
    assert said == []


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def as_compiler(path: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "fake 1.0" && exit 0\n{body}\n')
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))


def test_a_compiler_that_fails_is_named_with_its_log(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_compiler(tmp_path / "c++", "echo it is broken >&2; exit 1", monkeypatch)
    with pytest.raises(
        building.NoKernelsError, match=r"cannot compile the kernels: .*build\.log says why"
    ):
        building.build()
    (log,) = cache.rglob("build.log")
    assert "it is broken" in log.read_text()
    assert not list(cache.rglob("*.so"))
    assert not list(cache.rglob("building-*"))


@pytest.mark.usefixtures("cache")
def test_without_a_compiler_the_closed_forms_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOSSES_KERNELS", "1")
    monkeypatch.setattr(kernels, "_native", kernels._LazyKernels())
    monkeypatch.setattr(kernels, "_backend", None)
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(building.NoKernelsError, match="CXX=/no/such/compiler is not a compiler"):
        building.build()
    assert losses.backend().name == "closed forms"
    assert "CXX=/no/such/compiler" in str(losses.backend())
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    kernels.load()
    assert losses.backend().why.startswith("no C++ compiler: install g++")
    assert losses.functional.cross_entropy(
        torch.zeros(1, 2), torch.zeros(1, dtype=torch.long)
    ).item() == pytest.approx(math.log(2))


def test_the_environment_switches_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSES_KERNELS", "0")
    monkeypatch.setattr(kernels, "_native", kernels._LazyKernels())
    monkeypatch.setattr(kernels, "_backend", None)
    assert str(losses.backend()) == "closed forms: LOSSES_KERNELS=0 switches the kernels off"


def test_a_torn_library_is_a_reason_and_no_crash(
    cache: Path,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_compiler(
        tmp_path / "c++", 'while [ "$1" != -o ]; do shift; done; echo torn > "$2"', monkeypatch
    )
    building.build()
    with pytest.raises(
        building.NoKernelsError, match=r"cannot be loaded .*: delete it and build anew"
    ):
        building.load_built()


@pytest.mark.slow
def test_processes_that_build_at_a_time_build_once(
    cache: Path,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = tmp_path / "calls"
    body = f'echo "$@" >> {calls}; sleep 0.5; while [ "$1" != -o ]; do shift; done; echo x > "$2"'
    as_compiler(tmp_path / "c++", body, monkeypatch)
    program = (
        "import sys; from lossbench.losses.kernels.build import build; build(lambda s: print(s))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    sources = len(list(building.GLUE.glob("*.cpp")))
    assert len(calls.read_text().splitlines()) == sources + 1
    assert sum("built the kernels in" in each for each in said) == 1


def test_the_library_uses_the_threads_of_torch(native: Any) -> None:
    """A second OpenMP runtime in a process would bring as many threads again."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    assert any(native.__file__ in line for line in maps)
    runtimes = {line.split()[-1] for line in maps if "gomp" in line or "iomp" in line}
    assert len(runtimes) == 1


FIRST_USE = """
import logging, sys, torch
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from lossbench.losses import backend, functional
assert backend().name == "kernels"
z = torch.tensor([0.5, -1.0], requires_grad=True)
for loss in (functional.mse_loss, functional.l1_loss):
    value = loss(z, torch.ones(2), reduction="sum")
    print(value.grad_fn.name(), value.item())
"""
"""Calls two losses for the first time, in another process."""


@pytest.fixture
def fresh(native: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that has the extension and no loss's kernel."""
    old = Path(native.__file__).parent
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOSSES_KERNELS", "1")
    new = building._directory() / old.name
    new.mkdir(parents=True)
    for name in (old / "compiler.txt", Path(native.__file__)):
        (new / name.name).symlink_to(name)
    return new / "losses"


def first_use(count: int = 1) -> list[list[str]]:
    command = [sys.executable, "-c", FIRST_USE]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    said = [process.communicate()[0].splitlines() for process in started]
    assert [process.returncode for process in started] == [0] * count
    return said


@pytest.mark.slow
def test_processes_that_compile_a_loss_at_once_all_use_it(fresh: Path) -> None:
    expected = ["LossBackward 4.25", "LossBackward 2.5"]
    assert first_use(3) == [expected] * 3
    assert [each.suffix for each in fresh.iterdir() if each.suffix != ".log"] == [".so", ".so"]


@pytest.mark.slow
@pytest.mark.parametrize("cause", ["compiler", "directory"])
def test_a_loss_that_cannot_be_compiled_warns_once_and_is_computed(
    cause: str, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cause == "directory":
        # As root may write anywhere, a file stands where the directory should be.
        fresh.write_text("")
    else:
        compiler = tmp_path / "c++"
        as_compiler(compiler, "exit 1", monkeypatch)
        # It finds the extension, as if it had built it.
        (fresh.parents[1] / building._identity(str(compiler))).symlink_to(fresh.parent)
    ((warning, *values),) = first_use()
    assert warning.startswith("WARNING the closed forms compute mse: ")
    assert ("cannot be written" if cause == "directory" else "cannot compile") in warning
    assert [line.split()[1] for line in values] == ["4.25", "2.5"]


def test_what_a_killed_compiler_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = (tmp_path / f"{building.SCRATCH}{name}" for name in ("old", "new"))
    for left in (old, new):
        left.mkdir()
        (left / "node.o").touch()
    os.utime(old, (0, 0))
    with building._scratch(tmp_path) as work:
        assert sorted(tmp_path.iterdir()) == sorted((new, work))
    assert list(tmp_path.iterdir()) == [new]
