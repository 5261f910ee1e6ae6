"""One benchmark per target of `lossbench speed`; its ratio is in `extra_info`."""

from __future__ import annotations

from typing import Any

import pytest

from lossbench.benchmarks.speed.target import Target
from lossbench.benchmarks.speed.targets import all_targets
from lossbench.losses import kernels


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize("target", all_targets(), ids=lambda target: target.name)
def bench_target(benchmark: Any, target: Target) -> None:
    kernels.ensure(print)
    if benchmark.disabled:
        pytest.skip("takes minutes, and is measured by `lossbench speed`")
    ratio = benchmark.pedantic(target.measure, args=(0.5,), rounds=1)
    benchmark.extra_info |= {
        "ratio": ratio.median,
        "quartiles": [ratio.lower, ratio.upper],
        "target": str(target),
        "met": target.is_met(ratio),
    }
