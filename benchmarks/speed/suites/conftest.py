"""Fixtures of the suites: ratios to a counterpart, and the machine in every saved benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from lossbench.benchmarks.records.experiment import hardware
from lossbench.benchmarks.speed.interleaved import Ratio, Work, synchronised, time_ratio

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
RATIOS = pytest.StashKey[list[tuple[str, str, Ratio]]]()


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Return each device of this machine in turn."""
    return torch.device(request.param)


@pytest.fixture
def measure(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that benchmarks work and records its ratio to a reference as `label`."""

    def run(
        work: Work,
        device: torch.device,
        *,
        group: str,
        reference: Work | None = None,
        label: str = "ratio_to_torch",
    ) -> None:
        benchmark.group = group
        work = synchronised(work, device)
        if reference is not None and not benchmark.disabled:
            ratio = time_ratio(work, synchronised(reference, device))
            benchmark.extra_info[label] = ratio.median
            benchmark.extra_info[f"{label}_quartiles"] = [ratio.lower, ratio.upper]
            ratios = request.config.stash.setdefault(RATIOS, [])
            ratios.append((group, request.node.name, ratio))
        benchmark(work)

    return run


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add torch and the hardware to the saved facts."""
    machine_info["torch"] = torch.__version__
    machine_info["cuda"] = torch.version.cuda
    machine_info |= hardware(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print all ratios."""
    ratios = config.stash.get(RATIOS, [])
    if ratios:
        terminalreporter.section("time relative to the counterpart: median (quartiles)")
    for group, name, ratio in ratios:
        terminalreporter.write_line(f"{ratio!s:24} {group:44} {name}")
