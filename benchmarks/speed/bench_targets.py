"""The rows of `lossbench speed`, a benchmark each: its ratio is in `extra_info`."""

from __future__ import annotations

from typing import Any

import pytest

from lossbench.losses import kernels

from .row import Row
from .targets import rows


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def bench_target(benchmark: Any, row: Row) -> None:
    kernels.ensure(print)
    if benchmark.disabled:
        pytest.skip("takes minutes, and is measured by `lossbench speed`")
    found = benchmark.pedantic(row.measure, args=(0.5,), rounds=1)
    benchmark.extra_info |= {
        "ratio": found.median,
        "quartiles": [found.lower, found.upper],
        "target": row.wanted,
        "met": row.met(found),
    }
