"""How good probabilities are, beside how often the largest of them is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, accuracy and number of the examples in each bin of confidence.

    Confidence is the largest probability, and the class that has it (the first, of several) the
    answer. The bins are equally wide: ((i - 1) / bins, i / bins] for i = 1 ... bins.

    Args:
        probabilities: (N, K), rows that sum to 1.
        labels: int (N,), from 0 to K - 1.
        bins: at least 1.

    Returns:
        confidence, accuracy: (bins,), from 0 to 1, NaN where there is no example.
        count: int64 (bins,), which sums to N.

    Raises:
        ValueError: shapes, probabilities, labels or bins are not as said.
    """
    p, y = _checked(probabilities, labels)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins!r}")
    largest, right = p.max(axis=1), p.argmax(axis=1) == y
    place = np.clip(np.ceil(largest * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, weights=largest, minlength=bins) / count
        accuracy = np.bincount(place, weights=right, minlength=bins) / count
    return confidence, accuracy, count


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> float:
    """sum over bins of count / N · |accuracy - confidence|, from 0 to 1; 0 is calibrated.

    Guo et al. (2017), arXiv 1706.04599. Arguments and errors as those of `reliability`.
    """
    confidence, accuracy, count = reliability(probabilities, labels, bins)
    held = count > 0
    gaps = np.abs(accuracy[held] - confidence[held])
    return float(gaps @ count[held] / count.sum())


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over examples of the sum over classes of (p - t)², from 0 to 2; 0 is perfect.

    t is 1 for the right class and else 0. Brier (1950), Monthly Weather Review 78, 1-3; for two
    classes it is twice the squared error of one probability. Arguments and errors as those of
    `reliability`.
    """
    p, y = _checked(probabilities, labels)
    error = p.copy()
    error[np.arange(len(y)), y] -= 1
    return float((error**2).sum(axis=1).mean())


def balanced_accuracy(predicted: ArrayLike, labels: ArrayLike) -> float:
    """The mean over classes of the share of its examples that are right, from 0 to 1.

    Args:
        predicted, labels: int (N,). Classes that no label names are left out.

    Raises:
        ValueError: the shapes differ, are not (N,), or there is no example.
    """
    guess, y = np.asarray(predicted), np.asarray(labels)
    if guess.shape != y.shape or y.ndim != 1 or not y.size:
        raise ValueError(f"need two arrays of one shape (N,), not {guess.shape} and {y.shape}")
    return float(np.mean([(guess[y == c] == c).mean() for c in np.unique(y)]))


def _checked(
    probabilities: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if p.ndim != 2 or y.shape != p.shape[:1] or not p.size:
        raise ValueError(f"need probabilities (N, K) and labels (N,), not {p.shape} and {y.shape}")
    # The first two are false for NaN; float32 rows of many classes sum to 1 within 1e-3.
    if not ((p >= 0).all() and (p <= 1 + 1e-6).all() and np.allclose(p.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("probabilities must be from 0 to 1, and every row must sum to 1")
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels must be integers from 0 to {p.shape[1] - 1}")
    return np.minimum(p, 1.0), y
