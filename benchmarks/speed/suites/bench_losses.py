"""Forward + backward of every registered loss beside torch's, or beside the plain expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lossbench.benchmarks.speed.cases import Case, cases, quick_cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `bench_loss` the quick rows, or all of them."""
    if "case" in metafunc.fixturenames:
        chosen = cases() if metafunc.config.getoption("--full") else quick_cases()
        metafunc.parametrize("case", list(chosen), ids=lambda case: case.id)


@pytest.mark.benchmark(max_time=0.02, min_rounds=1)
@pytest.mark.parametrize("implementation", ["lossbench", "torch"])
def bench_loss(measure_case: Callable[..., Any], case: Case, implementation: str) -> None:
    measure_case(case, ours=implementation == "lossbench")
