"""|dL/dz| of training examples: the formula of each loss, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.plots.curves import Axis, Curve, log_odds_ticks, thin

from .runs import Runs

Array = NDArray[np.float64]

SURE = 0.01
"""A model is sure of a class if the other one has a smaller probability than this."""

ERROR_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)

SURE_LOG_ODDS = math.log(SURE / (1 - SURE))


class GradientFormula(NamedTuple):
    """|dL/dz| of an example.

    Attributes:
        formula: in terms of the error e = |f - t|, where f is the sigmoid of the margin z and t the
            target.
        magnitude: the same as a function of the log-odds of the right class, a = (2t - 1) z, with
            e = sigmoid(-a). As a function of e it would lose the digits of 1 - e near e = 1.
        factor: k if |dL/dz| = k e, so that the gradient is proportional to the error.
    """

    formula: str
    magnitude: Callable[[Array], Array]
    factor: float | None = None


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)) with full relative precision."""
    small = np.exp(-np.abs(z))
    f: Array = np.where(z < 0, small, 1.0) / (1 + small)
    return f


def error(odds: Array) -> Array:
    """Return e = |f - t|, the probability of the wrong class, from the log-odds of the right."""
    return sigmoid(-odds)


def _squared_error(odds: Array) -> Array:
    return error(odds) ** 2 * sigmoid(odds)


FORMULAS: dict[str, GradientFormula] = {
    "cross-entropy": GradientFormula("e", error, 1.0),
    "nll": GradientFormula("e", error, 1.0),
    "bce": GradientFormula("e", error, 1.0),
    "bce-with-logits": GradientFormula("e", error, 1.0),
    # Both classes of a softmax contribute e.
    "bernoulli-sum": GradientFormula("2 e", lambda odds: 2 * error(odds), 2.0),
    # f (1 - f) = e (1 - e), whichever class is right.
    "probability-sum": GradientFormula("e (1 - e)", lambda odds: error(odds) * sigmoid(odds)),
    "sigmoid-mse": GradientFormula("e² (1 - e)", _squared_error),
    # The sum of (p - t)² over two classes is 2 (f - t)².
    "softmax-mse": GradientFormula("4 e² (1 - e)", lambda odds: 4 * _squared_error(odds)),
    # The output is z itself and the target -1 or 1: 2 |z - t|, and a = ln((1 - e) / e).
    "mse": GradientFormula("2 |ln((1 - e) / e) - 1|", lambda odds: 2 * np.abs(odds - 1)),
    "zero-one": GradientFormula("0", np.zeros_like),
}
"""Formulas of the losses of the article."""


class RecordedExamples(NamedTuple):
    """Recorded training examples: log-odds of the right class, (2t - 1) z, and |dL/dz|, (M,)."""

    odds: Array
    magnitude: Array

    @property
    def p(self) -> Array:
        """Probability of the right class."""
        return sigmoid(self.odds)

    @property
    def sure_wrong(self) -> Array:
        """|dL/dz| where the model is sure of the wrong class."""
        return self.magnitude[self.odds < SURE_LOG_ODDS]

    @property
    def sure_right(self) -> Array:
        """|dL/dz| where the model is sure of the right class."""
        return self.magnitude[self.odds > -SURE_LOG_ODDS]

    @property
    def finite(self) -> RecordedExamples:
        """The examples with finite values."""
        known = np.isfinite(self.odds) & np.isfinite(self.magnitude)
        return RecordedExamples(self.odds[known], self.magnitude[known])


def recorded(runs: Runs) -> RecordedExamples:
    """Return the recorded examples of some runs."""
    rows = np.concatenate([run.examples for run in runs if run.examples is not None])
    _, margin, target, gradient = rows.astype(np.float64).T
    return RecordedExamples((2 * target - 1) * margin, np.abs(gradient))


def concatenate(parts: Sequence[RecordedExamples]) -> RecordedExamples:
    """Concatenate examples."""
    return RecordedExamples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def slope(loss: str, examples: RecordedExamples) -> float:
    """Return the least-squares slope of measured over predicted |dL/dz|, or NaN."""
    x, y = FORMULAS[loss].magnitude(examples.odds), examples.magnitude
    if len(x) < 2 or not np.ptp(x) > 0 or not np.isfinite(y).all():
        return math.nan
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def deviation(loss: str, examples: RecordedExamples) -> float:
    """Return the largest |measured / predicted - 1|; NaN if a network has diverged.

    Predictions below the smallest normal float32 do not count.
    """
    if not np.isfinite(examples.odds).all():
        return math.nan
    predicted = FORMULAS[loss].magnitude(examples.odds)
    normal = predicted > np.finfo(np.float32).tiny
    return float(np.abs(examples.magnitude[normal] / predicted[normal] - 1).max(initial=0.0))


class Fit(NamedTuple):
    """Regression of |dL/dz| on e = |f - t| through 0.

    Attributes:
        slope: k in k e, by least squares.
        r2: R² = 1 - sum (|g| - k e)² / sum (|g| - mean |g|)²; NaN for a constant |g|.
        residual: largest ||g| - k e|, where k is the predicted factor or else the slope.
    """

    slope: float
    r2: float
    residual: float


def fit(loss: str, examples: RecordedExamples) -> Fit:
    """Fit the regression. All values are NaN without examples or if the network diverged."""
    e, magnitude = error(examples.odds), examples.magnitude
    if not (len(e) and np.isfinite(e).all() and np.isfinite(magnitude).all()):
        return Fit(math.nan, math.nan, math.nan)
    k = float(e @ magnitude / (e @ e))
    total = float(((magnitude - magnitude.mean()) ** 2).sum())
    rest = float(((magnitude - k * e) ** 2).sum())
    factor = FORMULAS[loss].factor
    residual = float(np.abs(magnitude - (k if factor is None else factor) * e).max())
    return Fit(k, 1 - rest / total if total > 0 else math.nan, residual)


def formula_curve(
    loss: str,
    examples: RecordedExamples,
    label: str,
    limit: float,
    bins: int,
    per_bin: int,
) -> Curve:
    """Return the curve of |dL/dz| by formula over log-odds, with some examples as points.

    Args:
        loss: the loss.
        examples: the examples.
        label: label of the curve.
        limit: the x axis, log-odds of the right class, reaches from -limit to limit. A negative
            limit takes the log-odds of the wrong class instead.
        bins: number of bins of the log-odds, from which the points are drawn.
        per_bin: points per bin.
    """
    sign, reach = math.copysign(1.0, limit), abs(limit)
    grid = np.linspace(-reach, reach, 401)
    odds = sign * examples.odds
    few = thin(odds, np.linspace(-reach, reach, bins + 1), per_bin)
    return Curve(
        loss,
        grid,
        FORMULAS[loss].magnitude(sign * grid),
        label,
        points=(odds[few], examples.magnitude[few]),
        point_marker="o" if per_bin > 1 else "",
        emphasis=False,
    )


def error_axis(limit: float) -> Axis:
    """Return the axis of the error |f - t|, spaced by its log-odds."""
    return Axis(
        "error |f - t|\n← surely right                    confidently wrong →",
        ticks=log_odds_ticks(ERROR_TICKS),
        limits=(-limit, limit),
    )
