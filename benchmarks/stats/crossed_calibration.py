"""Calibration of the crossed interval: how often it covers the true difference, by simulation.

    uv run python -m lossbench.benchmarks.stats.crossed_calibration --rounds 1000

Two losses are right or wrong on each image, with each seed. Each has a hidden score that is right
if positive: how easy the image is, plus or minus half of an effect of the seed and half of one of
the image, plus noise. All are normal. The accuracies are about 75 %, and one is 2 points higher.

With 1,000 rounds (3 minutes) the 95 % interval covered the truth in 93.4 to 96.8 % of the rounds
for 5, 7 and 12 seeds, and for 3 seeds in 93.0 to 95.7 %, but for one cell: 3 seeds and 200 images
with strong effects of both, 91 to 93 %. Three seeds say little about their own spread: where they
show too little of it by chance, the degrees of freedom come out too large.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .crossed import accuracy_difference

SEEDS, IMAGES = (3, 5, 7, 12), (200, 2000)
EASE = 1.5
"""Spread of how easy images are; that of the noise is 1."""


class Effects(NamedTuple):
    """Spread of what a seed and an image do to the difference of the hidden scores."""

    seed: float
    image: float


EFFECTS = {
    "neither": Effects(0, 0),
    "seeds": Effects(0.15, 0),
    "images": Effects(0, 1),
    "both": Effects(0.15, 1),
    "seeds, strong": Effects(0.5, 0),
    "images, strong": Effects(0, 2),
    "both, strong": Effects(0.5, 2),
}
"""What differs between the losses beyond chance."""


class Coverage(NamedTuple):
    """Shares of the rounds in which an interval contains the true difference."""

    at_95: float
    at_90: float


def coverage(seeds: int, images: int, effects: Effects, rounds: int, seed: int = 0) -> Coverage:
    """Simulate comparisons and return how often the 95 % and the 90 % interval cover the truth.

    Args:
        seeds, images: how many there are in a comparison, at least 2.
        effects: what differs beyond chance.
        rounds: number of comparisons, at least 1.
        seed: of the random numbers.
    """
    from scipy.special import ndtr, ndtri

    random = np.random.default_rng(seed)
    accuracies = np.array([0.76, 0.74])
    spread = math.sqrt(1 + EASE**2 + (effects.seed**2 + effects.image**2) / 4)
    levels = spread * ndtri(accuracies)  # of the hidden scores, so that these accuracies are true
    truth = accuracies[0] - accuracies[1]
    covered = np.zeros(2)
    for _ in range(rounds):
        ease = EASE * random.standard_normal(images)
        half = random.standard_normal((seeds, 1)) * effects.seed / 2
        half = half + random.standard_normal(images) * effects.image / 2
        # Given these, a network is right with a known probability.
        correct, reference = (
            random.random((seeds, images)) < ndtr(level + ease + sign * half)
            for level, sign in zip(levels, (1, -1), strict=True)
        )
        found = accuracy_difference(correct, reference)
        for k, level in enumerate((0.95, 0.9)):
            low, high = found.interval(level).low, found.interval(level).high
            covered[k] += low is not None and high is not None and low <= truth <= high
    return Coverage(*map(float, covered / rounds))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the coverage for every number of seeds and images and all effects, in percent."""
    parser = argparse.ArgumentParser(description="Coverage of the crossed intervals in percent.")
    parser.add_argument("--rounds", type=int, default=1000, help="number of comparisons")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: must be at least 1")
    by_chance = 100 * 2 * math.sqrt(0.05 * 0.95 / given.rounds)
    print(f"{given.rounds:,} comparisons in each cell: coverage of the 95 % / 90 % interval, in %")
    print(f"by chance ± {by_chance:.1f}\n")
    print(f"{'differs':16} {'images':>6}  {'  '.join(f'{n:>5} seeds' for n in SEEDS)}")
    for name, effects in EFFECTS.items():
        for images in IMAGES:
            cells = (coverage(n, images, effects, given.rounds, given.seed) for n in SEEDS)
            row = "  ".join(f"{100 * c.at_95:.1f} / {100 * c.at_90:.1f}" for c in cells)
            print(f"{name:16} {images:6}  {row}", flush=True)


if __name__ == "__main__":
    main()
