"""Measured |dL/dz| of training examples against the probability of their class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lossbench.benchmarks.training.result import RunResult

from .gradient_formulas import GRADIENT_FORMULAS, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUM, REFERENCE = "probability-sum", "cross-entropy"
FORMULAS = {SUM: "p (1 - p)", REFERENCE: "1 - p"}
"""|dL/dz| of both losses; p is the probability of the right class."""

# Sure of the right class from 1 - END on, sure of the wrong one from END down.
END = 0.01
LOW = math.log(END / (1 - END))


class LogitGradients(NamedTuple):
    """|dL/dz| of training examples and the log-odds of their right class, (2t - 1) z, each (M,)."""

    odds: NDArray[np.float64]
    magnitude: NDArray[np.float64]

    @property
    def p(self) -> NDArray[np.float64]:
        """Probability of the right class."""
        return sigmoid(self.odds)

    @property
    def wrong(self) -> NDArray[np.float64]:
        """|dL/dz| where the model is sure of the wrong class."""
        return self.magnitude[self.odds < LOW]

    @property
    def right(self) -> NDArray[np.float64]:
        """|dL/dz| where the model is sure of the right class."""
        return self.magnitude[self.odds > -LOW]


def logit_gradients(results: Sequence[RunResult]) -> LogitGradients:
    """Return the recorded examples of some runs."""
    rows = np.concatenate([o.examples for o in results if o.examples is not None]).astype(
        np.float64
    )
    _, margin, target, gradient = rows.T
    return LogitGradients((2 * target - 1) * margin, np.abs(gradient))


def concatenate(runs: Sequence[LogitGradients]) -> LogitGradients:
    """Concatenate the examples of several runs."""
    return LogitGradients(*(np.concatenate(column) for column in zip(*runs, strict=True)))


def slope(loss: str, seen: LogitGradients) -> float:
    """Return the least-squares slope of measured over predicted |dL/dz|, or NaN."""
    x, y = GRADIENT_FORMULAS[loss].magnitude(seen.odds), seen.magnitude
    if len(x) < 2 or not np.ptp(x) > 0 or not np.isfinite(y).all():
        return float("nan")
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def deviation(loss: str, seen: LogitGradients) -> float:
    """Return the largest |measured / predicted - 1| where float32 has the predicted number.

    It is NaN if a network has diverged.
    """
    if not np.isfinite(seen.odds).all():
        return math.nan
    foreseen = GRADIENT_FORMULAS[loss].magnitude(seen.odds)
    some = foreseen > np.finfo(np.float32).tiny
    return float(np.abs(seen.magnitude[some] / foreseen[some] - 1).max(initial=0.0))
