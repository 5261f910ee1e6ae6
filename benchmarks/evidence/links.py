"""Inverse links: the probability that a network means, from the one that an improper loss asks for.

A loss of the form sum_k t_k l(p_k), with the p_k summing to 1, is least on average where
eta_k l'(p_k) is the same for every class k, eta_k being the true probability. So

    eta_k = (1 / -l'(p_k)) / sum_j (1 / -l'(p_j)).

For l(p) = -ln p that is p itself: the loss is proper. (Charoenphakdee et al. 2021, arXiv
2011.09172, give it for the focal loss.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GAMMA, POWER, SMOOTHING = 2.0, 0.7, 0.1
"""Settings of the three losses, those of the registry: focal, generalised, smoothing."""

SMALLEST = 1e-12


def focal(p: Array) -> Array:
    """Invert l(p) = -(1 - p)^gamma ln p."""
    p = p.clip(SMALLEST, 1 - SMALLEST)
    slope = (1 - p) ** GAMMA / p - GAMMA * (1 - p) ** (GAMMA - 1) * np.log(p)
    return _normalised(1 / slope)


def generalized_cross_entropy(p: Array) -> Array:
    """Invert l(p) = (1 - p^q) / q: eta is proportional to p^(1 - q)."""
    return _normalised(p.clip(SMALLEST) ** (1 - POWER))


def label_smoothing(p: Array) -> Array:
    """Invert p = (1 - s) eta + s / K, the minimum of cross-entropy with smoothed targets."""
    eta = (p - SMOOTHING / p.shape[1]) / (1 - SMOOTHING)
    return _normalised(eta.clip(0))


LINKS: dict[str, Callable[[Array], Array]] = {
    "softmax-focal": focal,
    "label-smoothing": label_smoothing,
    "generalized-cross-entropy": generalized_cross_entropy,
}
"""Inverse link of each loss that has one other than the identity: of probabilities (N, K)."""


def _normalised(weights: Array) -> Array:
    return np.asarray(weights / weights.sum(1, keepdims=True))
