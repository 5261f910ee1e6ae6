"""Search the learning rate of each loss on validation images, with the same rates for all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from lossbench.benchmarks.config import RunConfig

from .executors.pool import Pool
from .result import RunResult

FIRST_SEARCH_SEED = 1000
"""First seed of a search; comparisons use lower ones."""

MOST_EXTENSIONS = 4
"""Rates that are added to a search at most, one after the other: two decades."""


def search_configs(config: RunConfig, rates: Iterable[float], seeds: int) -> list[RunConfig]:
    """Return a configuration with every rate and seed of a search, without the test images."""
    return [
        replace(config, learning_rate=rate, seed=FIRST_SEARCH_SEED + k, test=False)
        for rate in rates
        for k in range(seeds)
    ]


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
    grids = [search_configs(config, rates, seeds) for config in configs]
    flat = [config for grid in grids for config in grid]
    results = dict(zip(flat, pool.train(flat, "trying learning rates"), strict=True))
    return [[results[config] for config in grid] for grid in grids]


def extend_search(
    pool: Pool, configs: Sequence[RunConfig], searches: Sequence[list[RunResult]], seeds: int
) -> list[list[RunResult]]:
    """Try further learning rates where the best one lies at an end of those tried.

    Args:
        pool: trains the runs.
        configs: configurations, as in `search`.
        searches: what `search` returned for them.
        seeds: number of seeds per rate, as in `search`.

    Returns:
        The results of `searches` and of the further rates, a half-decade apart, until the best
        rate lies between others, or `MOST_EXTENSIONS` rates were added. A loss whose accuracy is
        the same at all rates gets no further ones.
    """
    found = [list(results) for results in searches]
    for _ in range(MOST_EXTENSIONS):
        wanted = {k: rate for k, each in enumerate(found) if (rate := _rate_beyond(each))}
        if not wanted:
            break
        for rate in sorted(set(wanted.values())):
            chosen = [k for k in wanted if wanted[k] == rate]
            more = search(pool, [configs[k] for k in chosen], [rate], seeds)
            for k, results in zip(chosen, more, strict=True):
                found[k] += results
    return found


def _rate_beyond(results: Sequence[RunResult]) -> float | None:
    """Return the rate next to the best one if that lies at an end of those tried, else None."""
    means = accuracy_by_rate(results)
    best = best_rate(means)
    if len(set(means.values())) == 1 or not is_end(best, means):
        return None
    half_decades = round(2 * math.log10(best)) + (1 if best == max(means) else -1)
    return float(f"{10.0 ** (half_decades // 2) * (3 if half_decades % 2 else 1):g}")


def is_end(rate: float, tried: Iterable[float]) -> bool:
    """Tell whether a rate is the lowest or highest of those tried: one beyond may be better."""
    tried = list(tried)
    return rate in (min(tried), max(tried))


def mean_by_rate(
    results: Iterable[RunResult], score: Callable[[RunResult], float]
) -> dict[float, float]:
    """Return the mean score per learning rate, in the order of the results."""
    scores: dict[float, list[float]] = {}
    for result in results:
        scores.setdefault(result.config.learning_rate, []).append(score(result))
    return {rate: statistics.fmean(values) for rate, values in scores.items()}


def accuracy_by_rate(results: Iterable[RunResult]) -> dict[float, float]:
    """Return the mean validation accuracy per learning rate; a diverged run counts as chance.

    Raises:
        ValueError: a result has no validation images.
    """
    return mean_by_rate(results, _validation_accuracy)


def _validation_accuracy(result: RunResult) -> float:
    if result.validation is None:
        raise ValueError("a learning rate is chosen on validation images, and there are none")
    accuracy = result.validation.accuracy
    return 1 / result.validation.probabilities.shape[1] if math.isnan(accuracy) else accuracy


def is_tie(scores: Mapping[float, float]) -> bool:
    """Tell whether no learning rate has a higher score than another."""
    return len(set(scores.values())) == 1


def best_rate(scores: Mapping[float, float]) -> float:
    """Return the learning rate with the highest score; of ties the lowest rate."""
    return max(sorted(scores), key=scores.__getitem__)
