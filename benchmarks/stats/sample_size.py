"""Numbers of seeds, or of test images, that would decide a comparison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .crossed import CrossedMean

POWER = 0.8
"""Probability of a decision that is asked for."""

MOST_SEEDS, MOST_IMAGES = 1000, 10_000_000
"""Where the search ends."""

_NODES = 64
"""Quantiles of the standard error that are averaged over."""


def decision_probability(found: CrossedMean, margin: float, significance: float) -> float:
    """Return the probability that a comparison is decided if truth and spread are those of `found`.

    It is decided if p < `significance` that there is no difference, or if the 90 % interval lies
    within ±margin. The mean is normal, and its standard error is that of `found` times the root of
    a chi-square with `found.degrees`, over these.

    Args:
        found: the comparison, with a standard error.
        margin: largest difference that counts as none, in the unit of the mean.
        significance: between 0 and 1.
    """
    from scipy.special import gammaincinv, ndtr, stdtrit

    error = found.error
    if error is None:
        return 0.0
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = found.degrees / 2
    shown = error * np.sqrt(gammaincinv(half, (nodes + 1) / 2) / half)
    # Undecided: neither as far from 0 as `different` nor as near to it as `equivalent`.
    different = stdtrit(found.degrees, 1 - significance / 2) * shown
    equivalent = np.maximum(margin - stdtrit(found.degrees, 0.95) * shown, 0)

    def below(distance: np.ndarray) -> np.ndarray:
        ends = (distance - found.mean) / error, (-distance - found.mean) / error
        return np.asarray(ndtr(ends[0]) - ndtr(ends[1]))

    undecided = np.maximum(below(different) - below(equivalent), 0)
    return 1 - float(weights / 2 @ undecided)


def seeds_needed(found: CrossedMean, margin: float, significance: float) -> int | None:
    """Return how many seeds, on the same images, would decide with a probability of 80 %.

    Args:
        found: the comparison so far. Its mean and its spread are taken for the true ones.
        margin, significance: see `decision_probability`.

    Returns:
        A number above that of `found`; None if MOST_SEEDS would not do, which means that the images
        bind, or without a standard error.
    """

    def probability(seeds: int) -> float:
        return decision_probability(found.resized(seeds, found.images), margin, significance)

    return _smallest(probability, found.seeds + 1, MOST_SEEDS) if found.error else None


def images_needed(found: CrossedMean, margin: float, significance: float) -> int | None:
    """Return how many images, with the same number of seeds, would decide.

    See `seeds_needed`. None if MOST_IMAGES would not do.
    """

    def probability(images: int) -> float:
        return decision_probability(found.resized(found.seeds, images), margin, significance)

    return _smallest(probability, found.images + 1, MOST_IMAGES) if found.error else None


def _smallest(probability: Callable[[int], float], low: int, most: int) -> int | None:
    """Return the smallest size from `low` to `most` whose probability, which grows, is enough."""
    if low > most or probability(most) < POWER:
        return None
    high = most
    while low < high:
        middle = (low + high) // 2
        if probability(middle) < POWER:
            low = middle + 1
        else:
            high = middle
    return high
