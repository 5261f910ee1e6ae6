"""Building the kernels, and what happens where that cannot be done."""

import math
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


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("-mno-avx512f",)], ids=["native", "without-avx512"])
def test_the_driver_finds_no_fault(
    native: Any,  # noqa: ARG001
    tmp_path: Path,
    without: tuple[str, ...],
) -> None:
    """Every kernel under the address and undefined-behaviour sanitizers, and the functions' ulp;
    what the compiler makes of them for a processor without AVX-512 without sanitizers, which take
    a minute."""
    if without and platform.machine() != "x86_64":
        pytest.skip("a flag for x86")
    compiler = building.compiler()
    assert compiler is not None
    program = tmp_path / "driver"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if not without else []
    source = Path(__file__).with_name("kernels_driver.cpp")
    flags = ["-std=c++20", "-O1", "-march=native", "-fopenmp-simd", *without]
    flags += [*building.MATH_FLAGS, *sanitize]
    command = [compiler, *flags, f"-I{building.SOURCE}", str(source), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True)
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    errors = {tuple(line.split()[:2]): float(line.split()[2]) for line in done.stdout.splitlines()}
    own = {name for _, name in errors if name.endswith("-avx512")}
    assert len(errors) == 12 + len(own)
    assert not (without and own)
    assert max(errors.values()) < 4


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
        building.NoKernelsError, match=r"cannot compile them: .*build\.log says why"
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
    sources = len(list(building.SOURCE.glob("*.cpp")))
    assert len(calls.read_text().splitlines()) == sources + 1
    assert sum("built the kernels in" in each for each in said) == 1


def test_the_library_uses_the_threads_of_torch(native: Any) -> None:
    """A second OpenMP runtime in a process would bring as many threads again."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    assert any(native.__file__ in line for line in maps)
    runtimes = {line.split()[-1] for line in maps if "gomp" in line or "iomp" in line}
    assert len(runtimes) == 1
