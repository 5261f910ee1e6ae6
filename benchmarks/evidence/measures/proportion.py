"""Regression of |dL/dz| on the error, through 0: is the gradient proportional to the error?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.format import MINUS, MISSING

from .gradient_formulas import GRADIENT_FORMULAS, error
from .logit_gradients import LogitGradients


class Fit(NamedTuple):
    """Regression of |dL/dz| on e = |f - t| over the examples of one seed, through 0.

    Attributes:
        slope: k in k e, by least squares.
        explained: R² = 1 - sum (|g| - k e)² / sum (|g| - mean |g|)²; NaN for a constant |g|.
        off: largest ||g| - k e|, where k is the predicted factor or else the slope.
    """

    slope: float
    explained: float
    off: float


def fit(loss: str, seen: LogitGradients) -> Fit:
    """Fit the regression of one seed. All values are NaN if the network diverged."""
    e, push = error(seen.odds), seen.magnitude
    if not (len(e) and np.isfinite(e).all() and np.isfinite(push).all()):
        return Fit(float("nan"), float("nan"), float("nan"))
    slope = float(e @ push / (e @ e))
    around = float(((push - push.mean()) ** 2).sum())
    rest = float(((push - slope * e) ** 2).sum())
    share = GRADIENT_FORMULAS[loss].share
    off = float(np.abs(push - (slope if share is None else share) * e).max())
    return Fit(slope, 1 - rest / around if around > 0 else float("nan"), off)


def finite(seen: LogitGradients) -> LogitGradients:
    """Return the examples with finite values."""
    known = np.isfinite(seen.odds) & np.isfinite(seen.magnitude)
    return LogitGradients(seen.odds[known], seen.magnitude[known])


def in_words(explained: float) -> str:
    """Format R²; near 1 as its distance from 1."""
    if not np.isfinite(explained):
        return MISSING
    if 0 < 1 - explained < 1e-4:
        return f"1 {MINUS} {1 - explained:.0e}"
    return f"{explained:.2f}".replace("-", MINUS)
