"""Facts about the machine in every saved benchmark, and the ratios in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from lossbench.benchmarks.records.experiment import hardware

from .interleaved import Ratio, Work, ratio, synchronised

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
RATIOS = pytest.StashKey[list[tuple[str, str, Ratio]]]()


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device of this machine in turn."""
    return torch.device(request.param)


@pytest.fixture
def measure(
    benchmark: BenchmarkFixture, request: pytest.FixtureRequest
) -> Callable[..., Ratio | None]:
    """Benchmarks a piece of work; with `against`, records its ratio to that under `label`."""

    def run(
        work: Work,
        device: torch.device,
        *,
        group: str,
        against: Work | None = None,
        label: str = "ratio_to_torch",
    ) -> Ratio | None:
        benchmark.group = group
        work = synchronised(work, device)
        found = None
        if against is not None and not benchmark.disabled:
            found = ratio(work, synchronised(against, device))
            benchmark.extra_info[label] = found.median
            benchmark.extra_info[f"{label}_quartiles"] = [found.lower, found.upper]
            rows = request.config.stash.setdefault(RATIOS, [])
            rows.append((group, request.node.name, found))
        benchmark(work)
        return found

    return run


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["torch"] = torch.__version__
    machine_info["cuda"] = torch.version.cuda
    machine_info |= hardware(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash.get(RATIOS, [])
    if not rows:
        return
    terminalreporter.section("time, relative to the counterpart: median (quartiles), interleaved")
    for group, name, found in rows:
        terminalreporter.write_line(f"{found!s:24} {group:44} {name}")
