"""The mean over seeds and images, with an interval that allows for others of both.

Each of S networks (seeds) has a value for each of N images. Seeds and images are random and
crossed, x[s, i] = mean + a[s] + b[i] + e[s, i], so that

    var(mean of all x) = var(a) / S + var(b) / N + var(e) / (S N).

The mean squares of a two-way layout without replication estimate the three variances. A dot is a
mean over an index:

    by_seed  = N sum (x[s, .] - x[., .])² / (S - 1)                    estimates N var(a) + var(e)
    by_image = S sum (x[., i] - x[., .])² / (N - 1)                    estimates S var(b) + var(e)
    rest     = sum (x[s, i] - x[s, .] - x[., i] + x[., .])² / ((S - 1)(N - 1))           var(e)

    var(mean of all x) = (by_seed + by_image - rest) / (S N)

(Searle, Casella and McCulloch, 1992, Variance Components, chapter 4). The estimate of var(b) can be
negative, and then counts as 0. by_seed / (S N) alone is the squared standard error of the paired t
test over seeds, with the share of `rest` already in it. So the interval is that t interval, widened
by what images differ beyond `rest`. The degrees of freedom are Satterthwaite's (1946, Biometrics
Bulletin 2, 110-114). Hillis (2007, Statistics in Medicine 26, 596-619) does the same for readers
and cases. `crossed_calibration` measures how often the interval covers the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .intervals import Interval, check_fraction, t_interval


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and images, with the three mean squares of its values.

    Attributes:
        mean: the mean.
        seeds, images: how many there are.
        by_seed, by_image, rest: the mean squares, see above; NaN below two seeds or two images.
    """

    mean: float
    seeds: int
    images: int
    by_seed: float
    by_image: float
    rest: float

    @property
    def error(self) -> float | None:
        """The standard error of the mean.

        It is None below two seeds or images, and without any spread: that is not certainty.
        """
        square = self.by_seed + self._image_part
        return math.sqrt(square / (self.seeds * self.images)) if square > 0 else None

    @property
    def degrees(self) -> float:
        """Satterthwaite's degrees of freedom of the standard error."""
        seeds, images = self.seeds - 1, self.images - 1
        total = self.by_seed**2 / seeds
        if self._image_part:
            total += self.by_image**2 / images + self.rest**2 / (seeds * images)
        return max((self.by_seed + self._image_part) ** 2 / total, min(seeds, images))

    @property
    def image_share(self) -> float | None:
        """Share of the images in the squared standard error: what no more seeds can remove."""
        square = self.by_seed + self._image_part
        return self._image_part / square if square > 0 else None

    @property
    def _image_part(self) -> float:
        return max(self.by_image - self.rest, 0.0)

    def interval(self, level: float = 0.95) -> Interval:
        """Return the mean with its interval; `n` is the number of seeds.

        Args:
            level: coverage of the interval, between 0 and 1.

        Raises:
            ValueError: `level` is not between 0 and 1.
        """
        check_fraction("level", level)
        if self.error is None:
            return Interval(self.mean, None, None, self.seeds)
        return t_interval(self.mean, self.error, self.degrees, self.seeds, level)

    def pvalue(self, mean: float = 0.0) -> float:
        """Return p of the two-sided test that the true mean is `mean`; 1 without an error."""
        if self.error is None:
            return 1.0
        from scipy.stats import t

        return float(2 * t.sf(abs(self.mean - mean) / self.error, self.degrees))

    def resized(self, seeds: int, images: int) -> CrossedMean:
        """Return what is expected of another number of seeds and images, of the same variances."""
        return replace(
            self,
            seeds=seeds,
            images=images,
            by_seed=self._scaled(self.by_seed, images / self.images),
            by_image=self._scaled(self.by_image, seeds / self.seeds),
        )

    def _scaled(self, square: float, factor: float) -> float:
        """Multiply the part of a mean square that is not `rest`."""
        return square if square < self.rest else self.rest + (square - self.rest) * factor


def crossed_mean(values: ArrayLike, step: float = 0.0) -> CrossedMean:
    """Return the mean of the values of each seed for each image, with its mean squares.

    Args:
        values: finite numbers, (S, N), S seeds and N images, at least one of each. For the
            difference in accuracy of two losses they are -1, 0 and 1: the same image is right with
            one of them, with both or neither, or with the other one.
        step: smallest amount by which two values can differ, 0 if there is none. No mean square
            counts as less than step² / (S N). That is what each of the three is if a single value
            differs from all others, by `step`. So a network that agrees with another on all images
            has an interval too.

    Raises:
        ValueError: the shape is not (S, N), a value is not finite, or `step` is negative.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"values must have the shape (seeds, images), not {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("values must be finite")
    if not step >= 0:
        raise ValueError(f"step must be 0 or more, not {step!r}")
    seeds, images = x.shape
    mean = float(x[0, 0] if x.min() == x.max() else x.mean())
    if seeds < 2 or images < 2:
        return CrossedMean(mean, seeds, images, *[math.nan] * 3)
    a, b = x.mean(1) - mean, x.mean(0) - mean
    rest = x - mean - a[:, None] - b
    squares = (
        images * (a @ a) / (seeds - 1),
        seeds * (b @ b) / (images - 1),
        np.vdot(rest, rest) / ((seeds - 1) * (images - 1)),
    )
    least = step**2 / x.size
    return CrossedMean(mean, seeds, images, *(max(float(each), least) for each in squares))


def accuracy_difference(correct: ArrayLike, reference: ArrayLike, unit: float = 1.0) -> CrossedMean:
    """Return the accuracy of some networks minus that of others with the same seeds.

    Args:
        correct: bool (S, N), whether each network is right on each image.
        reference: the same of the others, in the same shape and order of seeds and images.
        unit: of the result: 1 for fractions, 100 for points.

    Raises:
        ValueError: the shapes differ or are not (S, N).
    """
    a, b = np.asarray(correct, dtype=bool), np.asarray(reference, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"need two arrays of one shape (seeds, images): {a.shape} and {b.shape}")
    return crossed_mean(unit * (a.astype(np.float64) - b), step=unit)
