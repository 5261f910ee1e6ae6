"""How hard each loss of the argument pushes an example, by its formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Law(NamedTuple):
    """|dL/dz| of an example.

    Attributes:
        formula: in e = |f - t|, the error: f is the sigmoid of the margin z, t the target.
        push: the same of the log-odds of the right class a = (2t - 1) z, with e = sigmoid(-a).
            Of a and not of e, because 1 - e has lost its digits where e is almost 1.
        share: k, where it is k e: the gradient is proportional to the error.
    """

    formula: str
    push: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    share: float | None = None


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-z)), small values to all their digits."""
    small = np.exp(-np.abs(z))
    f: NDArray[np.float64] = np.where(z < 0, small, 1.0) / (1 + small)
    return f


def error(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """e = |f - t|, which is what the model gives to the wrong class."""
    return sigmoid(-odds)


def _damped(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return error(odds) ** 2 * sigmoid(odds)


LAWS: dict[str, Law] = {
    "cross-entropy": Law("e", error, 1.0),
    "nll": Law("e", error, 1.0),
    "bce": Law("e", error, 1.0),
    "bce-with-logits": Law("e", error, 1.0),
    # dL/dp is 2 (dL/dp of cross-entropy) where there are two classes.
    "bernoulli-sum": Law("2 e", lambda odds: 2 * error(odds), 2.0),
    # f (1 - f) = e (1 - e), whichever class is right.
    "probability-sum": Law("e (1 - e)", lambda odds: error(odds) * sigmoid(odds)),
    "sigmoid-mse": Law("e² (1 - e)", _damped),
    # The sum of (p - t)² over two classes is 2 (f - t)².
    "softmax-mse": Law("4 e² (1 - e)", lambda odds: 4 * _damped(odds)),
    # The output is z itself and the target -1 or 1: 2 |z - t|, and a = ln((1 - e) / e).
    "mse": Law("2 |ln((1 - e) / e) - 1|", lambda odds: 2 * np.abs(odds - 1)),
    "zero-one": Law("0", np.zeros_like),
}
