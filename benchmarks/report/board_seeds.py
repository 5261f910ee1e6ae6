"""Event files of the seeds of one loss, and the means with bands over them."""

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

from lossbench.benchmarks.records.events import bucket_counts, make_histogram
from lossbench.benchmarks.records.tags import LAYER, LOGIT_HISTOGRAM

Array = NDArray[np.float64]

MEAN_ABS = "gradient/logit_mean_abs"

MAX_POINTS = 500
"""Points of a curve. TensorBoard drops random points above 1000 scalars or 500 histograms."""


class BinnedHistogram(NamedTuple):
    """A histogram over `events.BINS`: counts per bin, sum of the values, sum of their squares."""

    counts: Array
    total: float
    squares: float


@dataclass(frozen=True)
class RunEvents:
    """The events of one run: scalars and histograms by tag and step, wall times by step."""

    scalars: dict[str, dict[int, float]]
    histograms: dict[int, BinnedHistogram]
    times: dict[int, float]


class Band(NamedTuple):
    """A mean over seeds and its interval, each of shape (steps,)."""

    steps: NDArray[np.int64]
    mean: Array
    low: Array
    high: Array


def read_seed(directory: Path) -> RunEvents:
    """Read all scalars and the histograms of dL/dz from the event files of a run."""
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
    if LOGIT_HISTOGRAM in tags[event_accumulator.HISTOGRAMS]:
        for point in events.Histograms(LOGIT_HISTOGRAM):
            value: Any = point.histogram_value
            counts = bucket_counts(value.bucket_limit, value.bucket)
            histograms[point.step] = BinnedHistogram(counts, value.sum, value.sum_squares)
    return RunEvents(scalars, histograms, times)


def over_seeds(seeds: Sequence[RunEvents], tag: str) -> tuple[NDArray[np.int64], Array]:
    """Return the steps at which any seed has a value, and the values (seeds, steps), else NaN."""
    curves = [seed.scalars.get(tag, {}) for seed in seeds]
    steps = subsample(sorted(set().union(*curves)))
    values = [[curve.get(step, math.nan) for step in steps] for curve in curves]
    return np.array(steps, dtype=np.int64), np.array(values)


def subsample(steps: list[int]) -> list[int]:
    """Return at most MAX_POINTS of the steps, evenly spaced, with the first and the last."""
    if len(steps) <= MAX_POINTS:
        return steps
    chosen = np.linspace(0, len(steps) - 1, MAX_POINTS).round().astype(int)
    return [steps[i] for i in chosen]


def norms_by_layer(seed: RunEvents) -> dict[int, float]:
    """Return the gradient norm of each layer, mean over the training, by its number from 1.

    A layer is what `layer_of` says. Its norm is the root of the sum of squares of its parameters'
    mean norms. The order is that of the tags, which is that of the model. A layer without a finite
    value is left out.
    """
    squares: dict[str, float] = {}
    prefix = LAYER.format("")
    for tag, points in seed.scalars.items():
        if tag.startswith(prefix):
            layer = layer_of(tag.removeprefix(prefix))
            mean = float(np.mean(list(points.values())))
            squares[layer] = squares.get(layer, 0.0) + mean * mean
    numbered = enumerate(squares.values(), 1)
    return {number: math.sqrt(each) for number, each in numbered if math.isfinite(each)}


def layer_of(parameter: str) -> str:
    """Return the first two parts of the name of the module that has a parameter.

    So a convolution and its normalisation, features.0.0 and features.0.2, are one layer: the norms
    of the two differ by their numbers of elements.
    """
    module = parameter.rpartition(".")[0] or parameter
    return ".".join(module.split(".")[:2])


def gradient_is_zero(seeds: Sequence[RunEvents]) -> bool:
    """Return whether |dL/dz| was exactly 0 for every example of every seed, at every step."""
    means = [each for seed in seeds for each in seed.scalars.get(MEAN_ABS, {}).values()]
    return bool(means) and not any(means)


def share_band(steps: NDArray[np.int64], values: Array) -> Band:
    """Return mean and 95 % t interval of fractions over seeds, clipped to [0, 1].

    Args:
        steps: (S,).
        values: (seeds, S), NaN where a seed has no value; every step has at least one.
    """
    mean, half = _mean_and_half(values)
    return Band(steps, mean, (mean - half).clip(min=0), (mean + half).clip(max=1))


def positive_band(steps: NDArray[np.int64], values: Array) -> Band:
    """Return mean and 95 % interval of a nonnegative quantity, computed on a log scale.

    By the delta method the t interval of the mean, m ± h, becomes log m ± h / m for its logarithm.
    The band m exp(±h / m) is nonnegative and symmetric on a log axis (Meeker and Escobar 1998,
    Statistical Methods for Reliability Data, chapter 7). It is 0 where all values are 0.

    Args:
        steps: (S,).
        values: (seeds, S), not negative, NaN where a seed has no value; every step has at least
            one.
    """
    mean, half = _mean_and_half(values)
    with np.errstate(over="ignore"):
        factor = np.exp(np.divide(half, mean, out=np.zeros_like(mean), where=mean > 0))
    # Event files hold float32: a larger number would be infinite.
    return Band(steps, mean, mean / factor, np.minimum(mean * factor, np.finfo(np.float32).max))


def _mean_and_half(values: Array) -> tuple[Array, Array]:
    """Return mean and half the 95 % t interval per column, 0 where only one seed has a value."""
    from scipy.stats import t

    n = np.isfinite(values).sum(axis=0)
    mean = np.nanmean(values, axis=0)
    freedom = np.maximum(n - 1, 1)
    # The gradient of a network that diverges is infinite before it is NaN.
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.nansum((values - mean) ** 2, axis=0)
        half = t.ppf(0.975, freedom) * np.sqrt(squares / freedom / n)
    return mean, np.where(n > 1, half, 0.0)


def merged_histograms(seeds: Sequence[RunEvents]) -> Mapping[int, HistogramProto]:
    """Return the histograms of dL/dz by step, each of the values of all seeds."""
    merged: dict[int, HistogramProto] = {}
    for step in subsample(sorted(set().union(*(seed.histograms for seed in seeds)))):
        parts = [seed.histograms[step] for seed in seeds if step in seed.histograms]
        counts = np.sum([part.counts for part in parts], axis=0)
        total, squares = sum(part.total for part in parts), sum(part.squares for part in parts)
        merged[step] = make_histogram(counts, total, squares)
    return merged
