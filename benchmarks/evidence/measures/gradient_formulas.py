"""Formulas of |dL/dz| of each loss of the article."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class GradientFormula(NamedTuple):
    """|dL/dz| of an example.

    Attributes:
        formula: in terms of the error e = |f - t|, where f is the sigmoid of the margin z and t the
            target.
        magnitude: the same as a function of the log-odds of the right class, a = (2t - 1) z, with
            e = sigmoid(-a). As a function of e it would lose the digits of 1 - e near e = 1.
        share: k if |dL/dz| = k e, so that the gradient is proportional to the error.
    """

    formula: str
    magnitude: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    share: float | None = None


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-z)) with full relative precision."""
    small = np.exp(-np.abs(z))
    f: NDArray[np.float64] = np.where(z < 0, small, 1.0) / (1 + small)
    return f


def error(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return e = |f - t|, the probability of the wrong class."""
    return sigmoid(-odds)


def _damped(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return error(odds) ** 2 * sigmoid(odds)


GRADIENT_FORMULAS: dict[str, GradientFormula] = {
    "cross-entropy": GradientFormula("e", error, 1.0),
    "nll": GradientFormula("e", error, 1.0),
    "bce": GradientFormula("e", error, 1.0),
    "bce-with-logits": GradientFormula("e", error, 1.0),
    # dL/dp is 2 (dL/dp of cross-entropy) where there are two classes.
    "bernoulli-sum": GradientFormula("2 e", lambda odds: 2 * error(odds), 2.0),
    # f (1 - f) = e (1 - e), whichever class is right.
    "probability-sum": GradientFormula("e (1 - e)", lambda odds: error(odds) * sigmoid(odds)),
    "sigmoid-mse": GradientFormula("e² (1 - e)", _damped),
    # The sum of (p - t)² over two classes is 2 (f - t)².
    "softmax-mse": GradientFormula("4 e² (1 - e)", lambda odds: 4 * _damped(odds)),
    # The output is z itself and the target -1 or 1: 2 |z - t|, and a = ln((1 - e) / e).
    "mse": GradientFormula("2 |ln((1 - e) / e) - 1|", lambda odds: 2 * np.abs(odds - 1)),
    "zero-one": GradientFormula("0", np.zeros_like),
}
