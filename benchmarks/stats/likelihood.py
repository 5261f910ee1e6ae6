"""The log-likelihood of binary predictions, and what two slips of the article make of it."""

from __future__ import annotations

import numpy as np
from mpmath import mp
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_sigmoid(z: Array) -> Array:
    """Return ln f of logits z of any shape, also where f rounds to 0."""
    values: Array = -np.logaddexp(0.0, -z)
    return values


def minus_log_product(z: Array, t: Array) -> float:
    """Return -ln of the product over examples of f^t (1 - f)^(1 - t), divided by their number.

    This is the likelihood by definition, multiplied with 30 digits: float64 has no number so small.

    Args:
        z: logits, (N,).
        t: targets from 0 to 1, (N,).
    """
    with mp.workdps(30):
        product = mp.mpf(1)
        for logit, target in zip(z.tolist(), t.tolist(), strict=True):
            f = 1 / (1 + mp.exp(-mp.mpf(logit)))
            rest = 1 / (1 + mp.exp(mp.mpf(logit)))
            product *= f**target * rest ** (1 - mp.mpf(target))
        return float(-mp.log(product) / len(z))


def log_of_sum(z: Array, t: Array) -> float:
    """Return ln of the sum over examples of the probability of the right class.

    The first slip: ln of a sum where the likelihood has the sum of ln's, which is ln of a product.

    Args:
        z: logits, (N,).
        t: targets 0 or 1, (N,).
    """
    return float(np.log(np.exp(log_sigmoid((2 * t - 1) * z)).sum()))


def slip(z: Array, t: Array) -> Array:
    """Return -[t ln f + (1 - t) ln(1 - ln f)], which has ln(1 - ln f) in place of ln(1 - f).

    Args:
        z: logits of any shape.
        t: targets from 0 to 1, of the same shape.
    """
    log = log_sigmoid(z)
    values: Array = -(t * log + (1 - t) * np.log1p(-log))
    return values


def slip_gradient(z: Array, t: Array) -> Array:
    """Return the derivative of `slip` by z, (1 - f) [(1 - t) / (1 - ln f) - t]."""
    gradient: Array = np.exp(log_sigmoid(-z)) * ((1 - t) / (1 - log_sigmoid(z)) - t)
    return gradient
