"""Search the learning rate of each loss on validation images, with the same rates for all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from lossbench.benchmarks.config import RunConfig

from .executors.pool import Pool
from .result import RunResult

FIRST_SEARCH_SEED = 1000
"""First seed of a search; comparisons use lower ones."""


def search(
    pool: Pool, configs: Sequence[RunConfig], rates: Sequence[float], seeds: int
) -> list[list[RunResult]]:
    """Train each configuration with every rate and seed, without using the test images.

    Args:
        pool: trains the runs.
        configs: configurations, whose own rate and seed are replaced.
        rates: learning rates.
        seeds: number of seeds per rate.

    Returns:
        Per configuration its results, by rate and then seed.
    """
    grids = [
        [
            replace(
                config,
                learning_rate=rate,
                seed=FIRST_SEARCH_SEED + k,
                test=False,
                record_examples=False,
            )
            for rate in rates
            for k in range(seeds)
        ]
        for config in configs
    ]
    flat = [config for grid in grids for config in grid]
    results = dict(zip(flat, pool.train(flat, "trying learning rates"), strict=True))
    return [[results[config] for config in grid] for grid in grids]


def accuracy_by_rate(results: Sequence[RunResult]) -> dict[float, float]:
    """Return the mean validation accuracy per learning rate; a diverged run counts as 0.

    Raises:
        ValueError: a result has no validation images.
    """
    accuracies: dict[float, list[float]] = {}
    for result in results:
        if result.validation is None:
            raise ValueError("a learning rate is chosen on validation images, and there are none")
        accuracy = result.validation.accuracy
        value = 0.0 if math.isnan(accuracy) else accuracy
        accuracies.setdefault(result.config.learning_rate, []).append(value)
    return {rate: statistics.fmean(values) for rate, values in accuracies.items()}


def best_rate(results: Sequence[RunResult]) -> float:
    """Return the learning rate with the highest mean validation accuracy; of ties the lowest."""
    means = accuracy_by_rate(results)
    return max(sorted(means), key=means.__getitem__)
