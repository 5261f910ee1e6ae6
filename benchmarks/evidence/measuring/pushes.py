"""How hard training examples were pushed, against how sure the model was of their class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lossbench.benchmarks.training.result import RunResult

from .laws import LAWS, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUM, REFERENCE = "probability-sum", "cross-entropy"
FORMULAS = {SUM: "p (1 - p)", REFERENCE: "1 - p"}
"""|dL/dz| of the two, p being the probability of the right class."""

# Sure of the right class from 1 - END on, sure of the wrong one from END down.
END = 0.01
LOW = math.log(END / (1 - END))


class Pushes(NamedTuple):
    """How hard the examples of a run were pushed: |dL/dz|, and the log-odds of the right class,
    (2t - 1) z, each (M,)."""

    odds: NDArray[np.float64]
    push: NDArray[np.float64]

    @property
    def p(self) -> NDArray[np.float64]:
        """The probability of the right class."""
        return sigmoid(self.odds)

    @property
    def wrong(self) -> NDArray[np.float64]:
        """|dL/dz| where the model is sure of the wrong class."""
        return self.push[self.odds < LOW]

    @property
    def right(self) -> NDArray[np.float64]:
        """|dL/dz| where it is sure of the right one."""
        return self.push[self.odds > -LOW]


def pushes(outcomes: Sequence[RunResult]) -> Pushes:
    """Those of some runs together."""
    rows = np.concatenate([o.examples for o in outcomes if o.examples is not None]).astype(
        np.float64
    )
    _, margin, target, gradient = rows.T
    return Pushes((2 * target - 1) * margin, np.abs(gradient))


def together(runs: Sequence[Pushes]) -> Pushes:
    """All in one."""
    return Pushes(*(np.concatenate(column) for column in zip(*runs, strict=True)))


def slope(loss: str, seen: Pushes) -> float:
    """That of the least-squares line through measured over predicted |dL/dz|; NaN where it cannot
    be had."""
    x, y = LAWS[loss].push(seen.odds), seen.push
    if len(x) < 2 or not np.ptp(x) > 0 or not np.isfinite(y).all():
        return float("nan")
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def deviation(loss: str, seen: Pushes) -> float:
    """The largest |measured / predicted - 1|, where float32 has the predicted number; NaN if a
    network has diverged."""
    if not np.isfinite(seen.odds).all():
        return math.nan
    foreseen = LAWS[loss].push(seen.odds)
    some = foreseen > np.finfo(np.float32).tiny
    return float(np.abs(seen.push[some] / foreseen[some] - 1).max(initial=0.0))
