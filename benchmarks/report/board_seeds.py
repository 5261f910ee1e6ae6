"""What the seeds of one loss wrote into their event files, and their means with bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto.summary_pb2 import HistogramProto

from lossbench.benchmarks.records.events import bucket_counts, histogram_from_counts

Array = NDArray[np.float64]

MOST_POINTS = 500
"""Of a curve. TensorBoard would drop points at random where there are more than 1000 of a scalar
or 500 histograms."""


class Binned(NamedTuple):
    """A histogram over `events.BINS`: counts by bin, the sum of the values and of their squares."""

    counts: Array
    total: float
    squares: float


@dataclass(frozen=True)
class Seed:
    """Everything that one run wrote, by step."""

    scalars: dict[str, dict[int, float]]
    histograms: dict[int, Binned]
    times: dict[int, float]


class Band(NamedTuple):
    """A mean over seeds and its interval, each of shape (steps,)."""

    steps: NDArray[np.int64]
    mean: Array
    low: Array
    high: Array


def read_seed(directory: Path) -> Seed:
    """The scalars and the histograms of dL/dz in the event files of a run, all of them."""
    keep = {event_accumulator.SCALARS: 0, event_accumulator.HISTOGRAMS: 0}
    events = event_accumulator.EventAccumulator(str(directory), size_guidance=keep).Reload()
    tags = events.Tags()
    scalars: dict[str, dict[int, float]] = {}
    times: dict[int, float] = {}
    for tag in tags[event_accumulator.SCALARS]:
        points = events.Scalars(tag)
        scalars[tag] = {point.step: point.value for point in points}
        times |= {point.step: point.wall_time for point in points}
    histograms = {}
    if "gradient/logit_log10" in tags[event_accumulator.HISTOGRAMS]:
        for point in events.Histograms("gradient/logit_log10"):
            value: Any = point.histogram_value
            counts = bucket_counts(value.bucket_limit, value.bucket)
            histograms[point.step] = Binned(counts, value.sum, value.sum_squares)
    return Seed(scalars, histograms, times)


def over_seeds(seeds: Sequence[Seed], tag: str) -> tuple[NDArray[np.int64], Array]:
    """The steps at which some seed has a value, and the values: (seeds, steps), NaN where not."""
    curves = [seed.scalars.get(tag, {}) for seed in seeds]
    steps = thinned(sorted(set().union(*curves)))
    values = [[curve.get(step, math.nan) for step in steps] for curve in curves]
    return np.array(steps, dtype=np.int64), np.array(values)


def thinned(steps: list[int]) -> list[int]:
    """At most `MOST_POINTS` of them, evenly spread, the first and the last included."""
    if len(steps) <= MOST_POINTS:
        return steps
    chosen = np.linspace(0, len(steps) - 1, MOST_POINTS).round().astype(int)
    return [steps[i] for i in chosen]


def share_band(steps: NDArray[np.int64], values: Array) -> Band:
    """Mean and 95 % t interval of shares over seeds, cut to what a share can be: 0 to 1.

    Args:
        steps: (S,). values: (seeds, S), NaN where a seed has none; each step has one at least.
    """
    mean, half = _mean_and_half(values)
    return Band(steps, mean, (mean - half).clip(min=0), (mean + half).clip(max=1))


def positive_band(steps: NDArray[np.int64], values: Array) -> Band:
    """Mean and 95 % interval of what cannot be below 0, with the band made on a log scale.

    The t interval of the mean m with half width h becomes one of log m by the delta method,
    log m ± h / m, so the band is m exp(±h / m): never below 0, and symmetric on a log axis (Meeker
    and Escobar 1998, Statistical Methods for Reliability Data, chapter 7). Where all are 0 it is 0.

    Args:
        steps: (S,). values: (seeds, S), not negative, NaN where a seed has none; each step has one
            at least.
    """
    mean, half = _mean_and_half(values)
    with np.errstate(over="ignore"):
        factor = np.exp(np.divide(half, mean, out=np.zeros_like(mean), where=mean > 0))
    # What float32 cannot hold would be infinite in the event file.
    return Band(steps, mean, mean / factor, np.minimum(mean * factor, np.finfo(np.float32).max))


def _mean_and_half(values: Array) -> tuple[Array, Array]:
    """The mean of each column and half its 95 % t interval, 0 where one seed alone has a value."""
    from scipy.stats import t

    n = np.isfinite(values).sum(axis=0)
    mean = np.nanmean(values, axis=0)
    squares = np.nansum((values - mean) ** 2, axis=0)
    freedom = np.maximum(n - 1, 1)
    half = t.ppf(0.975, freedom) * np.sqrt(squares / freedom / n)
    return mean, np.where(n > 1, half, 0.0)


def merged_histograms(seeds: Sequence[Seed]) -> Mapping[int, HistogramProto]:
    """The histograms of dL/dz by step, each of the values of all seeds together."""
    found: dict[int, HistogramProto] = {}
    for step in thinned(sorted(set().union(*(seed.histograms for seed in seeds)))):
        parts = [seed.histograms[step] for seed in seeds if step in seed.histograms]
        counts = np.sum([part.counts for part in parts], axis=0)
        total, squares = sum(part.total for part in parts), sum(part.squares for part in parts)
        found[step] = histogram_from_counts(counts, total, squares)
    return found
