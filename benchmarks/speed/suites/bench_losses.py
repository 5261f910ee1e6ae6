"""Forward + backward of every registered loss beside torch's, or beside the plain expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lossbench.benchmarks.speed.rows import Row, quick_rows, rows


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `bench_loss` the quick rows, or all of them."""
    if "row" in metafunc.fixturenames:
        chosen = rows() if metafunc.config.getoption("--full") else quick_rows()
        metafunc.parametrize("row", list(chosen), ids=lambda row: row.id)


@pytest.mark.benchmark(max_time=0.02, min_rounds=1)
@pytest.mark.parametrize("implementation", ["lossbench", "torch"])
def bench_loss(measure_row: Callable[..., Any], row: Row, implementation: str) -> None:
    measure_row(row, ours=implementation == "lossbench")
