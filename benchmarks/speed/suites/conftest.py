"""Fixtures of the suites: ratios to a counterpart, and the machine in every saved benchmark."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, lru_cache
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from lossbench.benchmarks.records.environment import hardware
from lossbench.benchmarks.speed.cases import NOTES, Case, Works, measure_works
from lossbench.benchmarks.speed.interleaved import Ratio, Work, synchronised, time_ratio
from lossbench.losses import kernels

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
LINES = pytest.StashKey[list[str]]()
ROW_SECONDS = 0.1
HEADING = (
    f"{'loss':54} {'ours':>10} {'torch':>10}  {'ratio (quartiles)':22} {'target':>6}  verdict"
    f"       GB/s  of a copy"
)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Return each device of this machine in turn."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def built_kernels() -> None:
    """Build the kernels unless they exist."""
    kernels.ensure(print)


@lru_cache(maxsize=1)
def works_of(case: Case) -> Works:
    """Return both sides of a case; the last one is kept for the case's other benchmark."""
    return case.works()


@cache
def machine() -> dict[str, Any]:
    """Return torch and the hardware."""
    return {"torch": torch.__version__, **hardware(torch.device("cpu"))}


@pytest.fixture
def measure_case(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    built_kernels: None,  # noqa: ARG001
) -> Callable[..., None]:
    """Return a function that benchmarks one side of a case; with ours goes the ratio to theirs."""

    def run(case: Case, *, ours: bool) -> None:
        benchmark.group = case.group
        works = works_of(case)
        if ours and not benchmark.disabled:
            ratio = measure_works(works, case.condition, ROW_SECONDS)
            benchmark.extra_info |= facts(case, ratio)
            request.config.stash.setdefault(LINES, [HEADING]).append(line(case, ratio))
        closed = case.condition.how == "closed forms"
        with kernels.closed_forms_only() if closed else nullcontext():
            benchmark(works.ours if ours else works.theirs)

    return run


def facts(case: Case, ratio: Ratio) -> dict[str, Any]:
    """Return what is saved with a benchmark of ours."""
    target = case.target()
    return {
        "beside": case.beside,
        "ratio": ratio.median,
        "quartiles": [ratio.lower, ratio.upper],
        "target": str(target),
        "verdict": target.verdict(ratio),
        "gigabytes_per_second": (ratio.bandwidth or 0) / 1e9,
        "share_of_copy": ratio.share_of_copy,
        "note": NOTES.get(case.loss, ""),
        "machine": machine(),
    }


def line(case: Case, ratio: Ratio) -> str:
    """Return a case as a line of the table."""
    target = case.target()
    ours, theirs = (f"{1e6 * (x or 0):,.0f} us" for x in (ratio.value, ratio.reference))
    return (
        f"{f'{case.group} {case.condition.name}':54} {ours:>10} {theirs:>10}  {ratio!s:22} "
        f"{target!s:>6}  {target.verdict(ratio):12} {(ratio.bandwidth or 0) / 1e9:6.2f}  "
        f"{ratio.share_of_copy or 0:9.2f}  {NOTES.get(case.loss, '')}"
    ).rstrip()


@pytest.fixture
def measure(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that benchmarks work and records its ratio to a reference as `label`."""

    def run(
        work: Work,
        device: torch.device,
        *,
        group: str,
        reference: Work | None = None,
        label: str = "ratio",
    ) -> None:
        benchmark.group = group
        benchmark.extra_info["machine"] = machine()
        work = synchronised(work, device)
        if reference is not None and not benchmark.disabled:
            ratio = time_ratio(work, synchronised(reference, device))
            benchmark.extra_info[label] = ratio.median
            benchmark.extra_info[f"{label}_quartiles"] = [ratio.lower, ratio.upper]
            lines = request.config.stash.setdefault(LINES, [HEADING])
            lines.append(f"{f'{group}, {request.node.name}':75} {ratio}")
        benchmark(work)

    return run


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add torch and the hardware to the saved facts."""
    machine_info["cuda"] = torch.version.cuda
    machine_info |= machine()
    machine_info |= hardware(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the ratios."""
    if lines := config.stash.get(LINES, []):
        terminalreporter.section("ours relative to torch or to the plain expression in torch")
    for each in lines:
        terminalreporter.write_line(each)
