"""Metrics of classifiers: calibration, Brier score, balanced accuracy, area under the curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the reliability diagram: confidence, accuracy and number of examples per bin.

    Confidence is the largest probability; its class (the first of equals) is the prediction. The
    bins are equally wide: ((i - 1) / bins, i / bins] for i = 1 ... bins.

    Args:
        probabilities: (N, K), rows that sum to 1.
        labels: int (N,), from 0 to K - 1.
        bins: number of bins, at least 1.

    Returns:
        Mean confidence and accuracy, (bins,) from 0 to 1, NaN in empty bins; and the counts,
        int64 (bins,), which sum to N.

    Raises:
        ValueError: a shape is wrong, or a probability, label or `bins` is out of range.
    """
    p, y = _checked(probabilities, labels)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins!r}")
    confidences, correct = p.max(axis=1), p.argmax(axis=1) == y
    index = np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(index, weights=confidences, minlength=bins) / count
        accuracy = np.bincount(index, weights=correct, minlength=bins) / count
    return confidence, accuracy, count


def debiased_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the root of the debiased squared calibration error, from 0 to 1; 0 is calibrated.

    That is sum over bins of count / N · [(accuracy - confidence)² - a (1 - a) / (count - 1)], a the
    accuracy of the bin: the second term is what chance alone adds to the first, so that a
    calibrated model has 0 on average. A negative sum counts as 0.

    Kumar, Liang and Ma (2019), Verified Uncertainty Calibration, arXiv 1909.10155.

    Args:
        probabilities: (N, K), rows that sum to 1.
        labels: int (N,), from 0 to K - 1.
        bins: number of equally wide bins of confidence, at least 1.
        weights: how often each example counts, (..., N), for the bootstrap; None: once.

    Returns:
        The error, (...).

    Raises:
        ValueError: a shape is wrong, or a probability or label is out of range.
    """
    p, y = _checked(probabilities, labels)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins!r}")
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    confidences, correct = p.max(axis=1), p.argmax(axis=1) == y
    inside = np.clip(np.ceil(confidences * bins) - 1, 0, bins - 1)[:, None] == np.arange(bins)
    count = w @ inside
    some = np.maximum(count, 1)
    confidence, accuracy = (w @ (inside * x[:, None]) / some for x in (confidences, correct))
    chance = accuracy * (1 - accuracy) / np.maximum(count - 1, 1)
    # A bin of one example says nothing about its accuracy.
    squares = np.where(count > 1, (accuracy - confidence) ** 2 - chance, 0.0)
    total = (count * squares).sum(-1) / w.sum(-1)
    return np.asarray(np.sqrt(np.maximum(total, 0.0)))


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score, the mean of sum_k (p_k - t_k)², from 0 to 2; 0 is perfect.

    t_k is 1 for the label's class, else 0. Brier (1950), Monthly Weather Review 78, 1-3; for two
    classes it is twice the squared error of one probability.

    Args:
        probabilities: (N, K), rows that sum to 1.
        labels: int (N,), from 0 to K - 1.

    Raises:
        ValueError: a shape is wrong, or a probability or label is out of range.
    """
    p, y = _checked(probabilities, labels)
    error = p.copy()
    error[np.arange(len(y)), y] -= 1
    return float((error**2).sum(axis=1).mean())


def area_under_curve(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the area under the ROC curve, from 0 to 1; 0.5 is chance.

    It is the probability that a random example of class 1 has a higher score than one of class 0,
    equal scores counting a half (Mann and Whitney 1947). No threshold enters.

    Args:
        scores: (N,), finite.
        labels: int (N,), 0 or 1, both of which occur.

    Raises:
        ValueError: the shapes differ, a score is not finite, or a class is missing.
    """
    z, y = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if z.shape != y.shape or z.ndim != 1 or not np.isfinite(z).all():
        raise ValueError(
            f"need finite scores and labels of one shape (N,), not {z.shape}, {y.shape}"
        )
    ones = int((y == 1).sum())
    zeros = len(y) - ones
    if not (ones and zeros):
        raise ValueError("need examples of both classes")
    _, place, counts = np.unique(z, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    return float((rank[place][y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


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
