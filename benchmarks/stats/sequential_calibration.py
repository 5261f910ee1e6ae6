"""Calibration of the sequential tests: how often they are wrong, by simulation.

    uv run python -m lossbench.benchmarks.stats.sequential_calibration --streams 10000

A stream is a comparison of two arms that have the same distribution, seed by seed (A/A). A
difference of two such arms is symmetric, however skewed each of them is. The last row is another
case: the differences themselves are skewed, which no t test on few seeds is made for.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .sequential import ERROR, LOOKS, nominal_level

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]

STREAMS: dict[str, Draw] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "skewed arms": lambda random, shape: (
        random.exponential(size=shape) - random.exponential(size=shape)
    ),
    "very skewed arms": lambda random, shape: (
        random.lognormal(sigma=1.5, size=shape) - random.lognormal(sigma=1.5, size=shape)
    ),
    "heavy-tailed arms": lambda random, shape: (
        random.standard_t(2, size=shape) - random.standard_t(2, size=shape)
    ),
    "skewed differences": lambda random, shape: random.exponential(size=shape) - 1,
}
"""Differences of mean 0, in the shape (streams, seeds)."""


class ErrorRates(NamedTuple):
    """Shares of the streams that are decided wrongly at any look.

    Attributes:
        different: called different, where the true difference is 0.
        equivalent: called equivalent, where the true difference is the margin, which is large.
        naive: with p < `ERROR` at any look, where the true difference is 0.
    """

    different: float
    equivalent: float
    naive: float


def error_rates(draw: Draw, streams: int, seed: int = 0) -> ErrorRates:
    """Simulate streams up to the last look and return how often the tests are wrong.

    Args:
        draw: differences of mean 0.
        streams: number of streams, at least 1.
        seed: of the random numbers.
    """
    from scipy.stats import t

    differences = draw(np.random.default_rng(seed), (streams, LOOKS[-1]))
    wrong = np.zeros((3, streams), dtype=bool)
    for n in LOOKS:
        seen = differences[:, :n]
        statistic = seen.mean(1) / (seen.std(1, ddof=1) / math.sqrt(n))
        two_sided = 2 * t.sf(abs(statistic), n - 1)
        wrong[0] |= two_sided < nominal_level(sides=2)
        # With a margin far above the spread, only the test against its own end can be wrong.
        wrong[1] |= t.cdf(statistic, n - 1) < nominal_level(sides=1)
        wrong[2] |= two_sided < ERROR
    return ErrorRates(*map(float, wrong.mean(1)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the error rates of every kind of stream, in percent."""
    parser = argparse.ArgumentParser(description="Error rates of the sequential tests in percent.")
    parser.add_argument("--streams", type=int, default=10_000, help="number of streams")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    given = parser.parse_args(arguments)
    if given.streams < 1:
        parser.error(f"--streams {given.streams}: must be at least 1")
    margin = 100 * 2 * math.sqrt(ERROR * (1 - ERROR) / given.streams)
    print(f"{given.streams:,} streams, looks at {', '.join(map(str, LOOKS))} seeds")
    print(f"wanted: {100 * ERROR:g} %, ± {margin:.2f} by chance\n")
    print(f"{'':20} different  equivalent  p < {ERROR:g} at any look")
    for name, draw in STREAMS.items():
        rates = error_rates(draw, given.streams, given.seed)
        print(f"{name:20} {' '.join(f'{100 * rate:10.2f}' for rate in rates)}")


if __name__ == "__main__":
    main()
